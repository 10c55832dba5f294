"""The whole way: read, convert, prove, describe."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from importer import rows
from importer.answers import answer, as_estimator, outputs_of
from importer.columns import FLOATS, Column, table, values
from importer.convert import Layout, convert, layouts
from importer.errors import RefusedError
from importer.failures import explain
from importer.parity import TOLERANCE, Parity, compare, open_graph
from importer.source import Source, read

_NAN_ROWS, _MOST_TRIED = 50, 100


@dataclass(frozen=True)
class Proven:
    """A graph that says what the model says."""

    layout: Layout
    # Of the graph's inputs.
    names: list[str]
    content: bytes
    session: ort.InferenceSession
    parity: Parity


def run(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The figures, and the package of the model in ``folder``. Raises RefusedError."""
    source = read(folder)
    model = as_estimator(source.model)
    if not hasattr(model, "predict"):
        raise RefusedError(
            f"a {type(source.model).__name__} has no predict",
            "log the whole pipeline, with the model that predicts as its last step",
        )
    given = rows.random_rows(source, model.predict)
    example = rows.example(source)
    tried = [(one, answer(model, one)) for one in (given, example) if one is not None]
    outputs = outputs_of(model, tried[0][1])
    proven = _prove(source, model, outputs, tried)
    optional = _optional(source, model, proven)
    described = {
        "format": 1,
        "name": name,
        "kind": "tabular",
        "tabular": {
            "inputs": [
                {"name": column.name, "type": column.type, "optional": column.name in optional}
                | _graph_name(proven, place, column)
                for place, column in enumerate(source.columns)
            ],
            "outputs": [
                {k: v for k, v in dataclasses.asdict(one).items() if v is not None}
                for one in outputs
            ],
            "graph_input": proven.layout.graph_input,
            "tensor": bool(source.tensor),
        },
    }
    package = {"model.json": json.dumps(described).encode(), "model.onnx": proven.content}
    figures = {
        "flavor": source.flavor, "library": source.library, "model": type(source.model).__name__,
        "precision": proven.layout.precision, "rows": len(given),
        "example_rows": 0 if example is None else len(example),
        "largest_difference": proven.parity.largest, "disagreements": proven.parity.labels,
        "ties": proven.parity.ties, "tolerance": TOLERANCE,
    }  # fmt: skip
    return figures, package


def _prove(source: Source, model: Any, outputs: Any, tried: Any) -> Proven:
    """The first layout whose graph agrees on all rows that were tried. Raises RefusedError."""
    failed: list[Exception] = []
    nearest: Parity | None = None
    for layout in layouts(source.columns, source.tensor):
        try:
            graph = convert(model, layout, source.columns, outputs)
            names = [one.name for one in graph.graph.input]
            content = graph.SerializeToString()
            session = open_graph(content)
            parity = Parity(0, 0.0, 0, 0)
            for given, said in tried:
                parity += compare(session, layout.feed(given, source.columns, names), said)
        except Exception as error:
            failed.append(error)
            continue
        if parity.holds:
            return Proven(layout, names, content, session, parity)
        if nearest is None or (parity.labels, parity.largest) < (nearest.labels, nearest.largest):
            nearest = parity
    if nearest is not None:
        raise RefusedError(
            f"its ONNX graph does not say what it says: of {nearest.rows} rows {nearest.labels}"
            f" labels differ, numbers by up to {nearest.largest:.3g} (at most {TOLERANCE:g})",
            "nothing is registered; another estimator, or fewer steps, may convert exactly",
        )
    raise explain(failed)


def _graph_name(proven: Proven, place: int, column: Column) -> dict[str, str]:
    """How model.json says that skl2onnx, which wants identifiers, called a column otherwise."""
    if proven.layout.graph_input == "matrix" or proven.names[place] == column.name:
        return {}
    return {"graph_name": proven.names[place]}


def _optional(source: Source, model: Any, proven: Proven) -> set[str]:
    """Columns of floats that may be missing: the model takes NaN, and the graph says the same."""
    given = rows.random_rows(source, model.predict, _NAN_ROWS)
    drawn = values(given, source.columns)
    places = [place for place, column in enumerate(source.columns) if column.type in FLOATS]
    missing = np.random.default_rng(rows.SEED).random((len(source.columns), len(given))) < 0.5

    def agree(chosen: Collection[int]) -> bool:
        wanting = [
            np.where(missing[place], np.nan, one) if place in chosen else one
            for place, one in enumerate(drawn)
        ]
        frame = table(source.columns, wanting, source.tensor)
        try:
            feed = proven.layout.feed(frame, source.columns, proven.names)
            return compare(proven.session, feed, answer(model, frame)).holds
        except Exception:
            return False

    found = places
    if not agree(set(places)):
        # One by one, while that takes seconds: what is required is safe in any case.
        few = len(places) <= _MOST_TRIED
        found = [place for place in places if few and agree({place})]
        if not agree(set(found)):
            found = []
    return {source.columns[place].name for place in found}
