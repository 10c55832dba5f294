"""What the viewer gets."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from kindling import paths
from kindling.dashboards import grafana, load_all, perses
from kindling.dashboards.source import Dashboard
from kindling.dashboards.units import UNITS

EVERY = [pytest.param(one, id=one.uid) for one in load_all()]
VIEWER = paths.REPOSITORY / "images" / "dashboards"
# What Perses 0.52 can format, of those that units may name.
_PERSES_UNITS = {"decimal", "percent-decimal", "seconds", "days", "bytes", "bytes/sec"}


def spec(uid: str) -> dict[str, Any]:
    (dashboard,) = (one for one in load_all() if one.uid == uid)
    found: dict[str, Any] = perses.convert(dashboard)["spec"]
    return found


def named(uid: str, title: str) -> dict[str, Any]:
    panels = spec(uid)["panels"].values()
    (found,) = (one["spec"] for one in panels if one["spec"]["display"]["name"] == title)
    return dict(found)


def queries(panel: dict[str, Any]) -> list[str]:
    return [one["spec"]["plugin"]["spec"]["query"] for one in panel["queries"]]


@pytest.mark.parametrize("dashboard", EVERY)
def test_both_show_the_same_panels_at_the_same_places(dashboard: Dashboard) -> None:
    made = perses.convert(dashboard)["spec"]
    here = [
        [(item["x"], item["width"], item["height"]) for item in row["spec"]["items"]]
        for row in made["layouts"]
        if row["spec"]["display"]["title"] != "What happened"
    ]
    there: list[list[tuple[int, int, int]]] = []
    for one in grafana.convert(dashboard)["panels"]:
        if one["type"] == "row":
            there.append([])
        else:
            there[-1].append((one["gridPos"]["x"], one["gridPos"]["w"], one["gridPos"]["h"]))
    assert here == there


@pytest.mark.parametrize("dashboard", EVERY)
def test_every_panel_is_placed_once_and_asks_its_queries(dashboard: Dashboard) -> None:
    made = perses.convert(dashboard)["spec"]
    placed = [
        item["content"]["$ref"].removeprefix("#/spec/panels/")
        for row in made["layouts"]
        for item in row["spec"]["items"]
    ]
    assert sorted(placed) == sorted(made["panels"])
    for panel in dashboard.panels:
        (found,) = (
            one["spec"]
            for one in made["panels"].values()
            if one["spec"]["display"]["name"] == panel.title
        )
        wrapped = "({}) or vector(NaN)" if panel.kind == "stat" else "{}"
        assert queries(found) == [wrapped.format(query.promql) for query in panel.queries]


@pytest.mark.parametrize("dashboard", EVERY)
def test_the_viewer_has_every_plugin_that_is_asked_for(dashboard: Dashboard) -> None:
    bundled = {
        name: f"@perses-dev/{package}-plugin"
        for name, package in {
            "TimeSeriesChart": "timeseries-chart",
            "StatChart": "stat-chart",
            "Table": "table",
            "PrometheusTimeSeriesQuery": "prometheus",
            "PrometheusLabelValuesVariable": "prometheus",
        }.items()
    }
    text = json.dumps(perses.convert(dashboard))
    kinds = set(re.findall(r'"plugin": \{"kind": "(\w+)"', text))
    assert kinds <= set(bundled)
    imported = (VIEWER / "src" / "plugins.js").read_text()
    locked = json.loads((VIEWER / "package.json").read_text())["dependencies"]
    for kind in kinds:
        assert bundled[kind] in imported
        assert bundled[kind] in locked


def test_every_unit_is_one_that_perses_formats() -> None:
    assert {unit.perses["unit"] for unit in UNITS.values()} <= _PERSES_UNITS


@pytest.mark.parametrize("dashboard", EVERY)
def test_a_number_is_that_of_now_or_no_data_and_never_in_a_good_color(dashboard: Dashboard) -> None:
    for panel in perses.convert(dashboard)["spec"]["panels"].values():
        plugin = panel["spec"]["plugin"]
        if plugin["kind"] == "StatChart":
            # Perses asks for a range: without a value at its end, the last one would be shown.
            assert plugin["spec"]["calculation"] == "last"
            assert all(one.endswith(") or vector(NaN)") for one in queries(panel["spec"]))
            (mapping,) = plugin["spec"]["mappings"]
            assert mapping["kind"] == "Value"
            assert mapping["spec"]["value"] == "NaN"
            assert mapping["spec"]["result"] == {"value": "no data", "color": "#808080"}


def test_a_class_of_statuses_has_one_color_on_every_page_and_no_zero_series() -> None:
    classes = {'=~"[123].."': "#2E9E5B", '=~"4.."': "#E69F00", '!~"[1234].."': "#D93B3B"}
    found = list[str]()
    for dashboard in load_all():
        for panel in perses.convert(dashboard)["spec"]["panels"].values():
            plugin, asked = panel["spec"]["plugin"], panel["spec"]["queries"]
            colors = {
                one["queryIndex"]: one["colorValue"]
                for one in plugin["spec"].get("querySettings", [])
            }
            for number, query in enumerate(asked):
                spec = query["spec"]["plugin"]["spec"]
                if spec.get("seriesNameFormat") not in ("{{status}}", "{{code}}"):
                    continue
                (color,) = (value for key, value in classes.items() if key in spec["query"])
                assert colors[number] == color, spec["query"]
                assert spec["query"].endswith("> 0")
                found.append(color)
    assert len(found) == 11


def test_two_series_do_not_look_alike() -> None:
    for dashboard in load_all():
        for panel in perses.convert(dashboard)["spec"]["panels"].values():
            plugin = panel["spec"]["plugin"]
            if plugin["kind"] == "TimeSeriesChart":
                assert plugin["spec"]["visual"]["palette"] == {"mode": "categorical"}


@pytest.mark.parametrize("dashboard", EVERY)
def test_a_limit_is_a_dashed_line_with_a_legend(dashboard: Dashboard) -> None:
    panels = {
        one["spec"]["display"]["name"]: one["spec"]
        for one in perses.convert(dashboard)["spec"]["panels"].values()
    }
    there = {panel.title: panel for panel in dashboard.panels}
    for title, panel in panels.items():
        # A line of the plugin's own has no label that anybody sees.
        if panel["plugin"]["kind"] == "TimeSeriesChart":
            assert "thresholds" not in panel["plugin"]["spec"]
        settings = {
            one["queryIndex"]: one for one in panel["plugin"]["spec"].get("querySettings", [])
        }
        for number, query in enumerate(there[title].queries if title in there else ()):
            dashed = settings.get(number, {}).get("lineStyle") == "dashed"
            assert dashed == query.limit, f"{title}: {query.promql}"
            if query.limit:
                assert panel["queries"][number]["spec"]["plugin"]["spec"]["seriesNameFormat"]
                assert settings[number]["colorValue"] in ("#E69F00", "#D93B3B", "#808080")


def test_what_happened_is_a_panel_below_the_first_row_and_absent_without_annotations() -> None:
    second = spec("load-test")["layouts"][1]["spec"]
    assert second["display"]["title"] == "What happened"
    (load,) = (one for one in load_all() if one.uid == "load-test")
    *events, quiet = queries(named("load-test", "Events"))
    assert events == [one.promql for one in load.annotations]
    assert quiet == "vector(0)"
    assert "events" not in spec("cluster")["panels"]


def test_variables_begin_as_grafanas_do() -> None:
    model, namespace = (one["spec"] for one in spec("model-serving")["variables"])
    assert model["defaultValue"] == ["$__all"]
    assert model["customAllValue"] == ".+"
    assert model["plugin"]["spec"] == {"labelName": "model", "matchers": ["model_info"]}
    assert namespace["defaultValue"] == "kindling"
