"""What a run prints, from a real Ansible run of a tiny playbook without a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kindling import paths

PLAYBOOK = """
- name: A play
  hosts: localhost
  gather_facts: false
  tasks:
    - name: A quiet task
      ansible.builtin.set_fact: {x: 1}
    - name: A task that changes something
      ansible.builtin.command: /bin/true
    - name: A task that fails
      ansible.builtin.fail: {msg: the disk is full}
      when: broken | bool
"""


@pytest.fixture
def play(tmp_path: Path) -> object:
    (tmp_path / "play.yml").write_text(PLAYBOOK)

    def run(*, broken: bool) -> tuple[int, str, dict[str, object]]:
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local",
             "-e", f"broken={broken}", tmp_path / "play.yml"],
            env={
                **os.environ, "ANSIBLE_CONFIG": str(paths.REPOSITORY / "ansible.cfg"),
                "ANSIBLE_HOME": str(tmp_path / "ansible"), "PYTHONPATH": str(paths.REPOSITORY),
                "KINDLING_EVENTS": str(tmp_path / "events"),
                "KINDLING_TIMINGS": str(tmp_path / "timings"), "LC_ALL": "C.UTF-8",
            },
            capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout, json.loads(
            (tmp_path / "timings").read_text()
        )  # fmt: skip

    return run


def test_a_good_run_has_one_line_for_each_change_and_one_at_the_end(play: object) -> None:
    code, out, timings = play(broken=False)  # type: ignore[operator]
    assert code == 0
    lines = out.splitlines()
    assert len([line for line in lines if line.startswith("changed")]) == 1
    assert "A quiet task" not in out
    assert lines[-1].startswith("ok=2 changed=1 failed=0 skipped=1 in ")
    assert [task["task"] for task in timings["tasks"]] == [
        "A quiet task",
        "A task that changes something",
    ]


def test_a_failure_is_a_message_and_never_a_dump(play: object) -> None:
    code, out, _ = play(broken=True)  # type: ignore[operator]
    assert code != 0
    assert "failed  A task that fails" in out
    assert "the disk is full" in out
    assert "Traceback" not in out
    assert '"msg"' not in out
