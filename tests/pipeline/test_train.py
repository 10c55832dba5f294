"""``nox -s train`` on a checkout whose models take no time: what a person sees of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kindling import registry_access, train
from kindling.errors import KindlingError
from kindling.registry_access import RegistryAccess

REPOSITORY = Path(__file__).parents[2]
DVC = """
stages:
  prepare:
    foreach: [good, bad]
    do:
      cmd: python -m pipeline prepare ${item}
      params: ["${item}.seed"]
      outs: ["pipeline/build/${item}/data"]
  evaluate:
    foreach: [good, bad]
    do:
      cmd: python -m pipeline evaluate ${item}
      deps: ["pipeline/build/${item}/data"]
      metrics: ["pipeline/build/${item}/metrics.json"]
"""
PIPELINE = """
import json, os, sys, time
from pathlib import Path

stage, model, *rest = sys.argv[1:]
build = Path("pipeline/build") / model
url = os.environ.get("MLFLOW_TRACKING_URI")
assert (stage == "register") == (url == "http://registry"), "who is to know the registry"
if Path("slow").exists():
    Path("started.new").write_text(str(os.getsid(0)))
    Path("started.new").rename("started")
    time.sleep(60)
if stage == "prepare":
    build.mkdir(parents=True)
    (build / "data").write_text(model)
elif stage == "evaluate":
    (build / "metrics.json").write_text('{"accuracy": 0.75, "examples": 8}')
    print("metric  value\\naccuracy  0.75")
    sys.exit(model == "bad")
else:
    result = {"version": "7", "new": True, "aliases": ["challenger"]}
    print(f"{model}: version 7 is registered")
    Path(rest[1]).write_text(json.dumps(result))
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a model that passes and one that does not, and a home where nothing is."""
    root = tmp_path / "root"
    (root / "pipeline").mkdir(parents=True)
    (root / "pipeline" / "__main__.py").write_text(PIPELINE)
    (root / "dvc.yaml").write_text(DVC)
    (root / "params.yaml").write_text("good: {seed: 1}\nbad: {seed: 1}\n")
    shutil.copytree(REPOSITORY / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("tmp"))
    for name, variable in (("home", "HOME"), ("cache", "KINDLING_CACHE"), ("tmp", "TMPDIR")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    return root


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster with an MLflow, as far as this goes."""

    def export(_: RegistryAccess) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry")

    monkeypatch.setattr(RegistryAccess, "export", export)
    monkeypatch.setattr(
        registry_access, "access", lambda _: RegistryAccess("http://registry", "admin", "x")
    )
    monkeypatch.setattr(registry_access, "check_experiments", lambda *_: None)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was said, times left out."""
    said = capsys.readouterr()
    return [re.sub(r" [\d.]+ s$", "", line) for line in (said.out + said.err).splitlines()]


def test_a_line_for_each_stage_and_a_table_at_the_end(
    root: Path, registry: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--root", str(root), "good"]) == 0
    assert [line.rstrip() for line in lines(capsys)] == [
        "changed  good: prepare",
        "changed  good: evaluate",
        "good: version 7 is registered",
        "changed  good: register",
        "",
        "model  version  alias       metrics",
        "good   7        challenger  accuracy 0.75",
        "",
        "Next:",
        "  nox -s promote -- good 7",
    ]
    assert train.main(["--root", str(root), "good", "--no-register"]) == 0
    again = lines(capsys)
    assert again[:2] == ["     ok  good: prepare, unchanged", "     ok  good: evaluate, unchanged"]
    assert not any("promote" in line for line in again)
    shutil.rmtree(root / "pipeline" / "build")
    assert train.main(["--root", str(root), "good", "--no-register"]) == 0
    assert lines(capsys)[0] == "     ok  good: prepare, from the cache"


def test_what_the_gate_stops_is_shown_and_stops_nothing_else(
    root: Path, registry: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--root", str(root)]) == 1
    said = lines(capsys)
    assert " failed  bad: evaluate" in said
    assert "    accuracy  0.75" in said
    assert any("ERROR: failed to reproduce 'evaluate@bad'" in line for line in said)
    assert "good: version 7 is registered" in said
    assert "bad: version 7 is registered" not in said
    assert "error: bad did not get through; the reason is above" in said
    assert said[-1] == "  next: when that is mended: nox -s train -- bad"


def test_a_failure_to_register_is_shown(
    root: Path, registry: None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = root / "pipeline" / "__main__.py"
    file.write_text(PIPELINE.replace("result = {", "sys.exit('error: it is away')\n    {"))
    assert train.main(["--root", str(root), "good"]) == 1
    said = lines(capsys)
    assert "error: it is away" in said
    assert " failed  good: register" in said
    assert not any("Next:" in line for line in said)


def test_nothing_is_kept_but_in_our_cache_and_the_checkout(root: Path) -> None:
    before = set(root.rglob("*"))
    assert train.main(["--root", str(root), "good", "--no-register"]) == 0
    here = root.parent
    assert not [*(here / "home").iterdir(), *(here / "tmp").iterdir()]
    assert {path.name for path in (here / "cache").iterdir()} == {"dvc"}
    assert {path.name for path in (here / "cache" / "dvc").iterdir()} == {"cache", "config", "site"}
    new = {path.relative_to(root).parts[:2] for path in set(root.rglob("*")) - before}
    assert new == {("pipeline", "build"), ("dvc.lock",), (".dvc", "tmp")}


def test_an_unknown_model_gets_those_that_exist(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--root", str(root), "good", "letters"]) == 1
    assert lines(capsys) == ["error: no model is named letters", "  next: one of: good, bad"]
    assert train.main(["--root", str(root.parent)]) == 1
    assert lines(capsys)[-1] == "  next: name a checkout with --root"


def test_without_a_cluster_nothing_is_trained(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def access(_: str) -> RegistryAccess:
        raise KindlingError("there is no cluster", next_step="nox -s cluster-up")

    monkeypatch.setattr(registry_access, "access", access)
    assert train.main(["--root", str(root)]) == 1
    assert lines(capsys) == [
        "error: there is no cluster",
        "  next: nox -s cluster-up, or without a cluster: nox -s train -- --no-register",
    ]
    assert not (root / "pipeline" / "build").exists()


def test_a_deleted_experiment_is_told_before_the_training(
    root: Path, registry: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(_: RegistryAccess, names: list[str]) -> None:
        raise KindlingError(f"the experiment {names[0]} was deleted", next_step="restore it")

    monkeypatch.setattr(registry_access, "check_experiments", check)
    assert train.main(["--root", str(root), "good"]) == 1
    assert lines(capsys)[0] == "error: the experiment good was deleted"
    assert not (root / "pipeline" / "build").exists()


def test_a_second_training_of_a_checkout_is_refused_or_waits(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "slow").touch()
    words = ["-m", "kindling.train", "--root", str(root), "good", "--no-register"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    first = subprocess.Popen(
        [sys.executable, *words], env=environment, stderr=subprocess.PIPE, text=True
    )
    wait_until((root / "started").exists)
    # A session of its own would not have the priority of the one that trains.
    assert int((root / "started").read_text()) == os.getsid(first.pid)
    assert train.main(["--root", str(root), "good", "--no-register"]) == 1
    said = lines(capsys)
    expected = rf"error: a training of this checkout is already running \(pid {first.pid}, .*\)"
    assert re.fullmatch(expected, said[0])
    assert said[1:] == ["  next: wait for it to end, or end it, and try again"]
    (root / "slow").unlink()
    threading.Timer(1, first.terminate).start()
    assert train.main(["--root", str(root), "good", "--no-register", "--wait=60"]) == 0
    assert first.poll() is not None
    first.communicate(timeout=20)


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_all_that_was_started(
    root: Path, number: signal.Signals, before: signal.Handlers
) -> None:
    (root / "slow").touch()
    words = ["-m", "kindling.train", "--root", str(root), "good", "--no-register"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "KINDLING_TEST_OF": str(root)}
    process = subprocess.Popen(
        [sys.executable, *words], env=environment, stderr=subprocess.PIPE, text=True,
        # As a shell starts what it puts in the background, or not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, before),
    )  # fmt: skip
    wait_until((root / "started").exists)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == "interrupted; the same command goes on from here\n"
    wait_until(lambda: not running(f"KINDLING_TEST_OF={root}"))
    (root / "slow").unlink()
    assert train.main(["--root", str(root), "good", "--no-register"]) == 0


def running(mark: str) -> list[str]:
    """The processes that have ``mark`` in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(entry.name)
        except OSError:
            continue
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
