"""``images/versions.yml``, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kindling import paths
from kindling.errors import KindlingError
from kindling.supply.archive import Package

FILE = paths.REPOSITORY / "images" / "versions.yml"


@dataclass(frozen=True)
class Pinned:
    """An upstream image and the digest that it must have (empty where none is pinned).

    What takes the place of an ``optional`` one where it cannot be had, is made here.
    """

    upstream: str
    digest: str
    optional: bool = False

    @property
    def ref(self) -> str:
        """What to pull: by digest where there is one."""
        return f"{self.upstream}@{self.digest}" if self.digest else self.upstream


@dataclass(frozen=True)
class Versions:
    """Every version and digest; ``build`` holds those of the toolchain and of Debian.

    ``engine`` are packages of the Debian release ``engine_release``.
    """

    kubernetes: str
    tools: dict[str, str]
    build: dict[str, Any]
    engine_release: str
    engine: tuple[Package, ...]
    images: dict[str, Pinned]
    node_images: dict[str, str]


def load(file: Path = FILE) -> Versions:
    """Read ``file``. Raises KindlingError when it is missing, broken or lacks a key."""
    try:
        raw = yaml.safe_load(file.read_text())
        return Versions(
            kubernetes=raw["kubernetes"],
            tools=raw["tools"],
            build=raw["build"],
            engine_release=raw["engine"]["release"],
            engine=tuple(Package(n, **p) for n, p in raw["engine"]["packages"].items()),
            images={name: Pinned(**image) for name, image in raw["images"].items()},
            node_images=raw["node_images"],
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise KindlingError(
            f"{file} is not a complete list of versions: {error}", next_step=f"git checkout {file}"
        ) from error
