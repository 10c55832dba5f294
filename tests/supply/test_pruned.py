"""What was only needed to build is removed once all is built, and nothing of the user's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from kindling import actions, paths
from kindling.supply import command, modes, unpacked
from kindling.supply.containers import Engine
from kindling.supply.modes import Supplier
from kindling.supply.recipes import Containers, Programs
from kindling.supply.versions import load

ENGINE = Engine(Path("docker"), "unix:///e.sock", ("docker-buildx",))


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What is asked to go, in order."""
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path))
    asked: list[str] = []
    monkeypatch.setattr(command, "run", lambda words, **_: asked.append(" ".join(words)))
    monkeypatch.setattr(Supplier, "_engine", lambda _: ENGINE)
    monkeypatch.setattr(modes, "own_pid", lambda: 1)
    monkeypatch.setattr(unpacked, "remove", lambda *_: asked.append("what is unpacked"))
    return asked


def prune() -> None:
    Supplier(load(), ENGINE.docker, ENGINE.host).prune()


def test_caches_of_builds_are_removed(removed: list[str]) -> None:
    prune()
    # What BuildKit holds is not collected.
    assert removed == ["docker-buildx prune --all --force", "what is unpacked"]


def test_gos_caches_are_pruned_when_nothing_is_built_any_more_that_reads_them() -> None:
    versions = load()
    programs = Programs(versions)
    todo, seen = [Containers(versions, programs, ENGINE).node([]), programs.helm], set[str]()
    pruned_after = {step.name for step in programs.pruned.after}
    while todo:
        step = todo.pop()
        if step.name not in seen:
            seen.add(step.name)
            todo += [*step.needs, *step.after]
            assert programs.go not in step.needs or step.name in pruned_after, step.name
    assert len(seen) > len(pruned_after) > 10


def test_a_change_of_a_go_program_has_its_caches_pruned_by_the_run_that_builds_it() -> None:
    def key(kind: str) -> str:
        versions = load()
        return Programs(replace(versions, tools={**versions.tools, "kind": kind})).pruned.key

    assert key("v1") == key("v1") != key("v2")


def test_results_that_others_hold_are_removed_and_the_others_stay(removed: list[str]) -> None:
    names = ("node-images-0123456789abcdef", "node-image-0123456789abcdef", "nodejs-" + "0" * 16)
    for name in names:
        (paths.store_dir() / name).mkdir(parents=True)
    prune()
    assert [path.name for path in paths.store_dir().iterdir()] == ["node-image-0123456789abcdef"]


def test_what_an_interrupted_run_built_is_pruned_by_the_next_one(removed: list[str]) -> None:
    params = {"versions_file": paths.REPOSITORY / "images/versions.yml", "docker": "docker",
              "host": ENGINE.host}  # fmt: skip
    assert not actions.prune_builds(params, check=False)["changed"]
    assert removed == []
    (paths.store_dir() / "node-images-0123456789abcdef").mkdir(parents=True)
    assert actions.prune_builds(params, check=True)["changed"]
    assert removed == []
    assert actions.prune_builds(params, check=False)["changed"]
    assert removed == ["docker-buildx prune --all --force", "what is unpacked"]
    assert not actions.prune_builds(params, check=False)["changed"]


def test_a_failure_to_remove_what_is_unpacked_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, removed: list[str]
) -> None:
    def fail(*_: object) -> None:
        raise FileNotFoundError("blobs/sha256/1e")

    monkeypatch.setattr(unpacked, "remove", fail)
    (paths.store_dir() / "node-images-0123456789abcdef").mkdir(parents=True)
    prune()
    assert not list(paths.store_dir().iterdir())


def test_build_cache_of_the_users_engine_stays(
    monkeypatch: pytest.MonkeyPatch, removed: list[str]
) -> None:
    monkeypatch.setattr(modes, "own_pid", lambda: None)
    prune()
    assert removed == []


def test_cluster_up_prunes_only_after_all_was_built() -> None:
    tasks = paths.REPOSITORY / "roles" / "images" / "tasks" / "pruned.yml"
    (task,) = yaml.safe_load(tasks.read_text())
    assert "when" not in task, "an interrupted run that has built is pruned by the next one"
    play = yaml.safe_load((paths.REPOSITORY / "playbooks" / "up.yml").read_text())
    imported = [task["ansible.builtin.import_role"] for task in play[0]["tasks"]]
    names = [(role["name"], role.get("tasks_from", "main")) for role in imported]
    # The nodes have their images, and only waiting is left.
    assert names.index(("images", "pruned")) > names.index(("releases", "main"))
