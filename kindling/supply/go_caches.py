"""What Go's caches hold once all is built: cut down to what tests of our own programs use."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from kindling.supply import command, golang

# Go notes the use of an entry by its time of change, and only if that is more than an hour old.
_UNUSED_SECONDS = 7200


def prune(
    go: Path,
    module: Path = golang.MODULES / "cluster",
    packages: Sequence[str] = golang.OWN,
) -> None:
    """Delete what neither ``go vet`` nor ``go test`` of ``packages`` of ``module`` reads.

    ``go`` is the toolchain's folder. Call it when all steps are built: a later build of anything
    else downloads and compiles again. It costs nothing where nothing was built since the last call.
    """
    caches = golang.caches_dir()
    if not caches.is_dir() or golang.pruned_mark().exists():
        return
    build, modules = caches / "build", caches / "mod"
    old = time.time() - _UNUSED_SECONDS
    for file in _files(build):
        os.utime(file, (old, old))
    used = _use(go, module, packages)
    for file in _files(build):
        if file.stat().st_mtime < old + 1:
            file.unlink()
    for folder in _module_dirs(modules):
        # Go looks for a package in each module that it may be part of by its name.
        prefix = f"{_module_path(folder.relative_to(modules))}/"
        if not any(package.startswith(prefix) for package in used):
            _remove(folder)
    for archive in (modules / "cache" / "download").rglob("*.zip"):
        archive.unlink()
    shutil.rmtree(modules / "cache" / "vcs", ignore_errors=True)
    golang.pruned_mark().touch()


def _use(go: Path, module: Path, packages: Sequence[str]) -> set[str]:
    """Compile whatever ``packages`` and their tests need; returns its import paths with a slash."""
    listed = command.run(
        ["go", "list", "-test", "-deps", "-export", "-f", "{{.ImportPath}}", *packages],
        cwd=module,
        env=golang.environment(go),
        what="listing what our own Go programs need",
    )
    # What is compiled again for a test bears the test's name after its own.
    return {f"{line.split()[0]}/" for line in listed.splitlines()}


def _module_path(folder: Path) -> str:
    """The path of the module in ``folder``, where capitals are written as ``!`` and the letter."""
    escaped = folder.as_posix().rpartition("@")[0]
    return re.sub("!(.)", lambda match: match[1].upper(), escaped)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _module_dirs(root: Path) -> Iterator[Path]:
    """The folders of unpacked modules, which are those with a version in their name."""
    for parent, folders, _ in os.walk(root):
        if Path(parent) == root and "cache" in folders:
            folders.remove("cache")
        for name in [name for name in folders if "@" in name]:
            folders.remove(name)
            yield Path(parent, name)


def _remove(folder: Path) -> None:
    # Go makes them read-only.
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o700)
    shutil.rmtree(folder)
