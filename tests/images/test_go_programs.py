"""Our own Go programs, with the pinned toolchain, where it has been fetched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kindling import paths
from kindling.supply import golang
from kindling.supply.store import Store


@pytest.fixture
def go() -> Path:
    store, step = Store(paths.store_dir()), golang.toolchain()
    if not store.has(step):
        pytest.skip("nox -s cluster-up -- -e images_supply=packages fetches the toolchain")
    return store.path(step)


def test_the_go_programs_pass_vet_and_their_tests(go: Path) -> None:
    # One command for both: each would look at all that they import once again.
    done = subprocess.run(
        ["go", "test", "-vet=all", "-ldflags=-s -w", *golang.OWN],
        cwd=golang.MODULES / "cluster",
        env={**os.environ, **golang.environment(go)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_go_file_is_formatted(go: Path) -> None:
    gofmt = go / "go" / "bin" / "gofmt"
    done = subprocess.run([gofmt, "-l", golang.MODULES], capture_output=True, text=True, check=True)
    assert done.stdout == ""
