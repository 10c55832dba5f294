"""Traces of requests: what happened when, kept as it is until many are encoded at once.

Imported only where traces are exported, as its libraries are.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.models import Named
from service.trace_sampling import Sampling

# A text takes a run for each token; the rest of them are only counted.
_MOST_RUNS = 8
# W3C's traceparent and tracestate. Its baggage is what others say of a request, and not read.
_W3C = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a model, in times of ``time.perf_counter``."""

    asked: float
    began: float
    ended: float
    served: Named
    rows: int
    failed: bool


class Tracing:
    """Begins the traces of requests; ``ended`` gets each as its request is answered."""

    def __init__(self, ended: Callable[[Trace], None], sampling: Sampling) -> None:
        self._ended = ended
        self._sampling = sampling

    def begin(
        self, path: str, traceparent: str, tracestate: str, *, request_id: str
    ) -> tuple[str | None, Trace | None]:
        """The trace id that a client named, or that of our trace; and the trace if it is kept."""
        parent = _parent(traceparent, tracestate) if traceparent else None
        if parent is None:
            trace_id = self._sampling.draw()
            if not trace_id:
                return None, None
        else:
            trace_id = parent.trace_id
            if not (parent.trace_flags.sampled and self._sampling.joins()):
                return f"{trace_id:032x}", None
        trace = Trace(self._ended, path, trace_id, parent, request_id)
        return trace.trace_id, trace


class Trace:
    """What is known of one request that is traced."""

    __slots__ = (
        "_end", "ended", "number", "offset", "parent", "path", "request_id", "runs", "served",
        "span_id", "span_number", "started", "status", "trace_id", "uncounted",
    )  # fmt: skip

    def __init__(
        self,
        end: Callable[[Trace], None],
        path: str,
        trace_id: int,
        parent: SpanContext | None,
        request_id: str,
    ) -> None:
        self._end = end
        self.path = path
        self.parent = parent
        self.request_id = request_id
        self.number, self.trace_id = trace_id, f"{trace_id:032x}"
        self.span_number = new_span_id()
        self.span_id = f"{self.span_number:016x}"
        self.started = time.perf_counter()
        self.ended = 0.0
        # From the clock that runs are timed by to that of the world.
        self.offset = time.time_ns() - time.perf_counter_ns()
        self.runs: list[Run] = []
        self.uncounted = 0
        self.served: Named | None = None
        self.status = 0

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
        else:
            self.uncounted += 1

    def end(self, status: int, served: Named | None) -> None:
        """The request is answered."""
        self.ended = time.perf_counter()
        self.status, self.served = status, served
        self._end(self)

    @property
    def spans(self) -> int:
        """How many spans it is: the request, each batch, in it the model."""
        return 1 + sum(1 + (run.ended > run.began) for run in self.runs)


def new_span_id() -> int:
    """64 bits that are not all zero."""
    return random.getrandbits(64) or 1


def _parent(traceparent: str, tracestate: str) -> SpanContext | None:
    """Where the client's trace stands; None if it is none."""
    carrier = {"traceparent": traceparent, "tracestate": tracestate}
    parent = get_current_span(_W3C.extract(carrier)).get_span_context()
    return parent if parent.is_valid else None
