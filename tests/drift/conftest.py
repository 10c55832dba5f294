"""Puts images/ where `drift`, which the image has as a package, is found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# At the end: images/mlflow must not be taken for MLflow.
sys.path.append(str(ROOT / "images"))

from fake_tracking import FakeTracking  # noqa: E402


@pytest.fixture
def tracking() -> Iterator[FakeTracking]:
    """An MLflow without experiments."""
    with FakeTracking() as found:
        yield found
