"""The load test's command: what cannot be run is refused in one line, and nothing is begun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kindling import paths
from loadtests.scenarios import SCENARIOS


def command(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``nox -s loadtest -- WORDS`` on a machine with the state in this folder."""
    environment = {**os.environ, "XDG_STATE_HOME": str(state), "KINDLING_CACHE": str(state)}
    return subprocess.run(
        [sys.executable, "-m", "loadtests", *words, f"--report={state / 'report'}"],
        cwd=paths.REPOSITORY, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nonsense"], 2, "no scenario is named nonsense; there are scale, alerts, drills"),
        ([], 1, "nox -s cluster-up"),
        (["--ui"], 1, "nox -s cluster-up"),
        (["smoke", "--target=http://10.0.0.1:80"], 1, "--yes-target 10.0.0.1"),
        (["smoke", "--target=nonsense"], 1, "nonsense is no URL of a service"),
        (
            ["scale", "--target=http://127.0.0.1:9", "--yes-target=127.0.0.1"],
            1,
            "scale must see into the cluster that is tested",
        ),
        (["smoke", "--rate=0"], 2, "argument --rate: 0 is no number above 0"),
        (["--compare", "a", "b"], 1, "a"),
        (["smoke", "--inventory=nowhere"], 1, "nowhere"),
        (["smoke", "--processes=0"], 2, "--processes"),
        (["smoke", "--seconds=0"], 2, "--seconds"),
        (["smoke", "--pods=0"], 2, "--pods"),
        (["smoke", "--pods=2", "--processes=2"], 2, "--pods goes with none of"),
        (["smoke", "--pods=2", "--target=http://10.0.0.1:80"], 2, "--pods goes with none of"),
        (["smoke", "--users=nan"], 2, "--users"),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_line(
    tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    done = command(tmp_path, *words)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "report").exists()


def test_a_cluster_that_never_came_up_whole_is_told(tmp_path: Path) -> None:
    record = tmp_path / "kindling" / "kindling" / "cluster.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"name": "kindling", "complete": False, "ports": {}}))
    done = command(tmp_path, "smoke")
    assert done.returncode == 1
    assert "cluster-up of kindling was interrupted, or still runs" in done.stderr
    assert not list(tmp_path.rglob("*.lock"))


def test_help_says_what_each_scenario_does(tmp_path: Path) -> None:
    done = command(tmp_path, "--help")
    assert done.returncode == 0
    for one in SCENARIOS.values():
        assert one.name in done.stdout
        assert " ".join(one.description.split()[:3]) in done.stdout
