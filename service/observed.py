"""What an endpoint tells those around it about a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.models import Served

_SERVED = "served"
_STATUS = "status"


def answered_by(scope: Mapping[str, Any], served: Served) -> None:
    """The model that answers this request, as soon as it is known."""
    scope["state"][_SERVED] = served


def ended_with(scope: Mapping[str, Any], status: int) -> None:
    """The status to count this request under, if it fails after its head was sent."""
    scope["state"][_STATUS] = status


def model_of(scope: Mapping[str, Any]) -> Served | None:
    """The model that answers this request, once it is known."""
    served: Served | None = scope["state"].get(_SERVED)
    return served


def status_of(scope: Mapping[str, Any], sent: int) -> int:
    """The status to count this request under; ``sent`` unless the endpoint said otherwise."""
    status: int = scope["state"].get(_STATUS, sent)
    return status


def model_headers(scope: Mapping[str, Any]) -> dict[str, str]:
    """The headers that say which model answered; none before that is known."""
    served = model_of(scope)
    return {"X-Model-Name": served.name, "X-Model-Version": served.version} if served else {}
