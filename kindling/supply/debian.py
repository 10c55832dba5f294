"""Root file systems made of Debian packages, for hosts that can pull no base image."""

from __future__ import annotations

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
# A fixed time for what Debian's tools stamp; layers then differ only where packages do.
_EPOCH = "1767225600"


def root(
    name: str,
    suite: str,
    revision: int,
    packages: Sequence[str],
    *,
    bootable: bool = False,
    without: Sequence[str] = (),
) -> Step:
    """A step whose result is ``rootfs.tar``.

    ``bootable`` configures the packages and keeps what a system needs to run; without it, only
    the files of ``packages`` and of what they depend on are there, and no package manager.
    ``without`` are patterns of further files to leave out.
    """
    variant = "minbase" if bootable else "extract"
    left_out = (*_LEFT_OUT, *without)

    def build(out: Path, _: Mapping[str, Path]) -> None:
        scratch = out / "tmp"
        scratch.mkdir()
        command.run(
            ["mmdebstrap", "--quiet", f"--variant={variant}", f"--include={','.join(packages)}",
             *(f"--dpkgopt=path-exclude={path}" for path in left_out),
             "--dpkgopt=path-include=/usr/share/doc/*/copyright",
             suite, out / "rootfs.tar"],
            env={"SOURCE_DATE_EPOCH": _EPOCH, "TMPDIR": str(scratch)},
            what=f"installing the Debian packages of {name}", again=retry.NETWORK,
        )  # fmt: skip
        scratch.rmdir()

    return Step(name, (variant, suite, str(revision), *packages, *left_out), build)
