"""What is known of a request, for those around its endpoint: middleware, logs, error answers."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from service.models import Named

if TYPE_CHECKING:
    from service.tracing import Trace

_KEY = "observed"
_UNCOUNTED = frozenset(
    {"/health", "/ready", "/metrics", "/sketches", "/ping", "/v2/health/live", "/v2/health/ready"}
)
_MODEL_PATHS = frozenset({"/predict", "/invocations", "/v1/chat/completions"})
_V2_MODELS = "/v2/models/"


class Observed:
    """One request: its id, its trace if it has one, the model that answers once that is known."""

    __slots__ = (
        "body_arrived", "client", "method", "moment", "path", "request_id", "seconds", "served",
        "status", "theirs", "trace",
    )  # fmt: skip

    def __init__(
        self, request_id: str, method: str, path: str, client: object | None = None
    ) -> None:
        # Address and port, so that it is one connection.
        self.client = client
        self.request_id = request_id
        self.method = method
        self.path = path
        self.trace: Trace | None = None
        # Of a trace that the client names, and of which we keep no part: its id.
        self.theirs: str | None = None
        self.served: Named | None = None
        # By the clock of perf_counter; 0 before that, and for a request whose body nobody reads.
        self.body_arrived = 0.0
        # To count the request under: that of its head, unless it fails after that was sent.
        self.status = 0
        # Once it is answered: when that was, in Unix time, and how long it took.
        self.moment = self.seconds = 0.0

    @property
    def trace_id(self) -> str | None:
        """Of the trace that the request belongs to, whether or not we keep our part of it."""
        return self.trace.trace_id if self.trace else self.theirs

    @property
    def is_counted(self) -> bool:
        """Whether it is somebody's, not a probe or a scrape."""
        return self.path not in _UNCOUNTED

    @property
    def is_of_model(self) -> bool:
        """Whether it is one to a model."""
        path = self.path
        return path in _MODEL_PATHS or (path.startswith(_V2_MODELS) and path.endswith("/infer"))

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the answer that say which request it is of, and which model answered."""
        named = self.served.headers if self.served else []
        return [(b"x-request-id", self.request_id.encode()), *named]

    def fields(self) -> dict[str, Any]:
        """What every log line within the request has."""
        fields: dict[str, Any] = {"request_id": self.request_id}
        if trace_id := self.trace_id:
            fields["trace_id"] = trace_id
        if self.trace:
            fields["span_id"] = self.trace.span_id
        if self.served:
            fields["model"] = self.served.name
            fields["version"] = self.served.version
        return fields

    def shown(self) -> str:
        """``fields`` as JSON, without its braces."""
        trace_id = self.trace_id
        trace = f',"trace_id":"{trace_id}"' if trace_id else ""
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


def count_tokens(read: int, written: int) -> None:
    """Note how many tokens the current request took, if it is traced."""
    observed = CURRENT.get()
    if observed and observed.trace:
        observed.trace.tokens = read, written


def ended_with(scope: Mapping[str, Any], status: int) -> None:
    """The status to count this request under, if it fails after its head was sent."""
    observed_of(scope).status = status
