"""What skl2onnx has no converter for, or one that is not exact; trees of all libraries first."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
import xgboost as xgb
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import Int64TensorType
from sklearn.base import BaseEstimator, RegressorMixin, is_classifier
from sklearn.ensemble import IsolationForest
from sklearn.ensemble._iforest import _average_path_length

from importer import trees
from importer.boosters import of_lightgbm, of_xgboost
from importer.calibration import register_calibration
from importer.encoders import register_encoders
from importer.forest import Forest
from importer.imputer import register_imputer
from importer.linear import register_linear
from importer.nodes import (
    Nodes,
    classifier_shapes,
    labels,
    link,
    margins,
    matching,
    tensor_of,
)  # fmt: skip
from importer.numeric import register_numeric
from importer.text import register_text

CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"], "nocl": [True, False],
    "output_class_labels": [False, True], "raw_scores": [False],
}  # fmt: skip
_BOOSTED = (
    xgb.XGBClassifier, xgb.XGBRFClassifier, xgb.XGBRegressor, xgb.XGBRFRegressor, xgb.XGBRanker,
    lgb.LGBMClassifier, lgb.LGBMRegressor, lgb.LGBMRanker,
)  # fmt: skip


class NativeBooster(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A booster that is no estimator, as one: its margins after their link are what it predicts."""

    def __init__(self, booster: Any = None) -> None:
        self.booster = booster

    @property
    def width(self) -> int:
        """How many numbers it gives for a row."""
        forest = forest_of(self.booster)
        return 1 if forest.link == "argmax" else forest.targets

    def predict(self, given: Any) -> Any:
        """What the booster itself says."""
        if isinstance(self.booster, xgb.Booster):
            return self.booster.predict(xgb.DMatrix(given))
        return self.booster.predict(given)


def forest_of(model: Any) -> Forest:
    """The trees of any model that has a converter here."""
    if isinstance(model, NativeBooster):
        return forest_of(model.booster)
    if isinstance(model, (*trees.HISTOGRAM, *trees.GRADIENT)):
        return trees.of_boosted(model)
    if isinstance(model, trees.BAGGED):
        return trees.of_bagged(model)
    return (of_lightgbm if isinstance(model, (lgb.Booster, lgb.LGBMModel)) else of_xgboost)(model)


def register() -> None:
    """Teach skl2onnx; once in a process."""
    for kind in (*_BOOSTED, *trees.HISTOGRAM, *trees.GRADIENT, *trees.BAGGED, NativeBooster):
        name = f"Forest{kind.__name__}"
        if is_classifier(kind()):
            update_registered_converter(
                kind, name, classifier_shapes, _classifier, options=CLASSIFIER_OPTIONS
            )
        else:
            update_registered_converter(kind, name, _regressor_shapes, _regressor)
    update_registered_converter(
        IsolationForest, "ExactIsolationForest", _isolation_shapes, _isolation,
        options={"score_samples": [True, False]},
    )  # fmt: skip
    register_imputer()
    register_encoders()
    register_numeric()
    register_text()
    register_linear(CLASSIFIER_OPTIONS)
    register_calibration(CLASSIFIER_OPTIONS)


def _classifier(scope: Any, operator: Any, container: Any) -> None:
    nodes, model, given = Nodes(scope, container), operator.raw_operator, operator.inputs[0]
    forest = forest_of(model)
    found = link(forest, margins(forest, given.full_name, nodes), nodes)
    if isinstance(model.classes_, list):
        _several(model.classes_, found, given, operator.outputs, nodes)
        return
    label, probabilities = (one.full_name for one in operator.outputs)
    if forest.targets == 1 and len(model.classes_) == 2:
        other = nodes.add("Sub", nodes.constant(forest.precision(1)), found)
        found = nodes.add("Concat", other, found, axis=1)
    labels(model.classes_, found, nodes, label, keepdims=0)
    nodes.add("Cast", found, out=probabilities, to=tensor_of(matching(given)))


def _several(classes: list[Any], found: str, given: Any, outputs: Any, nodes: Nodes) -> None:
    """Labels ``(n, outputs)`` and probabilities ``(outputs, n, classes)`` of several outputs."""
    kind = tensor_of(matching(given))
    widest, start, best, tables = max(map(len, classes)), 0, [], []
    for known in classes:
        bounds = [nodes.constant(np.array([k])) for k in (start, start + len(known), 1)]
        own = nodes.add("Slice", found, *bounds)
        start += len(known)
        best.append(labels(known, own, nodes, keepdims=1))
        pads = nodes.constant(np.array([0, 0, 0, widest - len(known)]))
        own = nodes.add("Cast", nodes.add("Pad", own, pads), to=kind)
        tables.append(nodes.add("Unsqueeze", own, nodes.constant(np.array([0]))))
    nodes.add("Concat", *best, out=outputs[0].full_name, axis=1)
    nodes.add("Concat", *tables, out=outputs[1].full_name, axis=0)


def _regressor_shapes(operator: Any) -> None:
    model, given = operator.raw_operator, operator.inputs[0]
    if isinstance(model, trees.BAGGED):
        width = model.n_outputs_
    elif isinstance(model, (*trees.GRADIENT, *trees.HISTOGRAM)):
        width = 1
    else:
        width = model.width if isinstance(model, NativeBooster) else forest_of(model).targets
    operator.outputs[0].type = matching(given)([given.get_first_dimension(), width])


def _regressor(scope: Any, operator: Any, container: Any) -> None:
    nodes, forest, given = (
        Nodes(scope, container),
        forest_of(operator.raw_operator),
        operator.inputs[0],
    )
    found = link(forest, margins(forest, given.full_name, nodes), nodes)
    nodes.add("Cast", found, out=operator.outputs[0].full_name, to=tensor_of(matching(given)))


def _isolation_shapes(operator: Any) -> None:
    given = operator.inputs[0]
    rows = given.get_first_dimension()
    operator.outputs[0].type = Int64TensorType([rows, 1])
    operator.outputs[1].type = matching(given)([rows, 1])


def _isolation(scope: Any, operator: Any, container: Any) -> None:
    nodes, model, given = Nodes(scope, container), operator.raw_operator, operator.inputs[0]
    lengths = margins(trees.of_isolation(model), given.full_name, nodes)
    most = len(model.estimators_) * float(_average_path_length([model._max_samples])[0])
    shares = nodes.add("Div", lengths, nodes.constant(-most if most else -1.0))
    scores = nodes.add("Neg", nodes.add("Pow", nodes.constant(2.0), shares))
    decision = nodes.add("Sub", scores, nodes.constant(float(model.offset_)))
    outside = nodes.add("Less", decision, nodes.constant(0.0))
    label, score = (one.full_name for one in operator.outputs)
    signs = nodes.constant(np.int64(-1)), nodes.constant(np.int64(1))
    nodes.add("Where", outside, *signs, out=label)
    nodes.add("Cast", decision, out=score, to=tensor_of(matching(given)))
