"""What is told of requests that were answered: they are counted, traced, and logged."""

from __future__ import annotations

import asyncio
import time

from service.access_log import write_lines
from service.metrics import UNKNOWN, Metrics
from service.observed import Observed

_SECONDS = 0.05


class Endings:
    """Tells of many requests together, some milliseconds later, or as soon as somebody asks.

    Each by itself costs several times as much: between two of them the processor has forgotten how.
    A process that is killed takes those of its last moment with it.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: list[Observed] = []

    def add(self, observed: Observed) -> None:
        """Tell of a request that has its answer, soon."""
        observed.moment = time.time()
        self._waiting.append(observed)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(_SECONDS, self.tell)

    def tell(self) -> None:
        """Tell of all that wait."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if one.is_of_model:
                named, trace = one.served, one.trace
                name, version = (named.name, named.version) if named else (UNKNOWN, UNKNOWN)
                trace_id = None
                if trace:
                    trace_id = trace.trace_id
                    trace.end(one)
                self._metrics.answered(name, version, one.status, one.seconds, trace_id)
        write_lines(waiting)
