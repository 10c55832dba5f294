"""The one error of a conversion: why a model cannot be taken, and what its owner can do."""

from __future__ import annotations

_LONGEST = 400


class RefusedError(Exception):
    """A model that cannot be imported, for one reason and with one next step, a line each."""

    def __init__(self, reason: str, next_step: str) -> None:
        super().__init__(reason)
        self.reason, self.next_step = one_line(reason), next_step


def one_line(text: object) -> str:
    """The first line of what a library says, short enough for a person."""
    lines = str(text).strip().splitlines() or [type(text).__name__]
    return lines[0][:_LONGEST]
