"""uv, which installs Python packages by their hashes; standard library only."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from kindling import paths, pip_config, retry
from kindling.errors import KindlingError

_LAST_LINES = 24


def binary() -> Path:
    """The uv that requirements/nox.txt pins. Raises KindlingError where it is not installed."""
    python = paths.nox_python()
    found = python.with_name("uv")
    if not found.exists():
        raise KindlingError(
            f"there is no uv beside {python}",
            next_step=f"{python} -m pip install --require-hashes -r requirements/nox.txt",
        )
    return found


def run(*words: str | Path, what: str, offline: bool = False) -> None:
    """``uv WORDS``. Raises KindlingError with uv's last lines where it fails."""
    retry.call(lambda: _run(*words, what=what, offline=offline), retry.NETWORK)


def _run(*words: str | Path, what: str, offline: bool) -> None:
    program, config = binary(), {} if offline else pip_config.load()
    options = ["--no-config", "--quiet", *(["--offline"] if offline else [])]
    # The one option that uv takes from no variable.
    no_index = ["--no-index"] if pip_config.asks_no_index(config) else []
    done = subprocess.run(
        [program, *options, *words, *no_index], text=True, errors="replace",
        env={**_environment(), **pip_config.uv_variables(config)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        said = "\n  ".join(done.stdout.strip().splitlines()[-_LAST_LINES:])
        raise KindlingError(
            f"{what} failed (exit {done.returncode}):\n  {said}",
            next_step="the same command again; `pip config list` names the index",
        )


def _environment() -> dict[str, str]:
    # Pip's configuration alone decides: it is what the README's first command went by.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    return {
        **kept,
        "UV_CACHE_DIR": str(paths.cache_dir() / "uv"),
        "UV_LINK_MODE": "hardlink",
        "UV_PYTHON_DOWNLOADS": "never",
    }
