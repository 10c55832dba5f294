"""The whole way: read, convert, prove, describe."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from importer import rows
from importer.answers import Output, answer, as_estimator
from importer.columns import FLOATS, Column
from importer.convert import Layout, convert, layouts
from importer.errors import RefusedError
from importer.evidence import Evidence, gather
from importer.failures import explain, mismatch
from importer.parity import TOLERANCE, Parity, compare, open_graph
from importer.rows import Rows, as_given
from importer.source import Source, read

_NAN_ROWS, _MOST_TRIED = 200, 100


@dataclass(frozen=True)
class Proven:
    """A graph that says what the model says."""

    layout: Layout
    # Of the graph's inputs.
    names: list[str]
    content: bytes
    session: ort.InferenceSession
    parity: Parity

    def said(self, given: Rows, source: Source, outputs: Sequence[Output]) -> list[NDArray[Any]]:
        """What the graph makes of rows, in the order of the model's answers."""
        found = self.session.run(None, self.layout.feed(given.values, source.columns, self.names))
        order = sorted(range(len(outputs)), key=lambda place: outputs[place].source)
        return [np.asarray(found[place]) for place in order]


def run(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The figures, and the package of the model in ``folder``. Raises RefusedError."""
    return package(read(folder), name)


def package(source: Source, name: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The figures, and the package of a model that was read. Raises RefusedError."""
    model = as_estimator(source.model)
    if not hasattr(model, "predict"):
        raise RefusedError(
            f"a {type(source.model).__name__} has no predict",
            "log the whole pipeline, with the model that predicts as its last step",
        )
    evidence = gather(source, model)
    proven = _prove(source, model, evidence)
    optional = _optional(source, model, proven, evidence)
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
            "outputs": [one.described for one in evidence.outputs],
            "graph_input": proven.layout.graph_input,
            "tensor": bool(source.tensor),
        },
    }
    files = {"model.json": json.dumps(described).encode(), "model.onnx": proven.content}
    known = rows.example(source)
    figures = {
        "flavor": source.flavor, "library": source.library, "model": type(source.model).__name__,
        "precision": proven.layout.precision, "rows": rows.ROWS,
        "example_rows": 0 if known is None else len(known),
        "boundary_rows": proven.parity.rows - rows.ROWS - (len(known) if known else 0),
        "largest_difference": proven.parity.largest, "disagreements": proven.parity.labels,
        "ties": proven.parity.ties, "tolerance": TOLERANCE,
    }  # fmt: skip
    return figures, files


def _prove(source: Source, model: Any, evidence: Evidence) -> Proven:
    """The first layout whose graph agrees on all rows that were tried. Raises RefusedError."""
    failed: list[Exception] = []
    nearest: Parity | None = None
    for layout in layouts(source.columns, source.tensor):
        try:
            graph = convert(model, layout, source.columns, evidence.outputs)
            names = [one.name for one in graph.graph.input]
            content = graph.SerializeToString()
            found = Proven(layout, names, content, open_graph(content), Parity(0, 0.0, 0, 0))
            parity = evidence.judge(
                functools.partial(found.said, source=source, outputs=evidence.outputs)
            )
        except Exception as error:
            failed.append(error)
            continue
        if parity.holds:
            return Proven(layout, names, content, found.session, parity)
        if nearest is None or (parity.labels, parity.largest) < (nearest.labels, nearest.largest):
            nearest = parity
    if nearest is not None:
        raise mismatch(model, nearest, TOLERANCE)
    raise explain(failed)


def _graph_name(proven: Proven, place: int, column: Column) -> dict[str, str]:
    """How model.json says that skl2onnx, which wants identifiers, called a column otherwise."""
    if proven.layout.graph_input == "matrix" or proven.names[place] == column.name:
        return {}
    return {"graph_name": proven.names[place]}


def _optional(source: Source, model: Any, proven: Proven, evidence: Evidence) -> set[str]:
    """Columns of floats that may be missing: the model takes NaN, and the graph says the same."""
    drawn = [np.asarray(one)[:_NAN_ROWS] for one in evidence.rows[0][0].values]
    places = [place for place, column in enumerate(source.columns) if column.type in FLOATS]
    count = len(drawn[0])
    missing = np.random.default_rng(rows.SEED).random((len(source.columns), count)) < 0.5

    def agree(chosen: Collection[int]) -> bool:
        wanting = [
            np.where(missing[place], np.nan, one) if place in chosen else one
            for place, one in enumerate(drawn)
        ]
        try:
            given = Rows(wanting, as_given(source, wanting))
            wanted = answer(model, given.table)
            said = proven.said(given, source, evidence.outputs)
            return compare(said, wanted, evidence.spreads, evidence.classes).parity.holds
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
