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
CONVERSIONS = Path(__file__).with_name("conversions.py")


@dataclass(frozen=True)
class Made:
    """An MLflow model in ``folder``, and what its owner's libraries make of ``truth["rows"]``."""

    folder: Path
    truth: dict[str, Any]


@functools.cache
def python() -> Path:
    """The Python of that environment, which is made the first time."""
    return environments.ensure("importer")


def variables() -> dict[str, str]:
    own = {"PYTHONPATH": str(paths.REPOSITORY / "images")}
    own |= {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
    # Of models as small as these, threads do little but wait for each other.
    own["OMP_NUM_THREADS"] = "1"
    return {**os.environ, **own}


def run(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([python(), *words], capture_output=True, env=variables())


class Converter:
    """The converter, with its libraries imported once for all models; see ``conversions.py``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [python(), CONVERSIONS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=variables(), text=True,
            )  # fmt: skip

    def said(self, model: Path) -> tuple[int, bytes]:
        """The exit code for a model, and all that was written to standard output."""
        assert self._process.stdin
        assert self._process.stdout
        said = self._folder / "said"
        said.unlink(missing_ok=True)
        print(model, said, sep="\t", file=self._process.stdin, flush=True)
        code = self._process.stdout.readline()
        assert code, self._log.read_text()
        return int(code), said.read_bytes()

    def convert(self, model: Path) -> Answer:
        """What the converter says of a model, read as `import-model` reads it."""
        code, said = self.said(model)
        assert code in (0, 3), self._log.read_text()
        return import_answer.read(io.BytesIO(said), "mine")

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()
