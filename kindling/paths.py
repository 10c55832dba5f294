"""Where Kindling keeps things: caches survive ``cluster-down``, state does not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
NOX_PYTHON = "KINDLING_NOX_PYTHON"


def nox_python() -> Path:
    """The Python that runs Nox: its environment, and no other of ours, has pip and uv."""
    return Path(os.environ.get(NOX_PYTHON) or sys.executable)


def cache_dir() -> Path:
    """Downloads, builds and the engine's images: safe to delete, slow to make again."""
    if override := os.environ.get("KINDLING_CACHE"):
        # Absolute: the engine that keeps its data here runs in another folder.
        return Path(override).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kindling"


def ca_bundle() -> Path | None:
    """The file of a company's authorities, if the environment names one that is there."""
    file = Path(os.environ.get("SSL_CERT_FILE", ""))
    return file if file.is_file() else None


def store_dir() -> Path:
    """Finished builds."""
    return cache_dir() / "store"


def work_dir() -> Path:
    """Half-done work, which the next run that builds removes."""
    return store_dir() / ".work"


def state_root() -> Path:
    """The folder with one folder per cluster, and the run lock."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "kindling"


def state_dir(cluster_name: str) -> Path:
    """Kubeconfig and facts of one running cluster; removed by ``cluster-down``."""
    return state_root() / cluster_name


def has_clusters() -> bool:
    """Whether any cluster of ours is recorded, complete or not."""
    return any(state_root().glob("*/cluster.json"))


def engine_dir() -> Path:
    """Everything of an engine that Kindling itself started: data, log, pid."""
    return cache_dir() / "engine"
