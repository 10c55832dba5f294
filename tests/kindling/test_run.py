"""The front door: bad input gets one clear message and touches nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kindling import cluster as clusters
from kindling import doctor, environments, lock, run, training_ahead
from kindling.doctor import Check


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))

    def never(*_: object, **__: object) -> int:
        raise AssertionError("a playbook was started")

    monkeypatch.setattr(run, "_playbook", never)
    monkeypatch.setattr(training_ahead, "beside", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    return tmp_path


def test_an_unknown_key_is_named_with_the_closest_known_one(
    capsys: pytest.CaptureFixture[str], own_folders: Path
) -> None:
    assert run.main(["up", "-e", "cluster_nmae=x"]) == 1
    err = capsys.readouterr().err
    assert "cluster_nmae" in err
    assert "cluster_name" in err
    assert "Traceback" not in err
    assert not (own_folders / "state").exists()


def test_an_unknown_inventory_is_told_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run.main(["up", "--inventory", "mars"]) == 1
    assert "local" in capsys.readouterr().err


def test_a_check_that_fails_stops_the_run_before_it_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Check("disk", "fail", "0.1 GiB free in /", "free some space")
    monkeypatch.setattr(doctor, "critical", lambda _: [full])
    assert run.main(["up"]) == 1
    err = capsys.readouterr().err
    assert "disk: 0.1 GiB free" in err
    assert "next: free some space" in err


def test_a_second_run_is_refused_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "critical", lambda _: [])
    with lock.hold("cluster-up"):
        assert run.main(["up"]) == 1
    assert "cluster-up is already running" in capsys.readouterr().err


def test_what_nobody_foresaw_is_one_line_and_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, own_folders: Path
) -> None:
    monkeypatch.setattr(doctor, "critical", lambda _: [])
    monkeypatch.setattr(run, "_playbook", lambda *_: 1 / 0)
    assert run.main(["up"]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err
    assert "Traceback" not in err
    assert "Traceback" in (own_folders / "cache" / "error.log").read_text()


def test_all_is_of_cluster_down_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["up", "--all"]) == 1
    assert "nox -s cluster-down -- --all" in capsys.readouterr().err


def test_down_removes_our_caches_by_name_and_the_lock(
    monkeypatch: pytest.MonkeyPatch, own_folders: Path
) -> None:
    monkeypatch.setattr(run, "_playbook", lambda *_: 0)
    cache = own_folders / "cache"
    for name in ("store", "go", "photos"):
        (cache / name).mkdir(parents=True)
    assert run.main(["down"]) == 0
    assert {entry.name for entry in cache.iterdir()} == {"store", "go", "photos"}
    assert run.main(["down", "--all"]) == 0
    assert [entry.name for entry in cache.iterdir()] == ["photos"]
    assert not (own_folders / "state" / "kindling").exists()


def test_caches_stay_while_a_cluster_needs_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, own_folders: Path
) -> None:
    monkeypatch.setattr(run, "_playbook", lambda *_: 0)
    (own_folders / "cache" / "store").mkdir(parents=True)
    clusters.record("other", {"complete": True})
    assert run.main(["down", "--all"]) == 0
    assert "caches stay" in capsys.readouterr().out
    assert (own_folders / "cache" / "store").exists()


def test_what_would_lead_tools_elsewhere_does_not_reach_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HELM_KUBETOKEN", "KIND_EXPERIMENTAL_PROVIDER", "ANSIBLE_STDOUT_CALLBACK"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", "secret")
    given = run.environment("id", Path("events"))
    assert "x" not in given.values()
    assert given["ANSIBLE_VAULT_PASSWORD_FILE"] == "secret"


def test_python_code_is_compiled_once_and_never_into_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "some_module.py").write_text("x = 1\n")
    variables = {**environments.variables(), "PYTHONPATH": str(tmp_path / "checkout")}
    user = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        [sys.executable, "-c", "import some_module"], env={**user, **variables}, check=True
    )
    assert list((tmp_path / "cache" / "pycache").rglob("some_module.*.pyc"))
    assert [file.name for file in (tmp_path / "checkout").iterdir()] == ["some_module.py"]
