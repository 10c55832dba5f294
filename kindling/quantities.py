"""Quantities as Kubernetes writes them."""

from __future__ import annotations

import re

_UNITS = {
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)")


def quantity(text: str | int | float) -> float:
    """The number that ``text`` means, such as ``500m`` or ``192Mi``. Raises ValueError."""
    match = _QUANTITY.fullmatch(str(text))
    if not match or match[2] not in _UNITS:
        raise ValueError(f"{text!r} is no quantity")
    return float(match[1]) * _UNITS[match[2]]
