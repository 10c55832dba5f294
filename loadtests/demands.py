"""What an answer must be like, or is wrong."""

from __future__ import annotations

import json
from typing import Any


class WrongError(Exception):
    """An answer contradicts what it should say; the text is the reason, one of few short words."""


def demand(fits: bool, reason: str) -> None:
    """Raise WrongError unless it fits."""
    if not fits:
        raise WrongError(reason)


def parse(content: bytes | str) -> dict[str, Any]:
    """A JSON object. Raises WrongError."""
    try:
        answer = json.loads(content)
    except ValueError:
        raise WrongError("not JSON") from None
    demand(isinstance(answer, dict), "not JSON")
    found: dict[str, Any] = answer
    return found
