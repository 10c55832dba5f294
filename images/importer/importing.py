"""The whole way: read, convert, prove, describe."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from importer import rows
from importer.answers import Output, answer, as_estimator, outputs_of
from importer.boundaries import boundary_rows
from importer.columns import FLOATS, Column
from importer.convert import Layout, convert, layouts
from importer.errors import RefusedError
from importer.failures import explain, mismatch
from importer.parity import TOLERANCE, Comparison, Parity, Spread, compare, open_graph, spreads
from importer.rows import Rows, as_given
from importer.source import Source, read

_NAN_ROWS, _MOST_TRIED = 200, 100


@dataclass(frozen=True)
class Evidence:
    """What the model says of all rows that it is asked, and of single ones, None where it fails."""

    rows: list[tuple[Rows, list[NDArray[Any]]]]
    odd: list[tuple[Rows, list[NDArray[Any]] | None]]
    spreads: list[Spread]
    outputs: list[Output]

    @property
    def classes(self) -> list[Sequence[Any]]:
        """Those of each table of probabilities."""
        tables = sorted((one for one in self.outputs if one.source), key=lambda one: one.source)
        return [one.classes or () for one in tables]


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
    evidence = _evidence(source, model)
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


def _evidence(source: Source, model: Any) -> Evidence:
    ordinary = rows.random_rows(source, model.predict)
    said = answer(model, ordinary.table)
    asked = [ordinary, rows.example(source), boundary_rows(source, model.predict, ordinary)]
    answers = [(one, answer(model, one.table)) for one in asked if one is not None]
    odd: list[tuple[Rows, list[NDArray[Any]] | None]] = []
    for one in rows.odd_rows(source, ordinary):
        try:
            odd.append((one, answer(model, one.table)))
        except Exception:
            odd.append((one, None))
    outputs = outputs_of(model, said, source.predict_fn)
    return Evidence(answers, odd, spreads(said), outputs)


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
            parity = _parity(found, source, evidence)
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


def _parity(found: Proven, source: Source, evidence: Evidence) -> Parity:
    """How the graph fares. Raises RefusedError where it answers what the model refuses."""
    total = Parity(0, 0.0, 0, 0)
    for given, wanted in evidence.rows:
        said = found.said(given, source, evidence.outputs)
        total += _excused(compare(said, wanted, evidence.spreads, evidence.classes), said, wanted,
                          given, evidence).parity  # fmt: skip
    for given, one in evidence.odd:
        if one is not None:
            said = found.said(given, source, evidence.outputs)
            total += compare(said, one, evidence.spreads, evidence.classes).parity
            continue
        try:
            found.said(given, source, evidence.outputs)
        except Exception:  # noqa: S112
            continue
        raise RefusedError(
            "its ONNX graph answers a category that the model itself refuses",
            "give the encoder a handle_unknown other than 'error'",
        )
    return total


def _excused(
    compared: Comparison, said: list[NDArray[Any]], wanted: list[NDArray[Any]], given: Rows,
    evidence: Evidence,
) -> Comparison:  # fmt: skip
    """The comparison without rows that are answered as the row a last digit away."""
    if given.partners is None or not compared.failed.any():
        return compared
    places = np.flatnonzero(compared.failed & (given.partners >= 0))
    others = given.partners[places]
    there = compare([one[places] for one in said], [one[others] for one in wanted],
                    evidence.spreads, evidence.classes)  # fmt: skip
    excused = places[~there.failed]
    compared.shares[excused], compared.labels[excused] = 0.0, 0
    return compared


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
