"""Dashboards as Grafana 12 reads them from files."""

from __future__ import annotations

from typing import Any

from kindling.dashboards.layout import Place, height, place
from kindling.dashboards.source import ALL, Annotation, Dashboard, Panel, Query, Variable
from kindling.dashboards.units import UNITS

DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
SCHEMA_VERSION = 42

_Json = dict[str, Any]
_COLORS = {"ok": "green", "warning": "orange", "critical": "red"}
_LIMIT = "text"
_REFS = "ABCDEFGHIJ"


def convert(dashboard: Dashboard) -> _Json:
    """The JSON model of ``dashboard``."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["kindling"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": f"now-{dashboard.range}", "to": "now"},
        "refresh": dashboard.refresh,
        "timepicker": {},
        "links": [_link_to_the_others()],
        "templating": {"list": [_variable(one) for one in dashboard.variables]},
        "annotations": {"list": [_annotation(one) for one in dashboard.annotations]},
        "panels": _panels(dashboard),
    }


def _link_to_the_others() -> _Json:
    return {
        "type": "dashboards",
        "tags": ["kindling"],
        "title": "Dashboards",
        "asDropdown": False,
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
    }


def _variable(variable: Variable) -> _Json:
    query = f"label_values({variable.metric}, {variable.of})"
    first = {"text": variable.default, "value": variable.default}
    if variable.all:
        first = {"text": "All", "value": "$__all"}
    if variable.multi:
        first = {key: [value] for key, value in first.items()}  # type: ignore[misc]
    return {
        "type": "query",
        "name": variable.name,
        "label": variable.title,
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": "StandardVariableQuery"},
        "refresh": 2,
        "sort": 1,
        "multi": variable.multi,
        "includeAll": variable.all,
        "allValue": ALL if variable.all else None,
        "current": first,
        "options": [],
        "hide": 0,
    }


def _annotation(one: Annotation) -> _Json:
    return {
        "name": one.name,
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": _COLORS[one.level],
        "target": {"refId": "Anno", "expr": one.promql, "interval": "15s"},
        "titleFormat": one.legend,
    }


def _panels(dashboard: Dashboard) -> list[_Json]:
    made: list[_Json] = []
    y, number = 0, 1
    for row in dashboard.rows:
        head: _Json = {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": row.collapsed,
            "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
            "panels": [],
        }
        inside = [
            _panel(panel, where, number + count, y + 1)
            for count, (panel, where) in enumerate(place(row.panels), start=1)
        ]
        number += len(inside) + 1
        y += 1
        made.append(head)
        if row.collapsed:
            head["panels"] = inside
        else:
            made += inside
            y += height(row.panels)
    return made


def _panel(panel: Panel, where: Place, number: int, below: int) -> _Json:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": {"x": where.x, "y": below + where.y, "w": where.width, "h": where.height},
        "targets": [
            _target(query, ref, panel) for ref, query in zip(_REFS, panel.queries, strict=False)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        **_OF_KIND[panel.kind](panel),
    }


def _overrides(panel: Panel) -> list[_Json]:
    """How the series of queries look that have a level, or are a limit of the others."""
    made = []
    for ref, query in zip(_REFS, panel.queries, strict=False):
        properties: list[_Json] = []
        if query.level or query.limit:
            color = _COLORS[query.level] if query.level else _LIMIT
            properties.append({"id": "color", "value": {"mode": "fixed", "fixedColor": color}})
        if query.limit:
            style = {"fill": "dash", "dash": [10, 10]}
            properties.append({"id": "custom.lineStyle", "value": style})
            properties.append({"id": "custom.fillOpacity", "value": 0})
        if properties:
            matcher = {"id": "byFrameRefID", "options": ref}
            made.append({"matcher": matcher, "properties": properties})
    return made


def _target(query: Query, ref: str, panel: Panel) -> _Json:
    # The last value of a range may be of long ago.
    instant = panel.kind != "timeseries"
    return {
        "refId": ref,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.promql,
        "legendFormat": query.legend or "__auto",
        "range": not instant,
        "instant": instant,
        "exemplar": query.exemplars,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def _defaults(panel: Panel) -> _Json:
    found: _Json = {"unit": UNITS[panel.unit].grafana}
    if panel.unit == "count":
        found["decimals"] = 0
    for name, value in (("min", panel.min), ("max", panel.max)):
        if value is not None:
            found[name] = value
    steps = [{"color": _COLORS[step.level], "value": step.at} for step in panel.thresholds]
    found["thresholds"] = {"mode": "absolute", "steps": steps or [{"color": "blue", "value": None}]}
    if panel.kind == "timeseries":
        found["color"] = {"mode": "palette-classic"}
        found["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stack else 5,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stack else "none", "group": "A"},
            "thresholdsStyle": {"mode": "off"},
        }
    else:
        found["color"] = {"mode": "thresholds"}
    return found


def _timeseries(panel: Panel) -> _Json:
    legend = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
    return {"options": {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}}


def _stat(panel: Panel) -> _Json:
    options = {
        "reduceOptions": {"calcs": ["last"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
        "wideLayout": True,
    }
    return {"options": options}


def _table(panel: Panel) -> _Json:
    labels = [column.label for column in panel.columns]
    titles = {column.label: column.title for column in panel.columns}
    shown = [*labels, "Value"] if panel.value else labels
    organized = {
        "includeByName": dict.fromkeys(shown, True),
        "indexByName": {name: count for count, name in enumerate(shown)},
        "renameByName": titles | ({"Value": panel.value} if panel.value else {}),
    }
    return {
        "options": {"showHeader": True, "cellHeight": "sm"},
        "transformations": [{"id": "organize", "options": organized}],
    }


_OF_KIND = {"timeseries": _timeseries, "stat": _stat, "table": _table}
