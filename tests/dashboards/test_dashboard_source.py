"""The form of a dashboard: what is read, and what is refused and how that is said."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling.dashboards import load, load_all
from kindling.errors import KindlingError

PANEL = {
    "kind": "timeseries",
    "title": "Requests",
    "description": "How many.",
    "unit": "requests/s",
    "width": 12,
    "height": 8,
    "queries": [{"promql": 'sum(rate(x{model=~"$model"}[$__rate_interval]))'}],
}
DASHBOARD = {
    "title": "One",
    "uid": "one",
    "description": "What there is.",
    "position": 1,
    "variables": [{"name": "model", "title": "Model", "metric": "x", "of": "model", "all": True}],
    "rows": [{"title": "Row", "panels": [PANEL]}],
}


def read(folder: Path, content: Any, name: str = "one.yml") -> Any:
    (folder / name).write_text(yaml.safe_dump(content))
    return load(folder / name)


def with_panel(**changes: Any) -> dict[str, Any]:
    dashboard = copy.deepcopy(DASHBOARD)
    dashboard["rows"][0]["panels"][0] |= changes  # type: ignore[index]
    return dashboard


def test_a_dashboard_is_read_with_its_defaults(tmp_path: Path) -> None:
    found = read(tmp_path, DASHBOARD)
    assert found.refresh == "10s"
    assert found.panels[0].queries[0].legend == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**DASHBOARD, "colour": "red"}, "colour: Extra inputs are not permitted"),
        (with_panel(unit="furlongs"), r"rows\.0\.panels\.0\.unit: Input should be 'short'"),
        (with_panel(kind="pie"), r"rows\.0\.panels\.0\.kind: Input should be 'timeseries'"),
        (with_panel(width=25), r"panels\.0\.width: .*less than or equal to 24"),
        (with_panel(queries=[]), r"panels\.0\.queries: .*at least 1 item"),
        (with_panel(description=""), r"panels\.0\.description: .*at least 1 character"),
        (
            with_panel(queries=[{"promql": "x", "legnd": ""}]),
            r"panels\.0\.queries\.0\.legnd: Extra inputs are not permitted",
        ),
        (with_panel(queries=[{"promql": 'x{a="$modle"}'}]), r"Requests: .*no variable \$modle"),
        (with_panel(queries=[{"promql": "x"}]), r"no query uses \$model"),
        (with_panel(kind="stat", queries=PANEL["queries"] * 2), "a stat takes one query"),
        (
            with_panel(kind="stat", queries=[{"promql": 'sum by (pod) (x{a="$model"})'}]),
            "a stat shows one number",
        ),
        (
            with_panel(kind="stat", queries=[{"promql": 'a:b:ratio{a="$model"} >= 0'}]),
            "a stat shows one number",
        ),
        (
            with_panel(kind="stat", queries=[{"promql": 'max(x{a="$model"})', "level": "ok"}]),
            "`level` is for queries of timeseries",
        ),
        (with_panel(kind="table"), "`columns` are for tables, which need them"),
        (with_panel(value="Up"), "`value` is the heading of a table's values"),
        (with_panel(kind="stat", stack=True), "`stack` is for timeseries"),
        (
            with_panel(kind="stat", thresholds=[{"level": "ok", "at": 1}]),
            "the first threshold has no `at`",
        ),
        (
            with_panel(thresholds=[{"level": "ok"}, {"level": "warning", "at": 1}]),
            "`thresholds` are for stats: a line is a query with `limit: true`",
        ),
        (
            with_panel(queries=[{"promql": 'x{a="$model"}', "limit": True}]),
            "a `limit` needs a `legend`",
        ),
        (
            with_panel(stack=True, queries=[{"promql": "x", "limit": True, "legend": "y"}]),
            "`limit` is for queries of timeseries that are not stacked",
        ),
        (
            with_panel(
                kind="stat",
                thresholds=[
                    {"level": "ok"}, {"level": "warning", "at": 2}, {"level": "critical", "at": 1}
                ]
            ),
            "thresholds ascend",
        ),
        (
            {**DASHBOARD, "rows": [{"title": "Row", "panels": [PANEL, PANEL]}]},
            "panels share a title: Requests",
        ),
        (
            {**DASHBOARD, "variables": [{"name": "m", "title": "M", "metric": "x", "of": "m"}]},
            "either `all: true` or a `default`",
        ),
        ({**DASHBOARD, "refresh": "soon"}, "refresh: String should match"),
        ("text", "as a whole: Input should be a valid dictionary"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_place(
    tmp_path: Path, content: Any, message: str
) -> None:
    with pytest.raises(KindlingError, match=message) as raised:
        read(tmp_path, content)
    assert "one.yml is not a dashboard" in str(raised.value)


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("a: [")
    with pytest.raises(KindlingError, match=r"one\.yml cannot be read"):
        load(tmp_path / "one.yml")


def test_a_file_is_named_as_its_dashboard(tmp_path: Path) -> None:
    read(tmp_path, DASHBOARD, "other.yml")
    with pytest.raises(KindlingError, match=r"other\.yml must be named as its uid, one\.yml"):
        load_all(tmp_path)


def test_dashboards_come_in_their_order_and_two_cannot_share_a_place(tmp_path: Path) -> None:
    read(tmp_path, {**DASHBOARD, "position": 2})
    read(tmp_path, {**DASHBOARD, "uid": "two", "position": 1}, "two.yml")
    assert [one.uid for one in load_all(tmp_path)] == ["two", "one"]
    read(tmp_path, {**DASHBOARD, "position": 1})
    with pytest.raises(KindlingError, match="share a position"):
        load_all(tmp_path)


@pytest.fixture
def panels() -> Callable[[str], list[str]]:
    def titles(uid: str) -> list[str]:
        (found,) = (one for one in load_all() if one.uid == uid)
        return [panel.title for panel in found.panels]

    return titles


def test_the_four_panels_that_were_asked_for_come_first(panels: Callable[[str], list[str]]) -> None:
    asked = ["Request Rate", "P95 Latency", "Token Usage", "Model Accuracy"]
    assert panels("model-serving")[:4] == asked


def test_zero_is_put_in_for_nothing_only_where_things_are_counted() -> None:
    counted = ("count(", "sum(kube_pod_container", "(sum(rate(apiserver_request_total{code=~")
    for dashboard in load_all():
        for where, promql in dashboard.expressions():
            if "vector(0)" in promql:
                assert promql.lstrip().startswith(counted) or "waiting_reason" in promql, where


def test_windows_over_what_is_scraped_at_a_pace_of_its_own_do_not_follow_that_of_pods() -> None:
    # Kubelets and the API server are asked less often: four intervals of pods may hold one sample.
    for dashboard in load_all():
        for where, promql in dashboard.expressions():
            if "container_" in promql.replace("kube_pod_container_", "") or "apiserver_" in promql:
                assert "$__rate_interval" not in promql, where
