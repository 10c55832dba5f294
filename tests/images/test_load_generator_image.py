"""The image of the load generator has of the repository what a process of it imports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from kindling import paths
from kindling.supply.containers import IMAGES
from kindling.supply.recipes import allowed


def test_a_process_of_the_load_starts_on_what_the_image_has(tmp_path: Path) -> None:
    for file in allowed(IMAGES / "load-generator"):
        copy = tmp_path / file.relative_to(paths.REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.runner"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
