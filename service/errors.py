"""Everything the service can refuse or fail at, each with the HTTP status that it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class ServiceError(Exception):
    """Base of all; the client is shown ``message``, and ``field`` if one is at fault."""

    status_code: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidRequestError(ServiceError):
    """The body is not a valid prediction request."""

    status_code = 422
    code = "invalid_request"


class BodyTooLargeError(ServiceError):
    """The body has more bytes than the service reads."""

    status_code = 413
    code = "body_too_large"


class BodyTooSlowError(ServiceError):
    """The body did not arrive in the time that the service waits for it."""

    status_code = 408
    code = "body_too_slow"
    # What is still missing would be taken for the next request's, and waited for without end.
    headers: ClassVar[Mapping[str, str]] = {"Connection": "close"}


class ClientGoneError(ServiceError):
    """The client hung up before its request was read; nobody sees the answer."""

    status_code = 499
    code = "client_gone"


class NotReadyError(ServiceError):
    """No model is loaded yet."""

    status_code = 503
    code = "not_ready"


class OverloadedError(ServiceError):
    """More requests are in flight than the service takes on."""

    status_code = 503
    code = "overloaded"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class PredictionFailedError(ServiceError):
    """The model could not answer a valid request."""

    code = "prediction_failed"


class ModelInvalidError(ServiceError):
    """The model's files are missing, damaged or of the wrong shape."""

    code = "model_invalid"


class SettingsInvalidError(ServiceError):
    """A setting is unknown or has a bad value; the process must not start."""

    code = "settings_invalid"
