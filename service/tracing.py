"""Traces of requests: what happened when, kept as it is until many are encoded at once.

Imported only where traces are exported, as its libraries are.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple

from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.models import Named
from service.observed import Observed
from service.trace_sampling import Sampling

# A text takes a run for each token; the rest of them are only counted.
_MOST_RUNS = 8
# W3C's traceparent and tracestate. Its baggage is what others say of a request, and not read.
_W3C = TraceContextTextMapPropagator()


class Run(NamedTuple):
    """One run of a model, in times of ``time.perf_counter``."""

    asked: float
    began: float
    ended: float
    served: Named
    rows: int
    failed: bool


class Tracing:
    """Begins the traces of requests; ``ended`` gets each soon after its request is answered."""

    def __init__(self, ended: Callable[[Trace], None], sampling: Sampling) -> None:
        self._ended = ended
        self._sampling = sampling

    def begin(
        self, traceparent: bytes | None, tracestate: bytes
    ) -> tuple[str | None, Trace | None]:
        """The trace, if it is kept; else the trace id that the client named, if it did."""
        parent = _parent(traceparent, tracestate) if traceparent else None
        if parent is None:
            trace_id = self._sampling.draw()
            return None, Trace(self._ended, trace_id, None) if trace_id else None
        if not (parent.trace_flags.sampled and self._sampling.joins()):
            return f"{parent.trace_id:032x}", None
        return None, Trace(self._ended, parent.trace_id, parent)


class Trace:
    """What is known of one request that is traced."""

    __slots__ = (
        "_end", "number", "offset", "parent", "request", "runs", "shape", "span_number", "spans",
        "started", "tokens", "uncounted",
    )  # fmt: skip

    def __init__(
        self, end: Callable[[Trace], None], number: int, parent: SpanContext | None
    ) -> None:
        self._end = end
        self.parent = parent
        self.number, self.span_number = number, new_span_id()
        self.started = time.perf_counter()
        self.runs: list[Run] = []
        self.uncounted = 0
        # How large its input was: rows and the values of each, or tokens read and written.
        self.shape: tuple[int, ...] = ()
        self.tokens: tuple[int, int] | None = None
        # How many it is: the request, each batch, in it the model.
        self.spans = 1

    def ran(
        self,
        asked: float,
        began: float,
        ended: float,
        *,
        served: Named,
        rows: int,
        failed: bool,
    ) -> None:
        """One run of a model, in times of ``time.perf_counter``."""
        if len(self.runs) < _MOST_RUNS:
            self.runs.append(Run(asked, began, ended, served, rows, failed))
            self.spans += 2 if ended > began else 1
        else:
            self.uncounted += 1

    def end(self, request: Observed) -> None:
        """It is that of ``request``, which is answered."""
        self.request = request
        # From the clock that runs are timed by to that of the world.
        self.offset = time.time_ns() - time.perf_counter_ns()
        self._end(self)

    @property
    def trace_id(self) -> str:
        """In headers, log lines and exemplars."""
        return f"{self.number:032x}"

    @property
    def span_id(self) -> str:
        """That of the request's own span, in log lines."""
        return f"{self.span_number:016x}"


def new_span_id() -> int:
    """64 bits that are not all zero."""
    return random.getrandbits(64) or 1


def _parent(traceparent: bytes, tracestate: bytes) -> SpanContext | None:
    """Where the client's trace stands; None if it is none."""
    sent = {"traceparent": traceparent, "tracestate": tracestate}
    carrier = {name: value.decode("latin-1") for name, value in sent.items()}
    parent = get_current_span(_W3C.extract(carrier)).get_span_context()
    return parent if parent.is_valid else None
