"""Import every model of the corpus, and compare each with its graph on rows of another origin.

``python corpus.py`` in the environment of the importer's image prints a line of JSON for each.
``PYTHONPATH=. python tests/importer/corpus_table.py`` in ours writes the table of them.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any

import corpus_rows
import numpy as np
import onnxruntime as ort
import pandas as pd
from corpus_models import Entry, corpus
from sklearn.base import BaseEstimator

from importer import importing
from importer.columns import Column
from importer.converters import register
from importer.errors import RefusedError
from importer.source import Source

_TYPES = {"float64": "double", "float32": "float", "int64": "long"}
_NUMPY = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
_SINGLES, TOLERANCE = 25, 2e-4


def main() -> None:
    """Every model, or those whose names are given."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    register()
    chosen = sys.argv[1:]
    for name, entry in corpus().items():
        if not chosen or name in chosen:
            print(json.dumps({"name": name, **_imported(entry)}), file=answers, flush=True)


def _imported(entry: Entry) -> dict[str, Any]:
    training = entry.data(corpus_rows.TRAINING, 1)
    for step in _estimators(entry.model):
        if "random_state" in step.get_params(deep=False):
            step.set_params(random_state=0)
    model = entry.model.fit(training, entry.target(training))
    columns = tuple(
        Column(name, _TYPES.get(str(column.dtype), "string")) for name, column in training.items()
    )
    source = Source(model, "sklearn", "scikit-learn", columns, "", training.head(20))
    response = {"classes": sorted({type(one).__name__ for one in _estimators(model)})}
    try:
        figures, files = importing.package(source, "mine")
    except RefusedError as error:
        return {**response, "refused": error.reason}
    rows = [entry.data(corpus_rows.ROWS, 2), corpus_rows.boundary(training)]
    session = ort.InferenceSession(files["model.onnx"], providers=["CPUExecutionProvider"])
    described = json.loads(files["model.json"])["tabular"]
    owners = {name: column.dtype for name, column in training.items()}
    # The service refuses a request without a number that may not be missing.
    needed = {one["name"]: 0 for one in described["inputs"] if not one["optional"]}
    wrong = [_wrong(model, session, described, one.fillna(needed), owners) for one in rows]
    return {**response, "precision": figures["precision"], "wrong": wrong}


def _estimators(model: Any) -> list[Any]:
    """A model and all that it is made of."""
    result, waiting = [], [model]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseEstimator):
            result.append(one)
            waiting += list(one.get_params(deep=False).values())
        elif isinstance(one, (list, tuple)):
            waiting += list(one)
    return result


def _wrong(
    model: Any, session: Any, described: Any, table: pd.DataFrame, owners: dict[str, Any]
) -> int:
    """How many rows the graph answers otherwise than the model, which may refuse some.

    The model is given the types of its signature, as MLflow gives them.
    """
    given = table.astype(owners)
    try:
        model.predict(given)
    except Exception:
        if len(table) == 1:
            return int(_answers(session, described, table))
        singles = [table.iloc[k : k + 1] for k in range(_SINGLES)]
        return sum(_wrong(model, session, described, one, owners) for one in singles)
    return _differing(model, _ask(session, described, table), described, given)


def _answers(session: Any, described: Any, table: pd.DataFrame) -> bool:
    try:
        _ask(session, described, table)
    except Exception:
        return False
    return True


def _ask(session: Any, described: Any, table: pd.DataFrame) -> list[Any]:
    """What the graph makes of rows, given as the service gives them."""
    values = corpus_rows.values(table, [one["name"] for one in described["inputs"]])
    kinds = {one.name: one.type for one in session.get_inputs()}
    if described["graph_input"] == "matrix":
        ((name, kind),) = kinds.items()
        return list(session.run(None, {name: np.column_stack(values).astype(_NUMPY[kind])}))
    feed = {}
    for one, column in zip(described["inputs"], values, strict=True):
        name = one.get("graph_name") or one["name"]
        feed[name] = column[:, None].astype(_NUMPY.get(kinds[name], object))
    return list(session.run(None, feed))


def _differing(model: Any, result: list[Any], described: Any, table: pd.DataFrame) -> int:
    wanted = [np.asarray(model.predict(table))]
    if len(result) > 1:
        tables = model.predict_proba(table)
        wanted += [np.asarray(one) for one in (tables if isinstance(tables, list) else [tables])]
    bad = np.zeros(len(table), bool)
    for position, (got, want) in enumerate(zip(result, wanted, strict=True)):
        want = want.reshape(got.shape)
        if want.dtype.kind == "f":
            size = np.maximum(np.std(want, axis=0), np.abs(want - np.median(want, axis=0)))
            size = np.where(size > 0, size, 1.0)
            bad |= (np.abs(got - want) > TOLERANCE * size + 1e-6 * np.abs(want)).any(axis=1)
            continue
        differ = got.astype(str) != want.astype(str)
        for column, proba in enumerate(wanted[1:] if position == 0 else []):
            best = np.sort(proba, axis=1)
            classes = described["outputs"][column + 1]["classes"]
            own = np.array(classes).astype(str)[proba.argmax(axis=1)]
            tie = (best[:, -1] - best[:, -2] <= 1e-6) & (own == want[:, column].astype(str))
            differ[:, column] &= ~tie
        bad |= differ.any(axis=1)
    return int(bad.sum())


if __name__ == "__main__":
    main()
