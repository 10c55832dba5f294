"""What is exported of a check, and what no longer is."""

from __future__ import annotations

from typing import Any

import numpy as np
from drift_samples import NOW, answer, drawn, reference
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from drift.errors import CallFailedError
from drift.findings import PSI_LIMIT
from drift.metrics import Metrics
from drift.monitor import Monitor
from drift.replicas import Answers
from drift.sketches import parse

LABELS = ("model", "version", "feature")


class Replicas:
    """Replicas that answer what a test says."""

    def __init__(self, *answers: bytes) -> None:
        self.answers, self.failures, self.absent = answers, list[str](), False

    def ask(self) -> Answers:
        if self.absent:
            raise CallFailedError("serving-headless has no address")
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

    def __init__(self, *answers: bytes) -> None:
        self.replicas, self.reporter, self.metrics = Replicas(*answers), Reporter(), Metrics()
        self.monitor = Monitor(
            self.replicas,  # type: ignore[arg-type]
            self.reporter,  # type: ignore[arg-type]
            self.metrics,
            interval=60,
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
    assert found["model_drift_failures_total",] == 0
    assert len(found) == 9


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
    watched.replicas.absent = True
    after = watched.check()
    assert after.pop(("model_drift_failures_total",)) == 1
    before.pop(("model_drift_failures_total",))
    assert after == before
    watched.replicas.absent, watched.replicas.answers = False, ()
    watched.replicas.failures = ["10.0.0.1:8000: it answered 404"]
    assert watched.check()["model_drift_samples", "digits", "3"] == 400


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
