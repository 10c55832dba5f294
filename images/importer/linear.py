"""Linear classifiers whose converters in skl2onnx take another label or another probability."""

from __future__ import annotations

from typing import Any

import numpy as np
from skl2onnx import update_registered_converter
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier, SGDClassifier
from sklearn.svm import LinearSVC

from importer.boosters import refused
from importer.nodes import Nodes, classifier_shapes, labels, matching, number_of, tensor_of


def register_linear(options: dict[str, Any]) -> None:
    """Teach skl2onnx."""
    # The log-odds of two classes were doubled, the best of clipped probabilities was taken, or
    # there was single precision alone, which words do not come in.
    for kind in (LinearDiscriminantAnalysis, SGDClassifier, LinearSVC, RidgeClassifier):
        update_registered_converter(
            kind, f"Exact{kind.__name__}", classifier_shapes, _classifier,
            options={**options, "raw_scores": [True, False]},
        )  # fmt: skip


def decision(model: Any, given: str, kind: Any, nodes: Nodes) -> str:
    """What ``decision_function`` of a linear classifier gives, ``(n, classes)`` or (n, 1)."""
    number = number_of(kind)
    coefficients = np.atleast_2d(np.asarray(model.coef_)).astype(number).T
    sums = nodes.add(
        "MatMul", nodes.add("Cast", given, to=tensor_of(kind)), nodes.constant(coefficients)
    )
    return nodes.add("Add", sums, nodes.constant(np.atleast_1d(model.intercept_).astype(number)))


def _classifier(scope: Any, operator: Any, container: Any) -> None:
    nodes, model = Nodes(scope, container), operator.raw_operator
    if np.ndim(model.classes_) != 1 or len(np.atleast_2d(model.coef_)) not in (
        1,
        len(model.classes_),
    ):
        raise refused("several labels for each row in a linear classifier")
    kind, number = matching(operator.inputs[0]), number_of(matching(operator.inputs[0]))
    label, probabilities = (one.full_name for one in operator.outputs)
    scores = decision(model, operator.inputs[0].full_name, kind, nodes)
    both = scores
    if len(model.classes_) == 2:
        both = nodes.add("Concat", nodes.add("Neg", scores), scores, axis=1)
    labels(model.classes_, both, nodes, label, keepdims=0)
    raw = container.get_options(model, {"raw_scores": False})["raw_scores"]
    if raw or not hasattr(model, "predict_proba"):
        nodes.add("Identity", both, out=probabilities)
        return
    one = nodes.constant(number(1))
    if getattr(model, "loss", "") == "modified_huber":
        bounds = (nodes.constant(number(-1)), nodes.constant(number(1)))
        above = nodes.add("Add", nodes.add("Clip", scores, *bounds), one)
        result = nodes.add("Div", above, nodes.constant(number(2)))
    elif isinstance(model, LinearDiscriminantAnalysis) and len(model.classes_) > 2:
        nodes.add("Softmax", scores, out=probabilities, axis=1)
        return
    else:
        result = nodes.add("Sigmoid", scores)
    nodes.add("Identity", together(result, len(model.classes_), number, nodes), out=probabilities)


def together(result: str, classes: int, number: Any, nodes: Nodes) -> str:
    """Probabilities of all classes of those of each by itself, or of the second of two."""
    one = nodes.constant(number(1))
    if classes == 2:
        return nodes.add("Concat", nodes.add("Sub", one, result), result, axis=1)
    total = nodes.add("ReduceSum", result, nodes.constant(np.array([1])), keepdims=1)
    none = nodes.add("Equal", total, nodes.constant(number(0)))
    # Where none is probable, all are equally so.
    total = nodes.add("Where", none, one, total)
    shares = nodes.add("Div", result, total)
    return nodes.add("Where", none, nodes.constant(number(1 / classes)), shares)
