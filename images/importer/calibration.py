"""CalibratedClassifierCV of all three methods, and what it calibrates, also within pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx._parse import _parse_sklearn
from skl2onnx.operator_converters.common import concatenate_variables
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, NuSVC

from importer import trees
from importer.boosters import refused
from importer.linear import decision, together
from importer.nodes import (
    Nodes,
    classifier_shapes,
    labels,
    margins,
    matching,
    number_of,
    tensor_of,
)  # fmt: skip


def register_calibration(options: dict[str, Any]) -> None:
    """Teach skl2onnx."""
    update_registered_converter(
        CalibratedClassifierCV, "ExactCalibratedClassifierCV", classifier_shapes, _calibrated,
        options=options,
    )  # fmt: skip


def _calibrated(scope: Any, operator: Any, container: Any) -> None:
    nodes, model = Nodes(scope, container), operator.raw_operator
    kind, number = matching(operator.inputs[0]), number_of(matching(operator.inputs[0]))
    tables = []
    for part in model.calibrated_classifiers_:
        scores, are_probabilities = _response(scope, operator, container, part.estimator)
        if part.method == "temperature":
            tables.append(_by_temperature(part, scores, are_probabilities, number, nodes))
            continue
        if len(part.classes) == 2:
            scores = _column(scores, 1, nodes) if are_probabilities else scores
            result = _one(part.calibrators[0], scores, number, nodes)
        else:
            result = _each(part, scores, number, nodes)
        tables.append(together(result, len(part.classes), number, nodes))
    total = nodes.add("Sum", *tables) if len(tables) > 1 else tables[0]
    mean = nodes.add("Div", total, nodes.constant(number(len(tables))))
    label, probabilities = (one.full_name for one in operator.outputs)
    labels(model.classes_, mean, nodes, label, keepdims=0)
    nodes.add("Cast", mean, out=probabilities, to=tensor_of(kind))


def _response(scope: Any, operator: Any, container: Any, estimator: Any) -> tuple[str, bool]:
    """What is calibrated, and whether it is probabilities, ``(n, classes)``.

    Of two classes, scores are (n, 1).
    """
    nodes, variables = Nodes(scope, container), operator.inputs
    kind = matching(operator.inputs[0])
    while isinstance(estimator, (FrozenEstimator, Pipeline)):
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
            continue
        for _, step in estimator.steps[:-1]:
            variables = _parse_sklearn(scope, step, variables)
        estimator = estimator.steps[-1][1]
    given = variables[0].full_name
    if len(variables) > 1:
        given = concatenate_variables(scope, variables, container)
    if isinstance(estimator, (*trees.GRADIENT, *trees.HISTOGRAM)) and hasattr(
        estimator, "decision_function"
    ):
        forest = trees.of_boosted(estimator)
        forest.scale = 1.0
        return nodes.add("Cast", margins(forest, given, nodes), to=tensor_of(kind)), False
    if isinstance(estimator, LinearClassifierMixin):
        return decision(estimator, given, kind, nodes), False
    options = {"zipmap": False}
    raw = isinstance(estimator, (SVC, NuSVC))
    if raw:
        options["raw_scores"] = True
    elif hasattr(estimator, "decision_function"):
        raise refused(f"a calibrated {type(estimator).__name__}")
    for side in (scope, container):
        side.add_options(id(estimator), options)
    _, table = _parse_sklearn(scope, estimator, variables)
    scores = nodes.add("Cast", table.full_name, to=tensor_of(kind))
    if raw and len(estimator.classes_) == 2:
        scores = _column(scores, 1, nodes)
    return scores, not raw


def _column(table: str, position: int, nodes: Nodes) -> str:
    return nodes.add("Gather", table, nodes.constant(np.array([position])), axis=1)


def _each(part: Any, scores: str, number: Any, nodes: Nodes) -> str:
    """Calibrated scores of each class by itself, zero of one that this part never saw."""
    known = {one: position for position, one in enumerate(part.estimator.classes_)}
    result = []
    for one in part.classes:
        if one in known:
            column = _column(scores, known[one], nodes)
            result.append(_one(part.calibrators[known[one]], column, number, nodes))
        else:
            column = _column(scores, 0, nodes)
            result.append(nodes.add("Mul", column, nodes.constant(number(0))))
    return nodes.add("Concat", *result, axis=1)


def _one(calibrator: Any, scores: str, number: Any, nodes: Nodes) -> str:
    if hasattr(calibrator, "X_thresholds_"):
        return _isotonic(calibrator, scores, number, nodes)
    by, more = nodes.constant(number(-calibrator.a_)), nodes.constant(number(-calibrator.b_))
    return nodes.add("Sigmoid", nodes.add("Add", nodes.add("Mul", scores, by), more))


def _isotonic(calibrator: Any, scores: str, number: Any, nodes: Nodes) -> str:
    """Straight lines between the calibrator's points, and flat beyond them."""
    at = np.asarray(calibrator.X_thresholds_, number)
    values = np.asarray(calibrator.y_thresholds_, number)
    if len(at) == 1:
        at, values = np.array([at[0], at[0] + number(1)]), np.repeat(values, 2)
    ends = (nodes.constant(at[0]), nodes.constant(at[-1]))
    given = nodes.add("Clip", scores, *ends)
    below = nodes.add("Greater", given, nodes.constant(at[None, :]))
    position = nodes.add(
        "ReduceSum", nodes.add("Cast", below, to=7), nodes.constant(np.array([1])), keepdims=1
    )
    right = nodes.add(
        "Clip", position, nodes.constant(np.int64(1)), nodes.constant(np.int64(len(at) - 1))
    )
    left = nodes.add("Sub", right, nodes.constant(np.int64(1)))
    slopes = nodes.constant(np.append(np.diff(values) / np.diff(at), number(0)))
    by = nodes.add("Gather", slopes, left)
    start, base = (nodes.add("Gather", nodes.constant(one), left) for one in (at, values))
    return nodes.add("Add", nodes.add("Mul", nodes.add("Sub", given, start), by), base)


def _by_temperature(
    part: Any, scores: str, are_probabilities: bool, number: Any, nodes: Nodes
) -> str:
    if are_probabilities:
        tiny = nodes.constant(number(1e-12))
        logits = nodes.add("Log", nodes.add("Add", scores, tiny))
    elif len(part.classes) == 2:
        logits = nodes.add("Concat", nodes.add("Neg", scores), scores, axis=1)
    else:
        logits = scores
    beta = nodes.constant(number(part.calibrators[0].beta_))
    return nodes.add("Softmax", nodes.add("Mul", logits, beta), axis=1)
