"""An engine is tried before it is relied on: with a container on its default network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kindling import engine, engine_probe, engine_setup, pip_config
from kindling.errors import KindlingError

HOST = "unix:///e.sock"
NO_BRIDGE = "docker: Error response from daemon: could not find bridge docker0: no such network"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def target() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "127.0.0.1", server.getsockname()[1]


def docker(folder: Path, *, code: int = 0, out: str = "", err: str = "") -> Path:
    """A client whose ``run`` ends so; all that it is asked goes to ``asked``."""
    client = folder / "docker"
    client.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/asked\n[ "$1" = run ] || exit 0\n'
        f"printf '{out}'\nprintf '{err}' >&2\nexit {code}\n"
    )
    client.chmod(0o755)
    return client


@pytest.mark.parametrize(
    ("code", "out", "err", "why"),
    [
        (9, "Name or service not known\\n", "", "Name or service not known"),
        (125, "", f"{NO_BRIDGE}\\n\\nRun docker run --help\\n", "could not find bridge docker0"),
    ],
)
def test_engine_without_a_network_is_refused_with_the_name_and_why(
    tmp_path: Path, target: tuple[str, int], code: int, out: str, err: str, why: str
) -> None:
    client = docker(tmp_path, code=code, out=out, err=err)
    with pytest.raises(KindlingError, match=why) as failure:
        engine_probe.prove_network(client, HOST, target)
    assert f"does not reach {target[0]}" in failure.value.message


def test_container_is_on_the_default_network(tmp_path: Path, target: tuple[str, int]) -> None:
    engine_probe.prove_network(docker(tmp_path), HOST, target)
    (line,) = [line for line in (tmp_path / "asked").read_text().splitlines() if "run" in line[:4]]
    assert "--network" not in line


@pytest.mark.parametrize("code", [1, 126, 127])
def test_python_that_does_not_start_in_a_container_says_nothing_of_the_network(
    tmp_path: Path, target: tuple[str, int], code: int
) -> None:
    engine_probe.prove_network(docker(tmp_path, code=code), HOST, target)


def test_container_is_not_asked_for_what_this_host_does_not_reach(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    engine_probe.prove_network(docker(tmp_path, code=9), HOST, ("127.0.0.1", port))
    assert not (tmp_path / "asked").exists()


def test_engine_on_another_host_is_not_asked(tmp_path: Path, target: tuple[str, int]) -> None:
    engine_probe.prove_network(docker(tmp_path, code=9), "tcp://10.0.0.1:2375", target)
    assert not (tmp_path / "asked").exists()


class Engine:
    """An engine whose network works again when it was started anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, own: bool) -> None:
        self.broken, self.started = True, 0
        monkeypatch.setattr(engine_setup, "install_build_packages", lambda: None)
        monkeypatch.setattr(pip_config, "address", lambda: ("index.example", 443))
        monkeypatch.setattr(engine_probe, "prove_network", self.prove)
        monkeypatch.setattr(engine_probe, "prove_privileged", lambda *_: None)
        monkeypatch.setattr(engine, "own_pid", lambda: 1 if own else None)
        monkeypatch.setattr(engine, "own_host", lambda: HOST)
        monkeypatch.setattr(engine, "own_program", lambda: Path("/usr/sbin/dockerd"))
        monkeypatch.setattr(engine, "answers", lambda *_: True)
        monkeypatch.setattr(engine, "has_bridge", lambda: not self.broken)
        monkeypatch.setattr(engine, "start", self.start)

    def prove(self, *_: object) -> None:
        if self.broken:
            raise KindlingError("no network")

    def start(self, *_: object) -> str:
        self.broken, self.started = False, self.started + 1
        return HOST


def test_engine_of_ours_without_a_network_is_restarted_before_a_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = Engine(monkeypatch, own=True)
    engine_setup.prepare_builds(Path("docker"), HOST)
    engine_setup.prepare_builds(Path("docker"), HOST)
    assert ours.started == 1


def test_engine_of_ours_without_its_bridge_is_to_be_restarted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = Engine(monkeypatch, own=True)
    monkeypatch.setattr(engine_setup, "_client", lambda **_: (Path("docker"), []))
    assert engine_setup.present("auto", check=True)["changed"]
    assert ours.started == 0
    assert engine_setup.present("auto", check=False)["changed"]
    assert ours.started == 1
    assert not engine_setup.present("auto", check=True)["changed"]


def test_name_that_is_not_found_for_a_moment_restarts_nothing(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    ours = Engine(monkeypatch, own=True)
    answers = iter(["[Errno -3] Temporary failure in name resolution", ""])

    def prove(*_: object) -> None:
        if why := next(answers):
            raise KindlingError(why)

    monkeypatch.setattr(engine_probe, "prove_network", prove)
    engine_setup.prepare_builds(Path("docker"), HOST)
    assert (ours.started, len(pauses)) == (0, 1)


def test_engine_of_the_user_is_never_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Engine(monkeypatch, own=False)
    with pytest.raises(KindlingError, match="no network"):
        engine_setup.prepare_builds(Path("docker"), HOST)
    assert theirs.started == 0


def test_engine_of_ours_whose_bridge_another_daemon_removed_is_restarted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = Engine(monkeypatch, own=True)
    assert engine_setup.present("auto", check=False)["changed"]
    assert ours.started == 1
    assert not engine_setup.present("auto", check=False)["changed"]
