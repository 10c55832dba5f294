"""What ``nox -s bench-up`` refuses before it starts anything."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from kindling import cluster, paths, settings
from kindling.bench_up import __main__ as bench_up
from kindling.bench_up import build, machine, warm
from kindling.errors import KindlingError


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("something was started")

    monkeypatch.setattr(warm, "_playbook", never)
    monkeypatch.setattr(build.Build, "_run", never)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cold"], "--cold needs --baseline REV, or --busy"),
        (["--baseline", "x"], "--baseline goes with --cold"),
        (["--cold", "--busy", "--baseline", "x"], "--baseline goes with --cold"),
        (["--tests"], "--tests goes with --cold --baseline REV"),
        (["--busy", "--enforce"], "--enforce goes with --cold --baseline REV"),
        (["--cold-runs", "2"], "--cold-runs goes with --busy"),
        (["--busy", "--runs", "2", "--cold-runs", "3"], "more than --runs 2"),
        (["--busy", "--cold-runs", "-1"], "--cold-runs must be at least 0"),
        (["--cold", "--baseline", "x", "--yes"], "--yes is for warm runs"),
        (["--json", "x"], "--json goes with --cold or --busy"),
        (["--runs", "0"], "--runs must be at least 1"),
        (["--cold", "--baseline", "x", "--repeats", "0"], "--repeats must be at least 1"),
        (["--bus"], "unrecognized arguments: --bus"),
    ],
)
def test_an_option_without_effect_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        bench_up.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_an_unknown_revision_is_named_and_nothing_is_made(
    own_folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "answering_engine", lambda: "")
    assert bench_up.main(["--cold", "--baseline", "no-such-tag"]) == 1
    error = capsys.readouterr().err
    assert f"no commit no-such-tag in {paths.REPOSITORY}" in error
    assert "next: git fetch" in error
    assert list(own_folders.iterdir()) == []


def test_an_engine_that_answers_is_refused_with_the_next_command(
    own_folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket answers as an engine's does, with nobody's client asked."""
    monkeypatch.setattr(machine, "_engine_process", lambda: "")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(own_folders / "s"))
        server.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{own_folders / 's'}")
        assert bench_up.main(["--busy", "--cold"]) == 1
    error = capsys.readouterr().err
    assert f"a container engine answers (unix://{own_folders / 's'})" in error
    assert "next: stop it" in error
    # One that has ended and left its socket file answers nobody.
    assert machine.answering_engine() == ""


def test_taken_ports_are_refused_all_by_number() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        ports = [server.getsockname()[1] for server in (one, other)]
        with pytest.raises(KindlingError) as refused:
            machine.refuse_ports(ports)
    assert all(f"{port} by " in refused.value.message for port in ports)
    machine.refuse_ports(ports)


def test_a_folder_that_is_too_full_or_too_deep_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_FREE_GIB", 0)
    machine.refuse_folder(tmp_path, Path("/var/tmp/cache"))
    with pytest.raises(KindlingError, match="too long"):
        machine.refuse_folder(tmp_path, Path("/") / ("x" * 70))
    monkeypatch.setattr(machine, "_FREE_GIB", 1_000_000)
    with pytest.raises(KindlingError, match="GiB are free") as refused:
        machine.refuse_folder(tmp_path, tmp_path)
    assert refused.value.next_step.endswith("--folder FOLDER")


@pytest.mark.parametrize("arguments", [[], ["--busy"]])
def test_a_cluster_that_is_up_stays_without_yes(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = settings.load().cluster_name
    cluster.record(name, {"complete": True})
    assert bench_up.main(arguments) == 1
    error = capsys.readouterr().err
    assert f"removes the cluster {name} that is up" in error
    assert "--yes" in error
