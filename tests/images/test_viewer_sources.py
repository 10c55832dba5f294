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
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert len(packages) > 300
    for name, one in packages.items():
        assert "resolved" not in one, name
        # What another package carries inside itself is covered by that one's hash.
        assert one.get("integrity", "").startswith("sha512-") or one.get("inBundle"), name


def test_the_lock_is_that_of_the_project(lock: dict[str, Any]) -> None:
    project = json.loads((PROJECT / "package.json").read_text())
    root = lock["packages"][""]
    assert root["dependencies"] == project["dependencies"]
    assert root["devDependencies"] == project["devDependencies"]


@pytest.mark.parametrize("machine", ["x64", "arm64"])
def test_the_lock_has_the_builders_programs_for_other_machines_too(
    lock: dict[str, Any], machine: str
) -> None:
    # npm leaves them out when the lock is made beside a node_modules that is there already.
    for name in (f"@esbuild/linux-{machine}", f"@rollup/rollup-linux-{machine}-gnu"):
        assert f"node_modules/{name}" in lock["packages"]
    optional = {
        f"node_modules/{dependency}"
        for one in lock["packages"].values()
        for dependency in one.get("optionalDependencies", {})
    }
    assert optional <= set(lock["packages"])
