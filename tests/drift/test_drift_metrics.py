"""What is exported of a check, and what no longer is."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from drift_samples import NOW, answer, drawn, reference
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from drift.errors import CallFailedError, NoReplicaError
from drift.findings import PSI_LIMIT
from drift.metrics import Metrics
from drift.monitor import Monitor
from drift.replicas import Answers
from drift.sketches import parse

LABELS = ("model", "version", "feature")


class Replicas:
    """Replicas that answer what a test says."""

    def __init__(self, *answers: bytes) -> None:
        self.answers, self.failures = answers, list[str]()
        self.error: Exception | None = None

    def ask(self) -> Answers:
        if self.error:
            raise self.error
        return Answers([parse(content) for content in self.answers], self.failures)


class Reporter:
    """Keeps what it was told, and fails as often as a test says."""

    def __init__(self) -> None:
        self.told: list[list[str]] = []
        self.failures = 0

    def consider(self, findings: Any, now: float) -> int:
        self.told.append([each.merged.version for each in findings])
        return self.failures


class Watched:
    """A monitor and what it exports."""

    def __init__(self, *answers: bytes, interval: float = 60) -> None:
        self.replicas, self.reporter, self.metrics = Replicas(*answers), Reporter(), Metrics()
        self.monitor = Monitor(
            self.replicas,  # type: ignore[arg-type]
            self.reporter,  # type: ignore[arg-type]
            self.metrics,
            interval=interval,
            minimum_rows=200,
            clock=lambda: NOW,
        )

    def check(self) -> dict[tuple[str, ...], float]:
        """The series after a check: name and the values of its labels."""
        self.monitor.check()
        text = generate_latest(self.metrics.registry).decode()
        return {
            (sample.name, *(sample.labels[key] for key in LABELS if key in sample.labels)): (
                sample.value
            )
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name.startswith("model_drift")
        }


def test_every_feature_and_the_prediction_have_both_distances() -> None:
    found = Watched(answer(*drawn(400))).check()
    for metric in ("model_drift_psi", "model_drift_ks"):
        for feature in ("a", "b", "prediction"):
            assert 0 <= found[metric, "digits", "3", feature] < 0.1
    assert found["model_drift_samples", "digits", "3"] == 400
    assert found["model_drift_checked_timestamp_seconds",] == NOW
    assert found["model_drift_failures_total",] == found["model_drift_check_failures",] == 0
    assert len(found) == 10


def test_features_that_come_otherwise_than_in_training_are_far_away() -> None:
    found = Watched(answer(*drawn(400, least=3))).check()
    assert found["model_drift_psi", "digits", "3", "a"] > PSI_LIMIT
    assert found["model_drift_ks", "digits", "3", "a"] > 0.7
    assert found["model_drift_psi", "digits", "3", "prediction"] < 0.1


def test_predictions_that_are_others_are_far_away() -> None:
    rows, _ = drawn(400)
    found = Watched(answer(rows, np.zeros(400, int))).check()
    assert found["model_drift_psi", "digits", "3", "prediction"] > PSI_LIMIT
    assert found["model_drift_psi", "digits", "3", "b"] < 0.1


def test_of_too_few_rows_only_their_number_is_told() -> None:
    watched = Watched(answer(*drawn(199)))
    found = watched.check()
    assert found["model_drift_samples", "digits", "3"] == 199
    assert [key for key in found if key[0] in ("model_drift_psi", "model_drift_ks")] == []
    assert watched.reporter.told == [[]]


def test_of_text_it_takes_ten_times_as_many_tokens() -> None:
    def tokens(count: int) -> bytes:
        rows, labels = drawn(count)
        return answer(rows[:, :1], labels, model="text", reference=reference(("tokens",)))

    for count, told in ((1999, False), (2000, True)):
        found = Watched(tokens(count)).check()
        assert found["model_drift_samples", "text", "3"] == count
        assert (("model_drift_psi", "text", "3", "tokens") in found) == told


def test_rows_of_all_replicas_count() -> None:
    found = Watched(answer(*drawn(150)), answer(*drawn(150, seed=2))).check()
    assert found["model_drift_samples", "digits", "3"] == 300
    assert ("model_drift_psi", "digits", "3", "a") in found


def test_a_version_that_is_no_longer_served_has_no_series() -> None:
    watched = Watched(answer(*drawn(400)))
    watched.check()
    watched.replicas.answers = (answer(*drawn(400), version="4"),)
    assert {key[2] for key in watched.check() if len(key) > 2} == {"4"}


def test_while_no_replica_answers_what_was_known_stays_and_gets_old() -> None:
    watched = Watched(answer(*drawn(400)))
    before = watched.check()
    watched.replicas.error = CallFailedError("serving-headless cannot be resolved: try again")
    after = watched.check()
    for metric in ("model_drift_failures_total", "model_drift_check_failures"):
        assert (before.pop((metric,)), after.pop((metric,))) == (0, 1)
    assert after == before
    watched.replicas.error, watched.replicas.answers = None, ()
    watched.replicas.failures = ["10.0.0.1:8000: it answered 404"]
    assert watched.check()["model_drift_samples", "digits", "3"] == 400


def test_a_service_without_ready_replicas_is_no_failed_check() -> None:
    watched = Watched(answer(*drawn(400)))
    watched.replicas.error = NoReplicaError("serving-headless has no address")
    found = watched.check()
    assert found == {("model_drift_failures_total",): 0, ("model_drift_check_failures",): 0}
    watched.replicas.error = None
    before = watched.check()
    watched.replicas.error = NoReplicaError("serving-headless has no address")
    assert watched.check() == before


@pytest.mark.parametrize("fails", ["replica", "report", "resolver", "anything"])
def test_the_next_good_check_clears_the_failures_of_the_latest(fails: str) -> None:
    watched = Watched(answer(*drawn(400)))
    latest = "model_drift_check_failures"
    for _ in range(3):
        watched.replicas.failures = ["10.0.0.1:8000: it answered 404"] * (fails == "replica")
        watched.reporter.failures = int(fails == "report")
        broken = {"resolver": CallFailedError("try again"), "anything": ZeroDivisionError()}
        watched.replicas.error = broken.get(fails)
        assert watched.check()[latest,] == 1
    watched.replicas.failures, watched.reporter.failures, watched.replicas.error = [], 0, None
    found = watched.check()
    assert (found[latest,], found["model_drift_failures_total",]) == (0, 3)


def test_a_failed_check_is_made_again_within_a_minute_however_rare_checks_are() -> None:
    watched = Watched(answer(*drawn(400)), interval=1800)
    watched.replicas.failures = ["10.0.0.1:8000: it answered 404"]
    paused: list[float] = []

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            paused.append(timeout or 0)
            watched.replicas.failures = []
            if len(paused) == 2:
                self.set()
            return self.is_set()

    watched.monitor._stopping = Stopping()
    watched.monitor.run()
    assert paused == [60, 1800]


def test_a_replica_that_does_not_answer_is_counted_and_the_others_compared() -> None:
    watched = Watched(answer(*drawn(400)))
    watched.replicas.failures = ["10.0.0.1:8000: it answered 404"]
    assert watched.check()["model_drift_failures_total",] == 1
    assert watched.check()["model_drift_failures_total",] == 2
    assert watched.check()["model_drift_samples", "digits", "3"] == 400


def test_a_report_that_is_not_logged_is_counted_and_metrics_go_on() -> None:
    watched = Watched(answer(*drawn(400, least=3)))
    watched.reporter.failures = 1
    found = watched.check()
    assert found["model_drift_failures_total",] == 1
    assert found["model_drift_psi", "digits", "3", "a"] > PSI_LIMIT
    assert watched.reporter.told == [["3"]]
