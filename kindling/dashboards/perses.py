"""Dashboards as Perses 0.52 knows them, for the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kindling.dashboards.layout import place
from kindling.dashboards.source import ALL, Annotation, Dashboard, Panel, Query, Variable
from kindling.dashboards.units import UNITS

PROJECT = "kindling"

_Json = dict[str, Any]
_COLORS = {"ok": "#2E9E5B", "warning": "#E69F00", "critical": "#D93B3B"}
_NO_DATA = {"value": "no data", "color": "#808080"}
_LIMIT = "#808080"
_EVENTS_HEIGHT = 5


def convert(dashboard: Dashboard) -> _Json:
    """The resource of ``dashboard``."""
    panels: _Json = {}
    layouts = []
    for row_number, row in enumerate(dashboard.rows):
        items = []
        for number, (panel, where) in enumerate(place(row.panels)):
            name = f"{row_number}-{number}"
            panels[name] = _panel(panel)
            items.append(_item(name, where.x, where.y, where.width, where.height))
        layouts.append(_row(row.title, row.collapsed, items))
    if dashboard.annotations:
        panels["events"] = _events(dashboard.annotations)
        layouts.insert(1, _row("What happened", False, [_item("events", 0, 0, 24, _EVENTS_HEIGHT)]))
    return {
        "kind": "Dashboard",
        "metadata": {"name": dashboard.uid, "project": PROJECT},
        "spec": {
            "display": {"name": dashboard.title, "description": dashboard.description},
            "duration": dashboard.range,
            "refreshInterval": dashboard.refresh,
            "variables": [_variable(one) for one in dashboard.variables],
            "panels": panels,
            "layouts": layouts,
        },
    }


def _item(name: str, x: int, y: int, width: int, height: int) -> _Json:
    content = {"$ref": f"#/spec/panels/{name}"}
    return {"x": x, "y": y, "width": width, "height": height, "content": content}


def _row(title: str, collapsed: bool, items: Sequence[_Json]) -> _Json:
    display = {"title": title, "collapse": {"open": not collapsed}}
    return {"kind": "Grid", "spec": {"display": display, "items": list(items)}}


def _variable(variable: Variable) -> _Json:
    made: _Json = {
        "name": variable.name,
        "display": {"name": variable.title},
        "allowMultiple": variable.multi,
        "allowAllValue": variable.all,
        "sort": "alphabetical-asc",
        "defaultValue": variable.default or "$__all",
        "plugin": {
            "kind": "PrometheusLabelValuesVariable",
            "spec": {"labelName": variable.of, "matchers": [variable.metric]},
        },
    }
    if variable.all:
        made["customAllValue"] = ALL
    if variable.multi:
        made["defaultValue"] = [made["defaultValue"]]
    return {"kind": "ListVariable", "spec": made}


def _events(annotations: Sequence[Annotation]) -> _Json:
    """Perses 0.52 has no annotations: a panel shows when each happened."""
    queries = [
        Query(
            promql=one.promql, legend=one.legend, level=None if one.level == "ok" else one.level
        )
        for one in annotations
    ]  # fmt: skip
    # A time without events is no missing data.
    queries.append(Query(promql="vector(0)", legend="no event"))
    spec: _Json = {
        "legend": {"position": "bottom", "mode": "list", "size": "small"},
        "yAxis": {"show": False, "min": 0},
        "visual": {"display": "bar", "stack": "all", "palette": {"mode": "categorical"}},
        "querySettings": _settings(queries),
    }
    names = ", ".join(one.name.lower() for one in annotations)
    display = {"name": "Events", "description": f"When it happened: {names}."}
    return _assembled(display, "TimeSeriesChart", spec, queries)


def _panel(panel: Panel) -> _Json:
    display = {"name": panel.title, "description": panel.description}
    kind, make = _OF_KIND[panel.kind]
    queries = [_until_now(one) for one in panel.queries] if panel.kind == "stat" else panel.queries
    return _assembled(display, kind, make(panel), queries)


def _until_now(query: Query) -> Query:
    """Perses 0.52 asks for a range, and shows the last of its values, however old it is."""
    return query.model_copy(update={"promql": f"({query.promql}) or vector(NaN)"})


def _assembled(display: _Json, kind: str, spec: _Json, queries: Sequence[Query]) -> _Json:
    plugin = {"kind": kind, "spec": spec}
    asked = [_query(query) for query in queries]
    return {"kind": "Panel", "spec": {"display": display, "plugin": plugin, "queries": asked}}


def _query(query: Query) -> _Json:
    spec = {"query": query.promql}
    if query.legend:
        spec["seriesNameFormat"] = query.legend
    plugin = {"kind": "PrometheusTimeSeriesQuery", "spec": spec}
    return {"kind": "TimeSeriesQuery", "spec": {"plugin": plugin}}


def _timeseries(panel: Panel) -> _Json:
    unit = UNITS[panel.unit]
    axis: _Json = {"show": True, "format": unit.perses, "label": unit.label}
    for name, value in (("min", panel.min), ("max", panel.max)):
        if value is not None:
            axis[name] = value
    visual: _Json = {
        "lineWidth": 1.5,
        "areaOpacity": 0.3 if panel.stack else 0.05,
        # Else two series look alike: the other palette knows shades of one colour only.
        "palette": {"mode": "categorical"},
    }
    if panel.stack:
        visual["stack"] = "all"
    spec: _Json = {
        "legend": {"position": "bottom", "mode": "list", "size": "small"},
        "yAxis": axis,
        "visual": visual,
    }
    if settings := _settings(panel.queries):
        spec["querySettings"] = settings
    return spec


def _settings(queries: Sequence[Query]) -> list[_Json]:
    """How the series of queries look, by their places, where they are not like any other."""
    made = []
    for number, query in enumerate(queries):
        color = _COLORS[query.level] if query.level else _LIMIT if query.limit else ""
        if color:
            one = {"queryIndex": number, "colorMode": "fixed", "colorValue": color}
            made.append(one | ({"lineStyle": "dashed", "areaOpacity": 0} if query.limit else {}))
    return made


def _levels(panel: Panel) -> _Json:
    if not panel.thresholds:
        return {}
    first, *others = panel.thresholds
    steps = [{"value": step.at, "color": _COLORS[step.level]} for step in others]
    return {
        "thresholds": {"mode": "absolute", "defaultColor": _COLORS[first.level], "steps": steps}
    }


def _stat(panel: Panel) -> _Json:
    mapping = {"kind": "Value", "spec": {"value": "NaN", "result": _NO_DATA}}
    return {
        "calculation": "last",
        "format": UNITS[panel.unit].perses,
        "mappings": [mapping],
        **_levels(panel),
    }


def _table(panel: Panel) -> _Json:
    columns: list[_Json] = [
        {"name": column.label, "header": column.title, "enableSorting": True}
        for column in panel.columns
    ]
    value: _Json = {"name": "value", "hide": True}
    if panel.value:
        unit = UNITS[panel.unit]
        value = {"name": "value", "header": panel.value, "format": unit.perses, "align": "right"}
    hidden = [{"name": name, "hide": True} for name in ("timestamp", "__name__")]
    return {
        "density": "compact",
        "defaultColumnWidth": "auto",
        "columnSettings": [*columns, value, *hidden],
    }


_OF_KIND = {
    "timeseries": ("TimeSeriesChart", _timeseries),
    "stat": ("StatChart", _stat),
    "table": ("Table", _table),
}
