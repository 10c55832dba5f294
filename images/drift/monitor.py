"""The loop: ask the replicas, compare, export, report."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from drift.errors import CallFailedError, NoReplicaError
from drift.findings import compare
from drift.metrics import Metrics
from drift.replicas import Replicas
from drift.reporter import Reporter
from drift.sketches import Merged, merge

_log = structlog.get_logger()
# So many intervals without a check: the loop hangs.
_PATIENCE = 5
_LEAST_PATIENCE_SECONDS = 300.0
# A failed check is made again after a minute, however rare checks are meant to be.
_RETRY_SECONDS = 60.0
# One answer has a hundred tokens, which are alike: a few texts tell nothing.
_TOKENS_PER_ROW = 10


class Monitor:
    """Checks every ``interval`` seconds until it is told to stop."""

    def __init__(
        self,
        replicas: Replicas,
        reporter: Reporter,
        metrics: Metrics,
        *,
        interval: float,
        minimum_rows: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._replicas, self._reporter, self._metrics = replicas, reporter, metrics
        self._interval, self._minimum_rows, self._clock = interval, minimum_rows, clock
        self._stopping = threading.Event()
        self._beat = time.monotonic()
        self._failing: list[str] = []
        self._waiting = False
        self.ready = False

    @property
    def alive(self) -> bool:
        """Whether checks go on."""
        patience = max(_PATIENCE * self._interval, _LEAST_PATIENCE_SECONDS)
        return time.monotonic() - self._beat < patience

    def run(self) -> None:
        """Check without end; no failure ends it."""
        while not self._stopping.is_set():
            self._beat = time.monotonic()
            failures = self.check()
            self.ready = True
            self._stopping.wait(min(self._interval, _RETRY_SECONDS) if failures else self._interval)

    def stop(self) -> None:
        """End after the check that is under way."""
        self._stopping.set()

    def check(self) -> int:
        """One check; returns how many calls of it failed, which is exported.

        What was known stays exported while no replica answers.
        """
        try:
            failures = self._check()
        except Exception:
            _log.exception("check failed")
            failures = 1
        self._metrics.ended(failures)
        return failures

    def _check(self) -> int:
        try:
            answers = self._replicas.ask()
        except NoReplicaError as error:
            # No failure: a service that trains its first models, or is away, has alerts of its own.
            self._note([], waiting=error.message)
            return 0
        except CallFailedError as error:
            self._note([error.message])
            return 1
        self._note(answers.failures)
        if not answers.sketches:
            return len(answers.failures)
        versions = merge(answers.sketches)
        findings = [compare(each) for each in versions if self._enough(each)]
        now = self._clock()
        self._metrics.checked(versions, findings, now)
        return len(answers.failures) + self._reporter.consider(findings, now)

    def _enough(self, merged: Merged) -> bool:
        factor = _TOKENS_PER_ROW if merged.counts_tokens else 1
        return merged.rows >= self._minimum_rows * factor

    def _note(self, failures: list[str], *, waiting: str = "") -> None:
        """Log failures, or what is waited for, when it is other than the last time."""
        if failures and failures != self._failing:
            _log.warning("replicas not asked", reasons=failures[:8], count=len(failures))
        elif waiting and not self._waiting:
            _log.info("no replica is ready", reason=waiting)
        elif not failures and not waiting and (self._failing or self._waiting):
            _log.info("replicas answer")
        self._failing, self._waiting = failures, bool(waiting)
