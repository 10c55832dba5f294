"""Root file systems made of Debian packages, for hosts that can pull no base image."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from kindling import retry
from kindling.supply import command
from kindling.supply.store import Step

# What a container never reads: a third of an image made of Debian packages.
_LEFT_OUT = (
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/i18n/*",
    "/usr/share/doc/*",
    "/usr/share/bash-completion/*",
    "/usr/share/lintian/*",
    "/usr/lib/*/gconv/*",
    "/usr/lib/python3*/pydoc_data/*",
    "/usr/lib/python3*/test/*",
)
# Of every architecture, and of a version that no dependency finds too old.
_STANZA = """Package: {}
Status: install ok installed
Architecture: all
Multi-Arch: foreign
Version: 999:1
Maintainer: Kindling
Description: taken for installed
"""
# A fixed time for what Debian's tools stamp; layers then differ only where packages do.
_EPOCH = "1767225600"


def root(
    name: str,
    suite: str,
    revision: int,
    packages: Sequence[str],
    *,
    bootable: bool = False,
    assumed: Sequence[str] = (),
) -> Step:
    """A step whose result is ``rootfs.tar``.

    ``bootable`` configures the packages and keeps what a system needs to run; without it, only
    the files of ``packages`` and of what they depend on are there, and no package manager.
    ``assumed`` are packages that some of them depend on and that are not needed to run them: apt
    is told that they are there.
    """
    variant = "minbase" if bootable else "extract"

    def build(out: Path, _: Mapping[str, Path]) -> None:
        scratch = out / "tmp"
        scratch.mkdir()
        command.run(
            ["mmdebstrap", "--quiet", f"--variant={variant}", f"--include={','.join(packages)}",
             *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
             "--dpkgopt=path-include=/usr/share/doc/*/copyright",
             *([f"--setup-hook={_status(assumed)}"] if assumed else []),
             suite, out / "rootfs.tar"],
            env={"SOURCE_DATE_EPOCH": _EPOCH, "TMPDIR": str(scratch)},
            what=f"installing the Debian packages of {name}", again=retry.NETWORK,
        )  # fmt: skip
        scratch.rmdir()

    # What is left out, which are paths, keeps packages and assumed ones apart.
    inputs = (variant, suite, str(revision), *packages, *_LEFT_OUT, *assumed)
    return Step(name, inputs, build)


def _status(packages: Sequence[str]) -> str:
    """Shell that adds ``packages`` to those that dpkg of the root ``$1`` takes for installed."""
    stanzas = [_STANZA.format(package) for package in packages]
    return f"printf '%s\\n' {shlex.quote(chr(10).join(stanzas))} >> \"$1/var/lib/dpkg/status\""
