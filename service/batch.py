"""One run of a model for the requests of many."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property
from time import perf_counter, thread_time
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.models import Served
from service.observed import CURRENT

# What a run takes: a line for each row.
Rows = NDArray[Any]


class Answers:
    """What a run gives for ``rows``: arrays with a line for each, of which requests take theirs."""

    def __init__(self, rows: Rows, outputs: tuple[NDArray[Any], ...]) -> None:
        self.rows = rows
        self.outputs = outputs
        # Whether the sketch of the version has them.
        self.is_sketched = False

    @cached_property
    def rounded(self) -> list[list[float]]:
        """A classifier's probabilities for people, of all requests at once."""
        found: list[list[float]] = self.outputs[1].astype(float).round(6).tolist()
        return found


class Asked:
    """One request's rows, and what waits for the run that answers them.

    The answer is the run's answers, and which row of them is the request's first one.
    """

    __slots__ = ("answer", "asked", "client", "deadline", "group", "rows", "trace")

    def __init__(
        self, rows: Rows, answer: asyncio.Future[tuple[Answers, int]], deadline: float
    ) -> None:
        self.rows = rows
        self.answer = answer
        self.deadline = deadline
        self.asked = perf_counter()
        observed = CURRENT.get()
        self.trace = observed.trace if observed else None
        if self.trace:
            self.trace.shape = rows.shape
        self.client = observed.client if observed else None
        # Only requests of the same group share a run.
        self.group: object = None


class Run:
    """One run of ``served`` for ``asked``; what has not happened is 0. Called in any thread."""

    def __init__(self, served: Served, asked: Sequence[Asked]) -> None:
        self.served = served
        self.asked = asked
        rows = [one.rows for one in asked]
        self.whole = rows[0] if len(rows) == 1 else np.concatenate(rows)
        self.rows = len(self.whole)
        self.options = ort.RunOptions()
        self.began = self.ended = self.cpu = 0.0
        self.is_told = False

    def __call__(self) -> Answers:
        """Run the model; blocks. Raises what it raises."""
        self.began, cpu = perf_counter(), thread_time()
        try:
            return Answers(self.whole, self.served.runner.predict(self.whole, self.options))
        finally:
            self.cpu, self.ended = thread_time() - cpu, perf_counter()

    def is_awaited(self) -> bool:
        """Whether anybody still wants its answer."""
        return not all(one.answer.done() for one in self.asked)
