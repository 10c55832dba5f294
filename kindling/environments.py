"""Python environments of the commands, one for each lock file; standard library only.

``requirements/NAME.txt`` describes the environment NAME, or ``images/NAME/requirements.txt`` one
with what an image has. Environments live in the user's cache and
are shared by every checkout with the same lock file.
"""

from __future__ import annotations

import fcntl
import hashlib
import sys
from pathlib import Path

from kindling import paths, uv


def folder(name: str) -> Path:
    """Where the environment ``name`` is, or will be."""
    lock = _lock_file(name).read_bytes()
    key = hashlib.sha256(lock + sys.version.encode()).hexdigest()[:12]
    return paths.cache_dir() / "venvs" / f"{name}-{key}"


def ensure(name: str) -> Path:
    """Make the environment ``name`` unless it is there; returns its Python.

    Raises KindlingError where it cannot be made.
    """
    made, lock = folder(name), _lock_file(name)
    python = made / "bin" / "python"
    made.parent.mkdir(parents=True, exist_ok=True)
    with (made.parent / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (made / "finished").exists():
            what = f"installing {lock.relative_to(paths.REPOSITORY)}"
            uv.run("venv", "--clear", "--python", sys.executable, made, what=what, offline=True)
            uv.run("pip", "sync", "--python", python, "--require-hashes", lock, what=what)
            uv.run("pip", "check", "--python", python, what=what, offline=True)
            (made / "finished").touch()
    return python


def variables() -> dict[str, str]:
    """What our tools run with: what they keep goes with our caches, not into the user's folders."""
    cache = paths.cache_dir()
    return {
        "PYTHONPATH": str(paths.REPOSITORY),
        # Compiled once, and beside the checkout: even empty it overrides a user's own.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(cache / "pycache"),
        "ANSIBLE_HOME": str(cache / "ansible"),
        "ANSIBLE_REMOTE_TMP": str(cache / "ansible" / "tmp"),
        "BUILDX_CONFIG": str(cache / "buildx"),
        "KUBECACHEDIR": str(cache / "kube"),
        "HELM_CACHE_HOME": str(cache / "helm"),
        "HELM_CONFIG_HOME": str(cache / "helm"),
        "HELM_DATA_HOME": str(cache / "helm"),
    }


def _lock_file(name: str) -> Path:
    own = paths.REPOSITORY / "requirements" / f"{name}.txt"
    return own if own.exists() else paths.REPOSITORY / "images" / name / "requirements.txt"
