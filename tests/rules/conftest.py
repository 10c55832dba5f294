from __future__ import annotations

from pathlib import Path

import pytest

from kindling import lint
from kindling.errors import KindlingError


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The real promtool; without one the tests fail, they are never skipped."""
    try:
        return lint.find_promtool()
    except KindlingError as error:
        pytest.fail(f"no promtool: {error.for_people()}", pytrace=False)
