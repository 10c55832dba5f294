"""What is known of a request, for those around its endpoint: middleware, logs, error answers."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from service.models import Named

if TYPE_CHECKING:
    from service.tracing import Trace

_KEY = "observed"


class Observed:
    """One request: its id, its trace if it has one, the model that answers once that is known."""

    __slots__ = ("request_id", "served", "status", "trace", "trace_id")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        # The trace that the request belongs to, whether or not we keep our part of it.
        self.trace_id: str | None = None
        self.trace: Trace | None = None
        self.served: Named | None = None
        # To count the request under, if it fails after its head was sent.
        self.status: int | None = None

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the answer that say which request it is of, and which model answered."""
        named = self.served.headers if self.served else []
        return [(b"x-request-id", self.request_id.encode()), *named]

    def fields(self) -> dict[str, Any]:
        """What every log line within the request has."""
        fields: dict[str, Any] = {"request_id": self.request_id}
        if self.trace_id:
            fields["trace_id"] = self.trace_id
        if self.trace:
            fields["span_id"] = self.trace.span_id
        if self.served:
            fields["model"] = self.served.name
            fields["version"] = self.served.version
        return fields

    def shown(self) -> str:
        """``fields`` as JSON, without its braces."""
        trace = f',"trace_id":"{self.trace_id}"' if self.trace_id else ""
        span = f',"span_id":"{self.trace.span_id}"' if self.trace else ""
        served = self.served.shown if self.served else ""
        # None of it has a character that JSON escapes.
        return f'"request_id":"{self.request_id}"{trace}{span}{served}'


# The request that is being answered here; tasks that are begun within it inherit it.
CURRENT: ContextVar[Observed | None] = ContextVar("request", default=None)


def observe(scope: MutableMapping[str, Any], observed: Observed) -> None:
    """Keep what is known of this request where its endpoint finds it."""
    scope.setdefault("state", {})[_KEY] = observed


def observed_of(scope: Mapping[str, Any]) -> Observed:
    """What is known of this request."""
    observed: Observed = scope["state"][_KEY]
    return observed


def answered_by(scope: Mapping[str, Any], served: Named) -> None:
    """The model that answers this request, as soon as it is known."""
    observed_of(scope).served = served


def ended_with(scope: Mapping[str, Any], status: int) -> None:
    """The status to count this request under, if it fails after its head was sent."""
    observed_of(scope).status = status
