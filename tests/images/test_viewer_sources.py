"""The viewer's npm project: locked for every platform, naming no registry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kindling import paths

PROJECT = paths.REPOSITORY / "images" / "dashboards"


@pytest.fixture(scope="module")
def lock() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((PROJECT / "package-lock.json").read_text())
    return read


def test_the_lock_names_no_registry_and_pins_every_package_by_its_hash(
    lock: dict[str, Any],
) -> None:
    packages = {name: one for name, one in lock["packages"].items() if "node_modules/" in name}
    assert len(packages) > 150
    for name, one in packages.items():
        if one.get("link"):
            assert (PROJECT / one["resolved"] / "package.json").is_file(), name
        else:
            assert "resolved" not in one, name
            assert one["integrity"].startswith("sha512-"), name


def test_a_stand_in_is_taken_wherever_its_package_is_asked_for(lock: dict[str, Any]) -> None:
    stand_ins = [json.loads(file.read_text()) for file in PROJECT.glob("stand-ins/*/package.json")]
    assert len(stand_ins) == 4
    for one in stand_ins:
        found = [name for name in lock["packages"] if name.endswith(f"node_modules/{one['name']}")]
        assert found == [f"node_modules/{one['name']}"]
        assert lock["packages"][found[0]]["link"]


def test_the_lock_is_that_of_the_project(lock: dict[str, Any]) -> None:
    project = json.loads((PROJECT / "package.json").read_text())
    root = lock["packages"][""]
    assert root["dependencies"] == project["dependencies"]
    assert root["devDependencies"] == project["devDependencies"]


@pytest.mark.parametrize("machine", ["x64", "arm64"])
def test_the_lock_has_the_bundler_for_other_machines_too(
    lock: dict[str, Any], machine: str
) -> None:
    # npm leaves them out when the lock is made beside a node_modules that is there already.
    assert f"node_modules/@esbuild/linux-{machine}" in lock["packages"]
    optional = {
        f"node_modules/{dependency}"
        for one in lock["packages"].values()
        for dependency in one.get("optionalDependencies", {})
    }
    assert optional <= set(lock["packages"])
