"""SIGTERM before the server is there to take it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

LIBRARIES = (
    "dynaconf", "fastapi", "httptools", "numpy", "onnxruntime", "prometheus_client", "pydantic",
    "sentencepiece", "starlette", "structlog", "uvicorn",
)  # fmt: skip
NOT_STOPPED = 7

# What stands in for each library: the first to be imported stops its own process.
STOP = f"""
import os, signal, sys
os.kill(os.getpid(), signal.SIGTERM)
sys.exit({NOT_STOPPED})
"""


@pytest.mark.parametrize("start", [[], ["unshare", "--pid", "--fork"]], ids=["any", "process 1"])
def test_sigterm_while_libraries_are_imported_ends_it_well(
    tmp_path: Path, start: list[str]
) -> None:
    if start and not allowed(start):
        pytest.skip("nobody can be process 1 here; any other process is tested all the same")
    for name in LIBRARIES:
        (tmp_path / f"{name}.py").write_text(STOP)
    done = subprocess.run(
        [*start, sys.executable, "-B", "-m", "service"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=60,
    )
    assert done.returncode == 0


def allowed(start: list[str]) -> bool:
    """Whether commands may be started with these words."""
    if shutil.which(start[0]) is None:
        return False
    return subprocess.run([*start, "true"], stderr=subprocess.DEVNULL, timeout=20).returncode == 0
