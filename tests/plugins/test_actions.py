"""What Ansible makes of an action of ours, from real runs of a tiny playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling import paths

Play = Callable[..., tuple[str, dict[str, Any]]]

ACTION = """
from pathlib import Path
from kindling.action import Action
from kindling.errors import KindlingError


class ActionModule(Action):
    ARGUMENTS = {
        "words": {"type": "list", "elements": "str", "required": True},
        "values": {"type": "dict", "default": {}},
        "folder": {"type": "path", "default": "~"},
    }

    def perform(self, params, *, check):
        if "fail" in params["words"]:
            raise KindlingError("it did not work", next_step="type this")
        given = [params["words"][0], params["values"], params["values"]["deep"][0]]
        return {
            "changed": not check,
            "params": params,
            "types": [type(one).__name__ for one in given],
            "program": Path("/proc/self/cmdline").read_text().split("\\0")[1],
        }
"""
GIVEN = {"words": ["{{ one }}", "two"], "values": {"deep": ["{{ one }}", 2]}}


@pytest.fixture
def play(tmp_path: Path) -> Play:
    (tmp_path / "told.py").write_text(ACTION)

    def run(arguments: dict[str, object], *options: str) -> tuple[str, dict[str, Any]]:
        tasks: list[dict[str, object]] = [
            {"name": "It is told", "told": arguments, "register": "result"},
            {
                "name": "The result is kept",
                "ansible.builtin.copy": {
                    "content": "{{ result | to_json }}",
                    "dest": str(tmp_path / "result"),
                },
                "check_mode": False,
            },
        ]
        play = {"name": "A play", "hosts": "localhost", "vars": {"one": "1st"}, "tasks": tasks}
        (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local",
             *options, tmp_path / "play.yml"],
            env={
                **os.environ, "ANSIBLE_CONFIG": str(paths.REPOSITORY / "ansible.cfg"),
                "ANSIBLE_ACTION_PLUGINS": str(tmp_path), "ANSIBLE_HOME": str(tmp_path / "ansible"),
                "PYTHONPATH": str(paths.REPOSITORY), "LC_ALL": "C.UTF-8",
            },
            capture_output=True, text=True,
        )  # fmt: skip
        result = tmp_path / "result"
        return done.stdout, json.loads(result.read_text()) if result.exists() else {}

    return run


def test_an_action_gets_plain_values_and_runs_in_ansibles_own_process(play: Play) -> None:
    _, result = play(GIVEN)
    assert result["changed"] is True
    assert result["params"] == {
        "words": ["1st", "two"],
        "values": {"deep": ["1st", 2]},
        "folder": str(Path.home()),
    }
    assert result["types"] == ["str", "dict", "str"]
    assert Path(result["program"]).name == "ansible-playbook"


def test_an_action_knows_that_it_must_not_change_anything(play: Play) -> None:
    _, result = play(GIVEN, "--check")
    assert result["changed"] is False


def test_a_failed_action_is_a_message_and_a_next_step(play: Play) -> None:
    out, _ = play({"words": ["fail"]})
    assert "failed  It is told" in out
    assert "it did not work\n  next: type this" in out
    assert "Traceback" not in out


def test_an_unknown_argument_is_refused(play: Play) -> None:
    out, _ = play({"words": ["x"], "wrods": ["y"]})
    assert "failed  It is told" in out
    assert "Unsupported parameters for (told)" in out
