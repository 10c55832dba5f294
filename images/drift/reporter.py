"""When a report is due, and getting it into MLflow."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from drift.errors import CallFailedError
from drift.findings import Finding
from drift.report import render
from drift.tracking import FINISHED, Run, Tracking

_log = structlog.get_logger()


class Reporter:
    """Reports about versions that drift: one when it begins, another after each ``interval``."""

    def __init__(self, tracking: Tracking, *, interval: float, kept: int) -> None:
        self._tracking, self._interval, self._kept = tracking, interval, kept
        self._reported: dict[tuple[str, str], float] = {}
        self._failing = ""

    def consider(self, findings: Iterable[Finding], now: float) -> int:
        """Report what is due; returns how often that failed. It is then due the next time again."""
        failures = 0
        for finding in findings:
            merged = finding.merged
            last = self._reported.get((merged.model, merged.version))
            if not finding.drifting or (last is not None and now - last < self._interval):
                continue
            try:
                self._reported[merged.model, merged.version] = self._report(finding, now)
                self._failing = ""
            except CallFailedError as error:
                failures += 1
                # Once, however often it is tried again.
                if self._failing != error.message:
                    _log.warning(
                        "report not logged", model=merged.model, version=merged.version,
                        reason=error.message,
                    )  # fmt: skip
                self._failing = error.message
        return failures

    def _report(self, finding: Finding, now: float) -> float:
        """Log a report unless one is there that is new enough; returns when that was."""
        tracking, merged = self._tracking, finding.merged
        experiment = tracking.experiment_id()
        runs = tracking.runs(experiment, merged.model)
        # An earlier process may have logged it.
        for run in runs:
            done = run.version == merged.version and run.status == FINISHED
            if done and 0 <= now - run.started < self._interval:
                return run.started
        self._make_room(runs)
        run = tracking.begin(
            experiment,
            name=f"{merged.model}-{merged.version}",
            tags={
                "model": merged.model,
                "version": merged.version,
                "mlflow.note.content": f"{finding.sentence()}. The report is among the artifacts.",
            },
            started=now,
        )
        tracking.upload(run, render(finding, now).encode())
        tracking.measure(run, _metrics(finding), now)
        tracking.finish(run, now)
        _log.warning(
            "drift reported", model=merged.model, version=merged.version, run=run.run_id,
            finding=finding.sentence(),
        )  # fmt: skip
        return now

    def _make_room(self, runs: list[Run]) -> None:
        """Remove reports that are one too many, and what was broken off, before there is more."""
        finished = [run for run in runs if run.status == FINISHED]
        broken_off = [run for run in runs if run.status != FINISHED]
        for run in (*broken_off, *finished[self._kept - 1 :]):
            self._tracking.remove(run)


def _metrics(finding: Finding) -> dict[str, float]:
    return {
        "drifted_share": finding.share,
        "prediction_psi": finding.prediction.psi,
        "largest_psi": finding.worst[0].psi,
        "rows": finding.merged.rows,
    }
