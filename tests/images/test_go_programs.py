"""The tests of our own Go programs, with the pinned toolchain, where it has been fetched."""

from __future__ import annotations

import os
import subprocess

import pytest

from kindling import paths
from kindling.supply import golang
from kindling.supply.store import Store

ABSENT = "the toolchain is fetched by: nox -s cluster-up -- -e images_supply=packages"


def test_the_go_programs_pass_their_own_tests_and_vet() -> None:
    step = golang.toolchain()
    store = Store(paths.cache_dir() / "store")
    if not store.has(step):
        pytest.skip(
            "the Go toolchain is fetched by: nox -s cluster-up -- -e images_supply=packages"
        )
    go = store.path(step)
    for words in (["vet"], ["test"]):
        done = subprocess.run(
            ["go", *words, "./cmd/..."],
            cwd=golang.MODULES / "cluster",
            env={**os.environ, **golang.environment(go)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_go_file_is_formatted() -> None:
    step = golang.toolchain()
    store = Store(paths.cache_dir() / "store")
    if not store.has(step):
        pytest.skip(
            "the Go toolchain is fetched by: nox -s cluster-up -- -e images_supply=packages"
        )
    gofmt = store.path(step) / "go" / "bin" / "gofmt"
    done = subprocess.run([gofmt, "-l", golang.MODULES], capture_output=True, text=True, check=True)
    assert done.stdout == ""
