"""Programs that come as wheels, whose hashes are pinned: the same ones on every machine."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from kindling import paths, uv
from kindling.supply.store import Step, hash_files


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


def uv_step() -> Step:
    """What the build of a Python image mounts: uv, and the script that makes its environment."""
    script = paths.REPOSITORY / "images" / "uv" / "make-venv"
    lock = (paths.REPOSITORY / "requirements" / "nox.txt").read_text().splitlines()
    version = next(line.split()[0] for line in lock if line.startswith("uv=="))

    def build(out: Path, _: Mapping[str, Path]) -> None:
        shutil.copy(uv.binary(), out / "uv")
        shutil.copy(script, out)

    return Step("uv", (version, hash_files(script)), build)
