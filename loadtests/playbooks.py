"""Playbooks that a load test runs, to change what it tests and to change it back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

from kindling import paths
from kindling.errors import KindlingError


def run(
    playbook: str, inventory: Sequence[str], variables: Mapping[str, str], *, failed: str
) -> None:
    """Run one with other values. Raises KindlingError: that it ``failed``, and what it said."""
    sets = [f"--set={name}={value}" for name, value in variables.items()]
    done = subprocess.run(
        [sys.executable, "-m", "kindling.run", playbook, *inventory, *sets],
        cwd=paths.REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        first = next((n for n, line in enumerate(lines) if line.startswith("failed")), -8)
        raise KindlingError(
            f"{failed}:\n  " + "\n  ".join(lines[first:][:8]),
            next_step="nox -s status, then nox -s cluster-up",
        )
