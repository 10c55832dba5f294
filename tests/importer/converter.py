"""The converter, in an environment with what its image has; models are made there too."""

from __future__ import annotations

import functools
import io
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kindling import environments, import_answer, paths
from kindling.import_answer import Answer

MAKER = Path(__file__).with_name("made_models.py")


@dataclass(frozen=True)
class Made:
    """An MLflow model in ``folder``, and what its owner's libraries make of ``truth["rows"]``."""

    folder: Path
    truth: dict[str, Any]


@functools.cache
def python() -> Path:
    """The Python of that environment, which is made the first time."""
    return environments.ensure("importer")


def run(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    variables = {
        "PYTHONPATH": str(paths.REPOSITORY / "images"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    return subprocess.run([python(), *words], capture_output=True, env={**os.environ, **variables})


def convert(model: Path) -> Answer:
    """What the converter says of a model, read as `import-model` reads it."""
    done = run("-m", "importer", model, "mine")
    assert done.returncode in (0, 3), done.stderr.decode()
    return import_answer.read(io.BytesIO(done.stdout), "mine")
