"""Running the load test's command from tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kindling import paths


def loadtest(report: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``nox -s loadtest -- WORDS``, whatever comes of it."""
    return subprocess.run(
        [sys.executable, "-m", "loadtests", *words, f"--report={report}"],
        cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
