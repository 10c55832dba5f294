"""What Grafana gets."""

from __future__ import annotations

from typing import Any

import pytest

from kindling.dashboards import grafana, load_all
from kindling.dashboards.source import Dashboard

EVERY = [pytest.param(one, id=one.uid) for one in load_all()]


def flat(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [inner for one in panels for inner in (one, *one.get("panels", []))]


def panel(uid: str, title: str) -> dict[str, Any]:
    (dashboard,) = (one for one in load_all() if one.uid == uid)
    (found,) = (p for p in flat(grafana.convert(dashboard)["panels"]) if p["title"] == title)
    return found


def sample(**changes: Any) -> dict[str, Any]:
    panel = {
        "kind": "stat", "title": "T", "description": "D", "width": 12, "height": 4,
        "queries": [{"promql": "max(x)"}],
    }  # fmt: skip
    row = {"title": "R", "panels": [panel]}
    made = {"title": "T", "uid": "t1", "description": "D", "position": 1, "rows": [row], **changes}
    return grafana.convert(Dashboard.model_validate(made))


@pytest.mark.parametrize("dashboard", EVERY)
def test_no_two_panels_overlap_and_none_leaves_the_grid(dashboard: Dashboard) -> None:
    taken = set[tuple[int, int]]()
    for one in flat(grafana.convert(dashboard)["panels"]):
        where = one["gridPos"]
        assert where["x"] + where["w"] <= 24
        cells = {
            (x, y)
            for x in range(where["x"], where["x"] + where["w"])
            for y in range(where["y"], where["y"] + where["h"])
        }
        assert not cells & taken, one["title"]
        taken |= cells


@pytest.mark.parametrize("dashboard", EVERY)
def test_every_panel_query_and_description_is_there(dashboard: Dashboard) -> None:
    made = [p for p in flat(grafana.convert(dashboard)["panels"]) if p["type"] != "row"]
    assert [p["title"] for p in made] == [p.title for p in dashboard.panels]
    for one, panel in zip(made, dashboard.panels, strict=True):
        assert [t["expr"] for t in one["targets"]] == [q.promql for q in panel.queries]
        assert one["description"] == panel.description
    ids = [p["id"] for p in flat(grafana.convert(dashboard)["panels"])]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("dashboard", EVERY)
def test_every_data_source_is_the_provisioned_one(dashboard: Dashboard) -> None:
    def sources(node: Any) -> list[Any]:
        if isinstance(node, list):
            return [found for value in node for found in sources(value)]
        if not isinstance(node, dict):
            return []
        own = [node["datasource"]] if "datasource" in node else []
        return own + [found for value in node.values() for found in sources(value)]

    found = sources(grafana.convert(dashboard))
    assert found
    assert all(one == {"type": "prometheus", "uid": "prometheus"} for one in found)


def test_latency_has_exemplars_and_seconds() -> None:
    latency = panel("model-serving", "P95 Latency")
    assert latency["fieldConfig"]["defaults"]["unit"] == "s"
    assert latency["targets"][0]["exemplar"] is True


def test_a_limit_is_a_dashed_line_in_its_color() -> None:
    accuracy = panel("model-serving", "Model Accuracy")
    (limit,) = accuracy["fieldConfig"]["overrides"]
    assert limit["matcher"] == {"id": "byFrameRefID", "options": "C"}
    assert {one["id"]: one["value"] for one in limit["properties"]} == {
        "color": {"mode": "fixed", "fixedColor": "red"},
        "custom.lineStyle": {"fill": "dash", "dash": [10, 10]},
        "custom.fillOpacity": 0,
    }
    assert accuracy["targets"][2]["legendFormat"] == "LowAccuracy fires below"
    (most,) = panel("cluster", "Connections")["fieldConfig"]["overrides"]
    assert most["properties"][0]["value"] == {"mode": "fixed", "fixedColor": "text"}


def test_a_table_asks_once_and_shows_its_columns_in_order() -> None:
    table = panel("model-serving", "Versions served")
    (target,) = table["targets"]
    assert (target["instant"], target["range"], target["format"]) == (True, False, "table")
    (organized,) = table["transformations"]
    shown = organized["options"]["includeByName"]
    assert list(shown) == ["model", "version", "pod"]
    assert organized["options"]["renameByName"]["pod"] == "Pod"


@pytest.mark.parametrize("dashboard", EVERY)
def test_only_what_has_a_time_axis_asks_for_a_range(dashboard: Dashboard) -> None:
    """The last value of a range may be of an hour ago."""
    for one in flat(grafana.convert(dashboard)["panels"]):
        for target in one.get("targets", []):
            assert target["range"] is (one["type"] == "timeseries")
            assert target["instant"] is (one["type"] != "timeseries")
        if one["type"] == "stat":
            assert one["options"]["reduceOptions"]["calcs"] == ["last"]


def test_a_query_with_a_level_has_its_color() -> None:
    overrides = panel("load-test", "Failures")["fieldConfig"]["overrides"]
    assert [(one["matcher"], one["properties"][0]["value"]["fixedColor"]) for one in overrides] == [
        ({"id": "byFrameRefID", "options": "A"}, "orange"),
        ({"id": "byFrameRefID", "options": "B"}, "red"),
    ]
    assert panel("load-test", "Request Rate")["fieldConfig"]["overrides"] == []


def test_a_variable_of_several_values_begins_with_all_and_one_of_one_with_its_default() -> None:
    (serving,) = (one for one in load_all() if one.uid == "model-serving")
    model, namespace = grafana.convert(serving)["templating"]["list"]
    assert model["current"] == {"text": ["All"], "value": ["$__all"]}
    assert model["includeAll"]
    assert model["allValue"] == ".+"
    assert model["query"]["query"] == "label_values(model_info, model)"
    assert namespace["current"] == {"text": "kindling", "value": "kindling"}
    assert not namespace["includeAll"]


def test_annotations_mark_alerts_swaps_and_scaling_in_the_load_test() -> None:
    (load,) = (one for one in load_all() if one.uid == "load-test")
    marks = grafana.convert(load)["annotations"]["list"]
    assert [one["name"] for one in marks] == [
        "Alerts firing", "Another version served", "Replicas changed",
    ]  # fmt: skip
    assert all(one["enable"] and one["target"]["expr"] and one["titleFormat"] for one in marks)


def test_a_row_that_is_closed_holds_its_panels() -> None:
    opened = sample()["panels"]
    assert [one["type"] for one in opened] == ["row", "stat"]
    panels = opened[1]
    row = {"title": "R", "collapsed": True, "panels": [
        {"kind": "stat", "title": "T", "description": "D", "width": 12, "height": 4,
         "queries": [{"promql": "max(x)"}]}]}  # fmt: skip
    (closed,) = sample(rows=[row])["panels"]
    assert closed["panels"] == [panels]
