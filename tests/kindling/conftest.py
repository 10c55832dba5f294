"""Fixtures of several of these modules."""

from __future__ import annotations

import os
from pathlib import Path

import bench_up_fakes
import pytest

from kindling.bench_up import machine, traces


@pytest.fixture
def quiet_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine for the benchmark of ``cluster-up``: without an engine, and what one changes."""
    nothing = traces.Traces(frozenset(), frozenset(), frozenset(), frozenset())
    monkeypatch.setattr(traces.Traces, "now", classmethod(lambda _: nothing))
    monkeypatch.setattr(machine, "answering_engine", lambda: "")
    monkeypatch.setattr(machine, "refuse_ports", lambda _: None)
    # What others write meanwhile takes long to reach the disk.
    monkeypatch.setattr(os, "sync", lambda: None)
    monkeypatch.setattr(machine, "_FREE_GIB", 0)
    monkeypatch.setattr(machine, "_MAX_SOCKET_PATH", 1000)
    monkeypatch.setattr(machine, "_SAMPLE_SECONDS", 0.01)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    # As nox runs it: in a virtual environment, with a path of its own.
    monkeypatch.setenv("PYTHONPATH", "of this very run")
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    others = [
        entry
        for entry in os.environ["PATH"].split(os.pathsep)
        if not (Path(entry).parent / "pyvenv.cfg").exists()
    ]
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "venv" / "bin"), *others]))


@pytest.fixture
def fake_repository(tmp_path: Path) -> Path:
    """See ``bench_up_fakes.make_repository``."""
    return bench_up_fakes.make_repository(tmp_path / "repository")
