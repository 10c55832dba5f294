"""Which requests are traced: a share of all, and those whose client asks for it, within bounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes


class AtMost(Sampler):
    """Samples what ``sampler`` does, but no more than ``per_second``, with bursts of as many."""

    def __init__(self, sampler: Sampler, per_second: float, refused: Callable[[], None]) -> None:
        self._sampler = sampler
        self._per_second = per_second
        self._refused = refused
        self._left = self._most = max(1.0, per_second)
        self._looked = time.monotonic()

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """What the sampler says, unless there were too many."""
        result = self._sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )
        if result.decision is Decision.DROP or self._take():
            return result
        self._refused()
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        """For people."""
        return f"AtMost{{{self._per_second:g}/s,{self._sampler.get_description()}}}"

    def _take(self) -> bool:
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._looked) * self._per_second)
        self._looked = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Drawn(RandomIdGenerator):
    """Trace ids that are drawn before the SDK is asked for a span, to see whether it need be."""

    def __init__(self) -> None:
        self._trace_id = super().generate_trace_id()

    def generate_trace_id(self) -> int:
        """The one that was drawn."""
        return self._trace_id

    def draw(self) -> int:
        """Another one."""
        self._trace_id = super().generate_trace_id()
        return self._trace_id


class Sampling:
    """A share of the requests that come without a trace; of others, those that are in one.

    Each of the two has its own bound: a client that asks for too many takes none from the rest.
    """

    def __init__(self, ratio: float, per_second: float, refused: Callable[[], None]) -> None:
        self._root = TraceIdRatioBased(ratio)
        self.ids = Drawn()
        self.sampler = ParentBased(
            root=AtMost(self._root, per_second, refused),
            remote_parent_sampled=AtMost(ALWAYS_ON, per_second, refused),
        )

    def leaves_out(self) -> bool:
        """Whether a trace that begins now is not sampled, as most are: found out at little cost."""
        return self.ids.draw() & self._root.TRACE_ID_LIMIT >= self._root.bound
