"""What is left of Go's caches once all is built, with the pinned toolchain where it was fetched."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kindling import paths
from kindling.supply import go_caches, golang
from kindling.supply.store import Store

_OWN = ("./cmd/...",)
_USED = "outer/used"
# By its name the package of `outer/used` may as well be part of `outer`, where Go looks too.
_DEPENDENCIES = (_USED, "outer", "unused")


@pytest.fixture(scope="module")
def go() -> Path:
    store, step = Store(paths.store_dir()), golang.toolchain()
    if not store.has(step):
        pytest.skip("nox -s cluster-up -- -e images_supply=packages fetches the toolchain")
    return store.path(step)


@pytest.fixture(scope="module")
def module(go: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A module whose program of ours uses one dependency, and whose other program uses three."""
    place = tmp_path_factory.mktemp("go")
    folder = place / "module"
    for name in _DEPENDENCIES:
        publish(place / "proxy", name)
    write(folder / "go.mod", "module example.com/ours\n\ngo 1.26\n")
    write(folder / "cmd/own/main.go", program(_USED))
    write(folder / "cmd/own/main_test.go", "package main\n")
    write(folder / "upstream/both/main.go", program(*_DEPENDENCIES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINDLING_CACHE", str(place / "cache"))
        patch.setenv("GOPROXY", f"file://{place / 'proxy'}")
        patch.setenv("GONOSUMDB", "*")
        call(go, folder, "get", *(f"example.com/{name}@v1.0.0" for name in _DEPENDENCIES))
        yield folder


def publish(proxy: Path, name: str) -> None:
    """Put version 1 of a module with one package into a module proxy made of files."""
    path, files = f"example.com/{name}", proxy / "example.com" / name / "@v"
    definition = f"module {path}\n\ngo 1.26\n"
    write(files / "v1.0.0.mod", definition)
    write(files / "v1.0.0.info", '{"Version": "v1.0.0"}')
    with zipfile.ZipFile(files / "v1.0.0.zip", "w") as archive:
        archive.writestr(f"{path}@v1.0.0/go.mod", definition)
        package = name.rpartition("/")[2]
        archive.writestr(f"{path}@v1.0.0/do.go", f"package {package}\n\nfunc Do() {{}}\n")


def program(*names: str) -> str:
    imports = "".join(f'import "example.com/{name}"\n' for name in names)
    calls = "; ".join(f"{name.rpartition('/')[2]}.Do()" for name in names)
    return f"package main\n\n{imports}\nfunc main() {{ {calls} }}\n"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def call(go: Path, folder: Path, *words: str) -> str:
    """``go WORDS``, which must succeed; returns what it says on standard error."""
    done = subprocess.run(
        ["go", *words], cwd=folder, env={**os.environ, **golang.environment(go)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def compiled(said: str) -> list[str]:
    """The packages that ``go build -x`` or ``go test -x`` compiled."""
    lines = [line for line in said.splitlines() if "/compile " in line]
    return [line.split(" -p ")[1].split()[0] for line in lines]


def test_what_tests_of_our_own_programs_need_stays_and_the_rest_goes(
    go: Path, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = golang.caches_dir() / "mod"
    call(go, module, "build", "-o", os.devnull, "./upstream/both")
    assert (modules / "example.com" / "unused@v1.0.0").is_dir()
    go_caches.prune(go, module, _OWN)
    assert not (modules / "example.com" / "unused@v1.0.0").exists()
    assert not list(modules.rglob("*.zip"))
    with monkeypatch.context() as patch:
        patch.setenv("GOPROXY", "off")
        said = call(go, module, "test", "-x", *_OWN)
    assert not {"runtime", "testing", f"example.com/{_USED}"} & set(compiled(said))
    # What was deleted is built again.
    said = call(go, module, "build", "-x", "-o", os.devnull, "./upstream/both")
    assert set(compiled(said)) == {"example.com/outer", "example.com/unused", "main"}


def test_caches_are_pruned_once_for_each_build(go: Path, module: Path) -> None:
    unused = golang.caches_dir() / "mod" / "example.com" / "unused@v1.0.0"
    go_caches.prune(go, module, _OWN)
    call(go, module, "mod", "download", "example.com/unused")
    go_caches.prune(go, module, _OWN)
    assert unused.is_dir(), "nothing was built that could have needed it"
    golang.pruned_mark().unlink()
    go_caches.prune(go, module, _OWN)
    assert not unused.exists()


def test_every_package_with_tests_is_among_those_whose_needs_stay(go: Path) -> None:
    module = golang.MODULES / "cluster"
    tested = {file.parent.relative_to(module).as_posix() for file in module.rglob("*_test.go")}
    roots = tuple(pattern.removeprefix("./").removesuffix("...") for pattern in golang.OWN)
    assert tested
    assert all(f"{folder}/".startswith(roots) for folder in tested)
