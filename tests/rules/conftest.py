from __future__ import annotations

import os
from pathlib import Path

import pytest

from kindling import lint
from kindling.errors import KindlingError


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The real promtool; without one the tests fail, they are never skipped."""
    if named := os.environ.get("KINDLING_PROMTOOL"):
        return Path(named)
    try:
        return lint.find_promtool()  # type: ignore[attr-defined,no-any-return]
    except (AttributeError, KindlingError) as error:
        pytest.fail(f"no promtool: {error}; set KINDLING_PROMTOOL to one", pytrace=False)
