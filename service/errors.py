"""Everything the service can refuse or fail at, each with the HTTP status that it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class ServiceError(Exception):
    """Base of all; the client is shown ``message``, and ``field`` if one is at fault."""

    status_code: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    headers: Mapping[str, str] = {}

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidRequestError(ServiceError):
    """The body is not a valid request, or not one for this model."""

    status_code = 422
    code = "invalid_request"


class ModelNotFoundError(ServiceError):
    """No model of that name, or none that does what the endpoint offers."""

    status_code = 404
    code = "model_not_found"


class FeedbackOffError(ServiceError):
    """The service gives no ids to predictions, and so takes no labels for them."""

    status_code = 404
    code = "feedback_off"


class FeedbackNotAllowedError(ServiceError):
    """The request for feedback has no token, or another one."""

    status_code = 401
    code = "feedback_not_allowed"
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class FeedbackExpiredError(ServiceError):
    """The prediction is too old for its labels to be taken."""

    status_code = 422
    code = "feedback_expired"


class BodyTooLargeError(ServiceError):
    """The body has more bytes than the service reads."""

    status_code = 413
    code = "body_too_large"


class BodyTooSlowError(ServiceError):
    """The body did not arrive in the time that the service waits for it."""

    status_code = 408
    code = "body_too_slow"
    # What is still missing would be taken for the next request's, and waited for without end.
    headers: Mapping[str, str] = {"Connection": "close"}


class EncodingUnsupportedError(ServiceError):
    """The body is compressed: how large it is would be known only after it is unpacked."""

    status_code = 415
    code = "unsupported_encoding"
    headers: Mapping[str, str] = {"Accept-Encoding": "identity", "Connection": "close"}


class ClientGoneError(ServiceError):
    """The client hung up before its request was read; nobody sees the answer."""

    status_code = 499
    code = "client_gone"


class NotReadyError(ServiceError):
    """The model is not loaded yet."""

    status_code = 503
    code = "not_ready"
    headers: Mapping[str, str] = {"Retry-After": "1"}


class OverloadedError(ServiceError):
    """More requests are in flight than the service takes on."""

    status_code = 503
    code = "overloaded"
    headers: Mapping[str, str] = {"Retry-After": "1"}


class TimedOutError(ServiceError):
    """The request waited and computed longer than a request may."""

    status_code = 504
    code = "timed_out"


class UpstreamFailedError(ServiceError):
    """The upstream cannot be reached, or answers with something else than a text."""

    status_code = 502
    code = "upstream_failed"


class UpstreamRefusesKeyError(ServiceError):
    """The upstream lets nobody in with the key that the service has."""

    status_code = 503
    code = "upstream_refuses_key"


class UpstreamBusyError(ServiceError):
    """The upstream takes no more requests now; ``retry_after`` is in seconds, if it told."""

    status_code = 503
    code = "upstream_busy"

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.headers = {"Retry-After": str(retry_after)}


class PredictionFailedError(ServiceError):
    """The model could not answer a valid request."""

    code = "prediction_failed"


class ModelInvalidError(ServiceError):
    """A model's files are missing, damaged or not what they say they are."""

    code = "model_invalid"


class ModelRefusedError(ServiceError):
    """A registered version that is never going to be served as it is; the message says why."""

    code = "model_refused"


class ModelUnavailableError(ServiceError):
    """A version could not be had this time, for a reason that is not its own."""

    code = "model_unavailable"


class RegistryUnreachableError(ServiceError):
    """The registry does not answer, or not as a registry does."""

    code = "registry_unreachable"


class AnswerAbsentError(RegistryUnreachableError):
    """The registry has nothing at this address."""


class AnswerTooLargeError(RegistryUnreachableError):
    """The registry's answer has more bytes than are read."""


class SettingsInvalidError(ServiceError):
    """A setting is unknown or has a bad value; the process must not start."""

    code = "settings_invalid"
