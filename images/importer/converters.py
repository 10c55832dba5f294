"""What skl2onnx has no converter for, or one that loses precision: boosted trees, imputers."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
import xgboost as xgb
from skl2onnx import update_registered_converter
from skl2onnx.common._registration import get_converter
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from importer.boosters import of_histogram, of_lightgbm, of_xgboost
from importer.forest import Forest
from importer.imputer import register_imputer
from importer.nodes import Nodes, link, margins


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
    if isinstance(model, (HistGradientBoostingClassifier, HistGradientBoostingRegressor)):
        return of_histogram(model)
    return (of_lightgbm if isinstance(model, (lgb.Booster, lgb.LGBMModel)) else of_xgboost)(model)


def register() -> None:
    """Teach skl2onnx; once in a process."""
    options = {"zipmap": [True, False, "columns"], "nocl": [True, False],
               "output_class_labels": [False, True], "raw_scores": [False]}  # fmt: skip
    for kind in (xgb.XGBClassifier, xgb.XGBRFClassifier, lgb.LGBMClassifier,
                 HistGradientBoostingClassifier):  # fmt: skip
        update_registered_converter(
            kind, f"Forest{kind.__name__}", _classifier_shapes, _classifier, options=options
        )
    for kind in (xgb.XGBRegressor, xgb.XGBRFRegressor, xgb.XGBRanker, lgb.LGBMRegressor,
                 lgb.LGBMRanker, HistGradientBoostingRegressor, NativeBooster):  # fmt: skip
        update_registered_converter(kind, f"Forest{kind.__name__}", _regressor_shapes, _regressor)
    register_imputer()
    # Its own parser asks for an option that it does not know.
    get_converter("SklearnLinearSVC").get_allowed_options()["zipmap"] = options["zipmap"]


def _classifier_shapes(operator: Any) -> None:
    rows, classes = operator.inputs[0].get_first_dimension(), operator.raw_operator.classes_
    label = Int64TensorType if _are_numbers(classes) else StringTensorType
    operator.outputs[0].type = label([rows])
    operator.outputs[1].type = FloatTensorType([rows, len(classes)])


def _classifier(scope: Any, operator: Any, container: Any) -> None:
    nodes, model = Nodes(scope, container), operator.raw_operator
    forest = forest_of(model)
    found = link(forest, margins(forest, operator.inputs[0].full_name, nodes), nodes)
    if forest.targets == 1:
        other = nodes.add("Sub", nodes.constant(np.float32(1)), found)
        found = nodes.add("Concat", other, found, axis=1)
    best = nodes.add("ArgMax", found, axis=1, keepdims=0)
    classes = model.classes_
    known = np.asarray(classes).astype(np.int64 if _are_numbers(classes) else str)
    nodes.add("Gather", nodes.constant(known), best, out=operator.outputs[0].full_name, axis=0)
    nodes.add("Identity", found, out=operator.outputs[1].full_name)


def _regressor_shapes(operator: Any) -> None:
    model = operator.raw_operator
    width = model.width if isinstance(model, NativeBooster) else forest_of(model).targets
    operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), width])


def _regressor(scope: Any, operator: Any, container: Any) -> None:
    nodes, forest = Nodes(scope, container), forest_of(operator.raw_operator)
    found = link(forest, margins(forest, operator.inputs[0].full_name, nodes), nodes)
    nodes.add("Identity", found, out=operator.outputs[0].full_name)


def _are_numbers(classes: Any) -> bool:
    return np.asarray(classes).dtype.kind in "iubf"
