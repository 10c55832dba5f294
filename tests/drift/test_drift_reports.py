"""Reports: when they are made, what is in them, how many are kept, and MLflow away."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from drift_samples import NOW, finding
from fake_tracking import FakeTracking

from drift.findings import Finding, compare
from drift.histogram import bin_labels, draw
from drift.report import render
from drift.reporter import Reporter
from drift.sketches import Feature, Merged
from drift.tracking import Tracking

HOUR = 3600.0


def reporter(tracking: FakeTracking, *, kept: int = 3, password: str = "") -> Reporter:
    user = tracking.user
    calls = Tracking(tracking.url, username=user, password=password, experiment="drift", seconds=2)
    return Reporter(calls, interval=HOUR, kept=kept)


def reports(tracking: FakeTracking) -> list[str]:
    """The reports that there are, by the version that they are about."""
    return [
        next(tag["value"] for tag in run["data"]["tags"] if tag["key"] == "version")
        for run in tracking.finished()
    ]


def test_a_version_that_drifts_gets_a_report(tracking: FakeTracking) -> None:
    tracking.user, tracking.password = "serving", "secret"
    assert reporter(tracking, password="secret").consider([finding()], NOW) == 0
    assert list(tracking.experiments) == ["drift"]
    assert tracking.experiments["drift"]["mlflow.experimentKind"] == "custom_model_development"
    (run,) = tracking.finished()
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert (tags["model"], tags["version"]) == ("digits", "3")
    assert "2 of 2 features" in tags["mlflow.note.content"]
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert metrics["drifted_share"] == 1
    assert metrics["rows"] == 1000
    ((name, content),) = tracking.files.items()
    assert name.endswith(f"/{run['info']['run_id']}/artifacts/drift.html")
    assert content == render(finding(), NOW).encode()


def test_a_version_that_does_not_drift_gets_none(tracking: FakeTracking) -> None:
    reporter(tracking).consider([finding(drifting=False)], NOW)
    assert tracking.asked == []


def test_while_it_lasts_there_is_one_report_an_interval(tracking: FakeTracking) -> None:
    told = reporter(tracking, kept=10)
    for minutes in (0, 1, 59, 60, 61, 125):
        told.consider([finding()], NOW + minutes * 60)
    assert len(reports(tracking)) == 3


def test_drift_that_comes_and_goes_makes_no_more_reports(tracking: FakeTracking) -> None:
    told = reporter(tracking, kept=10)
    for minute in range(30):
        told.consider([finding(drifting=minute % 2 == 0)], NOW + minute * 60)
    assert len(reports(tracking)) == 1


def test_another_version_gets_its_own_report(tracking: FakeTracking) -> None:
    reporter(tracking).consider([finding(), finding(version="4"), finding(model="b")], NOW)
    assert reports(tracking) == ["3", "4", "3"]


def test_a_process_that_starts_again_does_not_report_again(tracking: FakeTracking) -> None:
    reporter(tracking).consider([finding()], NOW)
    told = reporter(tracking)
    told.consider([finding()], NOW + 60)
    assert len(reports(tracking)) == 1
    told.consider([finding()], NOW + HOUR)
    assert len(reports(tracking)) == 2


def test_only_the_newest_reports_of_a_model_are_kept(tracking: FakeTracking) -> None:
    told = reporter(tracking, kept=3)
    told.consider([finding(model="other")], NOW)
    for number in range(6):
        told.consider([finding(version=str(number))], NOW + number)
    assert reports(tracking) == ["3", "3", "4", "5"]
    assert len(tracking.files) == 4


@pytest.mark.parametrize("broken", ["get-by-name", "search", "runs/create", "artifacts", "update"])
def test_while_mlflow_is_broken_the_report_is_tried_again(
    tracking: FakeTracking, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = reporter(tracking)
    tracking.broken = {broken: 503}
    for second in range(5):
        assert told.consider([finding()], NOW + second) == 1
    assert capsys.readouterr().out.count("report not logged") == 1
    tracking.broken = {}
    assert told.consider([finding()], NOW + 10) == 0
    assert len(reports(tracking)) == 1
    # Nothing is left of what was broken off.
    assert len(tracking.runs) == len(tracking.files) == 1


def test_while_mlflow_is_away_the_report_is_tried_again(tracking: FakeTracking) -> None:
    told = reporter(tracking)
    tracking.__exit__()
    assert told.consider([finding()], NOW) == 1
    tracking.__enter__()
    assert told.consider([finding()], NOW + 60) == 0
    assert len(reports(tracking)) == 1


def test_a_wrong_password_is_a_failure(tracking: FakeTracking) -> None:
    tracking.user, tracking.password = "serving", "secret"
    assert reporter(tracking, password="other").consider([finding()], NOW) == 1
    assert tracking.runs == {}


def test_a_deleted_experiment_is_said_to_be(
    tracking: FakeTracking, capsys: pytest.CaptureFixture[str]
) -> None:
    deleted = {"experiment_id": "1", "name": "drift", "lifecycle_stage": "deleted"}
    tracking.experiments["drift"] = deleted
    assert reporter(tracking).consider([finding()], NOW) == 1
    assert "is deleted: restore it" in capsys.readouterr().out


def test_artifacts_elsewhere_are_not_written_to(tracking: FakeTracking) -> None:
    told = reporter(tracking)
    told.consider([finding()], NOW)
    (run,) = tracking.runs.values()
    run["info"]["artifact_uri"] = "mlflow-artifacts:/../../api/2.0/mlflow/x"
    assert told.consider([finding(version="4")], NOW) == 1


class Page(HTMLParser):
    """Fails on what a page must not have; keeps its tags and text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "img", "link", "iframe", "object", "form", "a"}
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href")]
        self.tags.append(tag)
        if tag not in {"meta", "rect", "line"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def named(name: str, count: int = 1) -> Finding:
    """A finding about features with a certain name, or names that begin with it."""
    values = np.array([9, 1]), np.array([1, 90])
    features = [Feature(f"{name}{number or ''}", (0.5,), *values) for number in range(count)]
    prediction = Feature("prediction", (0.5,), *values)
    return compare(Merged(name, "1", 91, 1, NOW, NOW, tuple(features), prediction))


def test_a_report_is_one_page_that_needs_nothing_else() -> None:
    content = render(finding(), NOW)
    page = Page(content)
    assert page.tags.count("svg") == 3
    for text in ("Drift of digits, version 3", "2 of 2 features", "2027-01-15 08:00:00 UTC"):
        assert text in page.text
    assert not re.search(r"https?://|url\(|@import", content)


def test_names_are_shown_as_they_are() -> None:
    name = "<script>alert('x')</script>\"&"
    page = Page(render(named(name), NOW))
    assert f"Drift of {name}, version 1" in page.text
    assert page.text.count(name) >= 4


def test_a_report_about_many_features_stays_small() -> None:
    content = render(named("f", 5000), NOW)
    page = Page(content)
    assert page.tags.count("svg") == 13
    assert "4800 with less drift are not listed" in page.text
    assert len(content) < 200_000


@pytest.mark.parametrize(
    ("edges", "labels"),
    [
        ([], ["all"]),
        ([0.5, 1.5], ["0", "1", "2"]),
        ([-0.5], ["-1", "0"]),
        ([0.5, 2.5], ["up to 0.5", "0.5 to 2.5", "above 2.5"]),
        ([1.0], ["up to 1", "above 1"]),
    ],
)
def test_bins_are_named_after_what_is_in_them(edges: list[float], labels: list[str]) -> None:
    assert bin_labels(edges) == labels


def test_bars_are_as_high_as_the_shares() -> None:
    drawing: Any = draw(Feature("a", (0.5,), np.array([75, 25]), np.array([0, 10])))
    heights = [float(found) for found in re.findall(r'rect .*?height="([\d.]+)"', drawing)]
    assert heights == [pytest.approx(66, abs=0.1), 0, pytest.approx(22, abs=0.1), 88]
    assert "<title>1: 25.0% / 100.0%</title>" in drawing
