"""The form of a dashboard in ``dashboards/*.yml``, and its strict reading."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kindling import paths
from kindling.dashboards.units import UnitName
from kindling.errors import KindlingError

SOURCE = paths.REPOSITORY / "dashboards"
COLUMNS = 24
ALL = ".+"

# What Grafana and Perses both fill in themselves.
_BUILT_IN = {"__rate_interval", "__interval"}
_REFERENCE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
# With labels it would stand beside the "no data" of the viewer, which has none.
_ONE_NUMBER = re.compile(r"^(round\()?(sum|count|max|min|avg)\(")
_GROUPED = re.compile(r"^\s*(\w+ )?\w+ (by|without) \(")

Text = Annotated[str, Field(min_length=1)]
Level = Literal["ok", "warning", "critical"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Variable(_Strict):
    """Values of ``of`` among the series of ``metric``; every one of them when ``all`` is set."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: Text
    metric: Text
    of: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")]
    multi: bool = False
    all: bool = False
    default: str = ""

    @model_validator(mode="after")
    def _begins_somewhere(self) -> Self:
        if self.all == bool(self.default):
            raise ValueError("it needs either `all: true` or a `default`")
        if self.multi and not self.all:
            raise ValueError("`multi` goes with `all: true`")
        return self


class Query(_Strict):
    """``empty_when`` says in words when a healthy cluster has no data for it.

    All series of a query with a ``level`` have its color. A ``limit`` is what the others are held
    against: a dashed line with a legend.
    """

    promql: Text
    legend: str = ""
    exemplars: bool = False
    empty_when: str = ""
    level: Level | None = None
    limit: bool = False

    @model_validator(mode="after")
    def _limit_has_a_legend(self) -> Self:
        if self.limit and not self.legend:
            raise ValueError("a `limit` needs a `legend` that says whose it is")
        return self


class Threshold(_Strict):
    """From ``at`` on the value is of this level; the first of a list has no ``at``."""

    level: Level
    at: float | None = None


class Column(_Strict):
    """A label that a table shows, and its heading."""

    label: Text
    title: Text


class Panel(_Strict):
    """One panel; ``width`` is of 24 columns, ``height`` in rows of some 38 pixels."""

    kind: Literal["timeseries", "stat", "table"]
    title: Text
    description: Text
    unit: UnitName = "short"
    width: Annotated[int, Field(ge=2, le=COLUMNS)]
    height: Annotated[int, Field(ge=2, le=20)]
    queries: Annotated[list[Query], Field(min_length=1)]
    thresholds: list[Threshold] = []
    min: float | None = None
    max: float | None = None
    stack: bool = False
    columns: list[Column] = []
    value: str = ""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.kind == "table") != bool(self.columns):
            raise ValueError("`columns` are for tables, which need them")
        if self.value and self.kind != "table":
            raise ValueError("`value` is the heading of a table's values")
        if self.stack and self.kind != "timeseries":
            raise ValueError("`stack` is for timeseries")
        if self.kind != "timeseries" and len(self.queries) > 1:
            raise ValueError(f"a {self.kind} takes one query")
        if self.kind == "stat" and (
            _GROUPED.search(self.queries[0].promql)
            or not _ONE_NUMBER.search(self.queries[0].promql)
        ):
            raise ValueError("a stat shows one number: its query aggregates, and by no label")
        if self.kind != "timeseries" and any(query.level for query in self.queries):
            raise ValueError("`level` is for queries of timeseries")
        if self.kind == "timeseries" and self.thresholds:
            raise ValueError("`thresholds` are for stats: a line is a query with `limit: true`")
        if (self.kind != "timeseries" or self.stack) and any(one.limit for one in self.queries):
            raise ValueError("`limit` is for queries of timeseries that are not stacked")
        return self

    @model_validator(mode="after")
    def _thresholds_ascend(self) -> Self:
        if self.thresholds:
            first, *others = [step.at for step in self.thresholds]
            numbers = [at for at in others if at is not None]
            if first is not None or len(numbers) < len(others) or not numbers:
                raise ValueError("the first threshold has no `at`, every other has one")
            if numbers != sorted(set(numbers)):
                raise ValueError("thresholds ascend")
        return self


class Row(_Strict):
    """Panels under a heading, placed from left to right."""

    title: Text
    collapsed: bool = False
    panels: Annotated[list[Panel], Field(min_length=1)]


class Annotation(_Strict):
    """Something that happened: marks in Grafana's panels, a panel of its own in the viewer."""

    name: Text
    promql: Text
    legend: Text
    level: Level = "ok"


class Dashboard(_Strict):
    """A whole dashboard; ``position`` orders them."""

    title: Text
    uid: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,38}$")]
    description: Text
    position: int
    range: Annotated[str, Field(pattern=r"^[0-9]+[mhd]$")] = "30m"
    refresh: Annotated[str, Field(pattern=r"^[0-9]+[sm]$")] = "10s"
    variables: list[Variable] = []
    annotations: list[Annotation] = []
    rows: Annotated[list[Row], Field(min_length=1)]

    @property
    def panels(self) -> list[Panel]:
        """All panels, in order."""
        return [panel for row in self.rows for panel in row.panels]

    @model_validator(mode="after")
    def _titles_differ(self) -> Self:
        titles = [panel.title for panel in self.panels]
        if twice := sorted({title for title in titles if titles.count(title) > 1}):
            raise ValueError(f"panels share a title: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _references_are_known(self) -> Self:
        known = {variable.name for variable in self.variables} | _BUILT_IN
        used = set[str]()
        for where, promql in self.expressions():
            found = {a or b for a, b in _REFERENCE.findall(promql)}
            if unknown := sorted(found - known):
                raise ValueError(f"{where}: there is no variable ${unknown[0]}")
            used |= found
        if unused := sorted(known - used - _BUILT_IN):
            raise ValueError(f"no query uses ${unused[0]}")
        return self

    def expressions(self) -> list[tuple[str, str]]:
        """(where, PromQL) of every query of panels and annotations."""
        found = [(panel.title, query.promql) for panel in self.panels for query in panel.queries]
        return found + [(one.name, one.promql) for one in self.annotations]


def load(file: Path) -> Dashboard:
    """Read one dashboard. Raises KindlingError that names the file, the place and what is wrong."""
    try:
        return Dashboard.model_validate(yaml.safe_load(file.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise KindlingError(f"{file} cannot be read: {error}") from error
    except ValidationError as error:
        found = [f"  {_place(one['loc'])}: {one['msg']}" for one in error.errors()]
        raise KindlingError("\n".join([f"{file} is not a dashboard:", *found])) from error


def load_all(folder: Path = SOURCE) -> list[Dashboard]:
    """Every dashboard of ``folder``, in their order.

    Raises KindlingError when one cannot be meant, or when two share a uid or a position.
    """
    files = sorted(folder.glob("*.yml"))
    found = [load(file) for file in files]
    for file, dashboard in zip(files, found, strict=True):
        if file.stem != dashboard.uid:
            raise KindlingError(f"{file} must be named as its uid, {dashboard.uid}.yml")
    if len({dashboard.position for dashboard in found}) < len(found):
        raise KindlingError(f"dashboards of {folder} share a position")
    return sorted(found, key=lambda dashboard: dashboard.position)


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "as a whole"
