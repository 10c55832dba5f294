"""The programs of a container engine, out of Debian packages that need not be installed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from kindling import progress
from kindling.supply.archive import Archive, Package, host_release, unpack_programs
from kindling.supply.store import Step
from kindling.supply.versions import Versions

BUILDX = "docker-buildx"
_PROGRAMS = ("dockerd", "docker-proxy", "docker", "containerd", "containerd-shim-runc-v2", BUILDX)


def programs(versions: Versions) -> Step:
    """The step whose result folder holds dockerd and all that it needs, the client and buildx."""
    release, packages = versions.engine_release, versions.engine

    def build(out: Path, _: Mapping[str, Path]) -> None:
        newer, own = out / "newer", out / "own"
        newer.mkdir()
        for note in Archive(release, out / "apt").download(packages, newer):
            progress.emit(note, "done")
        unpack_programs(newer, _PROGRAMS, out)
        # runc of the newer release needs a newer C library; the host's own fits.
        own.mkdir()
        Archive(host_release(), out / "apt-own").download([Package("runc", "", {})], own)
        unpack_programs(own, ("runc",), out)
        for folder in ("newer", "own", "apt", "apt-own"):
            shutil.rmtree(out / folder)

    inputs = [release, host_release(), *_PROGRAMS]
    inputs += [f"{package.name}={package.version}" for package in packages]
    return Step("container-engine", tuple(inputs), build)
