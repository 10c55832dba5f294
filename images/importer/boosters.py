"""The trees within models of XGBoost and LightGBM."""

from __future__ import annotations

import functools
import json
from typing import Any

import lightgbm as lgb
import numpy as np
import xgboost as xgb

from importer.errors import RefusedError
from importer.forest import Forest, Leaf, Link, Split

_XGBOOST: dict[str, Link] = {
    "binary:logistic": "sigmoid", "reg:logistic": "sigmoid", "binary:logitraw": "identity",
    "binary:hinge": "step", "multi:softprob": "softmax", "multi:softmax": "argmax",
    "count:poisson": "exp", "reg:gamma": "exp", "reg:tweedie": "exp",
    "reg:squarederror": "identity", "reg:absoluteerror": "identity",
    "reg:squaredlogerror": "identity", "reg:pseudohubererror": "identity",
    "reg:quantileerror": "sort", "rank:pairwise": "identity", "rank:ndcg": "identity",
    "rank:map": "identity",
}  # fmt: skip
# LightGBM's zero: a float, and what it makes of the number 0 as a threshold.
_ZERO = float(np.float32(1e-35))
# Since 3.4 its predict puts the quantiles of a row in order, which trees alone do not.
_SORTS_QUANTILES = tuple(map(int, xgb.__version__.split(".")[:2])) >= (3, 4)
_LIGHTGBM: dict[str, Link] = {
    "regression": "identity", "regression_l1": "identity", "huber": "identity",
    "fair": "identity", "quantile": "identity", "mape": "identity", "lambdarank": "identity",
    "rank_xendcg": "identity", "poisson": "exp", "gamma": "exp", "tweedie": "exp",
    "binary": "sigmoid", "multiclass": "softmax", "multiclassova": "sigmoid",
    "cross_entropy": "sigmoid", "cross_entropy_lambda": "softplus",
}  # fmt: skip


def of_xgboost(model: Any) -> Forest:
    """The forest of a booster or an estimator. Raises RefusedError."""
    booster = model
    if not isinstance(model, xgb.Booster):
        missing = getattr(model, "missing", np.nan)
        if missing is not None and not np.isnan(missing):
            raise refused(f"a value for what is missing ({missing}) other than NaN")
        booster = model.get_booster()
        if (best := booster.attr("best_iteration")) is not None:
            # As the estimator's own predict does, which a booster's does not.
            booster = booster[: int(best) + 1]
    booster = booster.copy()
    booster.feature_names = booster.feature_types = None
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    objective, grown = learner["objective"]["name"], learner["gradient_booster"]
    # Of the booster dart. Versions have had them, and the trees, at different depths.
    weights = _anywhere(grown, "weight_drop")
    while "model" not in grown and "gbtree" in grown:
        grown = grown["gbtree"]
    if objective not in _XGBOOST:
        raise refused(f"the objective {objective}")
    if "model" not in grown or "trees" not in grown["model"]:
        raise refused(f"the booster {grown.get('name', '')}")
    trees, targets = grown["model"]["trees"], grown["model"]["tree_info"]
    known = learner["learner_model_param"]
    count = max(1, int(known["num_class"]), int(known.get("num_target", 1)))
    link = _XGBOOST[objective]
    if link == "argmax" and hasattr(model, "predict_proba"):
        # An estimator's predict_proba, of which its own predict takes the best.
        link = "softmax"
    if objective == "reg:quantileerror" and not _SORTS_QUANTILES:
        link = "identity"
    forest = Forest(np.float32, [0.0] * count, link)
    for place, (tree, target) in enumerate(zip(trees, targets, strict=True)):
        _add_xgboost(forest, tree, target, weights[place] if weights else 1.0)
    forest.base = _base(booster, forest, int(known["num_feature"]), trees, targets, weights)
    return forest


def _add_xgboost(forest: Forest, tree: dict[str, Any], target: int, weight: float) -> None:
    if int(tree["tree_param"].get("size_leaf_vector", "1")) > 1:
        raise refused("leaves of several values (multi_strategy)")
    if any(tree.get("split_type", ())):
        raise refused("splits by category (enable_categorical)")
    nodes = range(len(tree["left_children"]))
    named = [[number] for number in nodes]

    def look(node: list[int]) -> Leaf | Split:
        (k,) = node
        value, left = tree["split_conditions"][k], tree["left_children"][k]
        if left == -1:
            return Leaf((float(np.float32(value)) * weight,))
        right = tree["right_children"][k]
        return Split(
            tree["split_indices"][k], "BRANCH_LT", float(np.float32(value)), named[left],
            named[right], bool(tree["default_left"][k]),
        )  # fmt: skip

    forest.add(target, named[0], look)


def _anywhere(described: Any, key: str) -> Any:
    """The value of ``key`` at whatever depth of nested objects; None where there is none."""
    if not isinstance(described, dict):
        return None
    if key in described:
        return described[key]
    found = (_anywhere(part, key) for part in described.values())
    return next((one for one in found if one is not None), None)


def _base(
    booster: xgb.Booster, forest: Forest, features: int, trees: list[Any], targets: list[int],
    weights: list[float] | None,
) -> list[float]:  # fmt: skip
    """What a row has before any tree, measured: its form in the file changes with versions."""
    row = xgb.DMatrix(np.zeros((1, features), np.float32))
    base = np.ravel(booster.predict(row, output_margin=True)).astype(np.float64)
    if trees:
        leaves = np.ravel(booster.predict(row, pred_leaf=True)).astype(int)
        for k, (tree, target) in enumerate(zip(trees, targets, strict=True)):
            weight = weights[k] if weights else 1.0
            base[target] -= np.float32(tree["split_conditions"][leaves[k]]) * weight
    return [float(one) for one in np.round(base, 9)]


def of_lightgbm(model: Any) -> Forest:
    """The forest of a booster or an estimator. Raises RefusedError."""
    booster = model if isinstance(model, lgb.Booster) else model.booster_
    dumped = booster.dump_model()
    objective, *options = dumped.get("objective", "none").split()
    if objective not in _LIGHTGBM:
        raise refused(f"the objective {objective}")
    said = dict(option.split(":") for option in options if ":" in option)
    count = int(dumped["num_tree_per_iteration"])
    link = "square" if "sqrt" in options else _LIGHTGBM[objective]
    forest = Forest(np.float64, [0.0] * count, link, float(said.get("sigmoid", 1)))
    features = int(dumped["max_feature_idx"]) + 1
    for place, tree in enumerate(dumped["tree_info"]):
        look = functools.partial(_look_lightgbm, truncated=forest.truncated, features=features)
        forest.add(place % count, tree["tree_structure"], look)
    if dumped.get("average_output"):
        forest.scaled(count / len(dumped["tree_info"]))
    return forest


def _look_lightgbm(node: dict[str, Any], truncated: list[int], features: int) -> Leaf | Split:
    if "split_feature" not in node:
        if node.get("leaf_features"):
            raise refused("linear models in its leaves (linear_tree)")
        return Leaf((float(node["leaf_value"]),))
    if node["missing_type"] == "Zero":
        raise refused("zeros that stand for what is missing (zero_as_missing)")
    feature, left, right = node["split_feature"], node["left_child"], node["right_child"]
    if node["decision_type"] == "==":
        first, _, others = str(node["threshold"]).partition("||")
        if others:
            # One node for each category of a set; kept with its parent, as nodes are known by id.
            right = node.setdefault("next", {**node, "threshold": others})
        if feature not in truncated:
            truncated.append(feature)
        feature = features + truncated.index(feature)
        return Split(feature, "BRANCH_EQ", float(first), left, right, False)
    threshold = float(node["threshold"])
    if abs(threshold) <= _ZERO:
        # All that is as small is zero to its predict.
        threshold = _ZERO if threshold >= 0 else float(np.nextafter(-_ZERO, -np.inf))
    # Where training saw nothing missing, it counts as zero.
    missing = node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0
    return Split(feature, "BRANCH_LEQ", threshold, left, right, bool(missing))


def refused(what: str) -> RefusedError:
    return RefusedError(
        f"it has {what}, for which there is no ONNX here", "train it without that, and log it again"
    )
