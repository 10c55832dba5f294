"""The one error of the pipeline that people see."""

from __future__ import annotations


class PipelineError(Exception):
    """A failure with a message for people and a next step, like the errors of every command.

    ``str(error)`` is one sentence; ``next_step`` is a command or an action, or empty.
    """

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def for_people(self) -> str:
        """The message, with the next step on a line of its own where there is one."""
        return f"{self.message}\n  next: {self.next_step}" if self.next_step else self.message
