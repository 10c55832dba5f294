"""What was only needed to build is removed once all is built, and nothing of the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from kindling.supply import command, go_caches, modes
from kindling.supply.containers import Engine
from kindling.supply.modes import Supplier
from kindling.supply.versions import load

ENGINE = Engine(Path("docker"), "unix:///e.sock", ("docker-buildx",))


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What is asked to go, in order."""
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path))
    asked: list[str] = []
    monkeypatch.setattr(go_caches, "prune", lambda _: asked.append("go"))
    monkeypatch.setattr(command, "run", lambda words, **_: asked.append(" ".join(words)))
    monkeypatch.setattr(Supplier, "_engine", lambda _: ENGINE)
    monkeypatch.setattr(modes, "own_pid", lambda: 1)
    return asked


def supply(monkeypatch: pytest.MonkeyPatch, *made: str, check: bool = False) -> None:
    def build(supplier: Supplier, _: object) -> None:
        supplier._made += made

    monkeypatch.setattr(Supplier, "_build", build)
    Supplier(load(), ENGINE.docker, ENGINE.host, check).supply("packages", "asked for")


def test_caches_of_builds_go_with_the_last_build(
    monkeypatch: pytest.MonkeyPatch, removed: list[str]
) -> None:
    supply(monkeypatch, "kubernetes", "node-image")
    assert removed == ["go", "docker-buildx prune --all --force"]


@pytest.mark.parametrize(("made", "check"), [((), False), (("service-image",), False),
                                             (("node-image",), True)])  # fmt: skip
def test_caches_stay_while_an_image_is_worked_on_and_in_check_mode(
    monkeypatch: pytest.MonkeyPatch, removed: list[str], made: tuple[str, ...], check: bool
) -> None:
    supply(monkeypatch, *made, check=check)
    assert removed == []


def test_build_cache_of_the_users_engine_stays(
    monkeypatch: pytest.MonkeyPatch, removed: list[str]
) -> None:
    monkeypatch.setattr(modes, "own_pid", lambda: None)
    supply(monkeypatch, "node-image")
    assert removed == ["go"]
