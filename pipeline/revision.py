"""Which revision of the code a model is from."""

from __future__ import annotations

import subprocess
from pathlib import Path

_UNKNOWN = "unknown"


def describe(root: Path) -> dict[str, str]:
    """``git_commit`` and ``git_dirty`` (true or false) of ``root``; ``unknown`` without Git."""
    commit = _git(root, "rev-parse", "HEAD")
    # Training itself writes dvc.lock.
    changed = _git(root, "status", "--porcelain", "--", ".", ":!dvc.lock")
    if commit is None or changed is None:
        return {"git_commit": _UNKNOWN, "git_dirty": _UNKNOWN}
    return {"git_commit": commit, "git_dirty": "true" if changed else "false"}


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
