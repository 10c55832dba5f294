"""Quantities of Kubernetes as numbers."""

from __future__ import annotations

import pytest

from kindling.quantities import quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", 0.5), ("2", 2.0), (3, 3.0), ("1k", 1000.0), ("1Ki", 1024.0), ("1e3", 1000.0)],
)
def test_quantities(text: str | int, number: float) -> None:
    assert quantity(text) == number


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="'much' is no quantity"):
        quantity("much")
