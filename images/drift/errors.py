"""What can go wrong, each with a sentence for people."""

from __future__ import annotations


class DriftError(Exception):
    """Base of all."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SettingsInvalidError(DriftError):
    """A setting is unknown or has a bad value; the process must not start."""


class NoReplicaError(DriftError):
    """The service's name has no address: none of its replicas is ready."""


class CallFailedError(DriftError):
    """Somebody does not answer, or not as they should; ``status`` is theirs if they do."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
