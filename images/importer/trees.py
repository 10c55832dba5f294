"""The trees within scikit-learn's own models."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.ensemble import (
    BaseEnsemble,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from importer.boosters import refused
from importer.forest import Forest, Leaf, Link, Split

BAGGED = (
    DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor,
    RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor,
)  # fmt: skip
GRADIENT = (GradientBoostingClassifier, GradientBoostingRegressor)
HISTOGRAM = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)


def of_bagged(model: Any) -> Forest:
    """The forest of a tree, or of an ensemble of trees that say their mean.

    Its targets are the outputs, or of a classifier the classes of each of them.
    """
    trees = [
        one.tree_ for one in (model.estimators_ if isinstance(model, BaseEnsemble) else [model])
    ]
    classes = np.atleast_1d(model.n_classes_) if is_classifier(model) else [1] * model.n_outputs_
    # As scikit-learn does: float32(x) <= threshold, a double.
    forest = Forest(np.float64, [0.0] * int(sum(classes)), rounds=True, votes=is_classifier(model))
    for tree in trees:
        values = np.concatenate(
            [tree.value[:, output, :count] for output, count in enumerate(classes)], axis=1
        )
        _add(forest, tree, 0, values)
    # Votes are whole numbers as often as not, and are summed before they are divided.
    if forest.votes:
        forest.scale = 1 / len(trees)
    else:
        forest.scaled(1 / len(trees))
    return forest


def of_isolation(model: Any) -> Forest:
    """The forest of an IsolationForest: its margin is the sum of path lengths."""
    forest = Forest(np.float64, [0.0], rounds=True)
    for position, (one, features) in enumerate(
        zip(model.estimators_, model.estimators_features_, strict=True)
    ):
        lengths = (
            model._decision_path_lengths[position] + model._average_path_length_per_tree[position]
        )
        _add(forest, one.tree_, 0, (lengths - 1.0)[:, None], features)
    return forest


def of_boosted(model: Any) -> Forest:
    """The forest of scikit-learn's gradient boosting of either kind. Raises RefusedError."""
    return (of_histogram if isinstance(model, HISTOGRAM) else of_gradient)(model)


def of_gradient(model: Any) -> Forest:
    """The forest of a GradientBoosting estimator. Raises RefusedError."""
    if model.init is not None and model.init != "zero":
        raise refused("an init of its own")
    row = np.zeros((1, model.n_features_in_))
    link: Link = "identity"
    if is_classifier(model):
        link = "sigmoid" if len(model.classes_) == 2 else "softmax"
    base = [float(one) for one in np.ravel(model._raw_predict_init(row))]
    # Of AdaBoost's loss, half the log-odds.
    scale = 2.0 if model.loss == "exponential" else 1.0
    forest = Forest(np.float64, base, link, scale, rounds=True)
    for trees in model.estimators_:
        for target, tree in enumerate(trees):
            _add(forest, tree.tree_, target, tree.tree_.value[:, 0, :1] * model.learning_rate)
    return forest


def _add(forest: Forest, tree: Any, target: int, values: Any, features: Any = None) -> None:
    named = [[number] for number in range(tree.node_count)]

    def look(node: list[int]) -> Leaf | Split:
        (k,) = node
        left, right = tree.children_left[k], tree.children_right[k]
        if left == right:
            return Leaf(tuple(map(float, values[k])))
        # A threshold may be infinite: all that is not missing is on its left.
        feature = int(tree.feature[k])
        return Split(
            feature if features is None else int(features[feature]), "BRANCH_LEQ",
            float(tree.threshold[k]), named[left], named[right], bool(tree.missing_go_to_left[k]),
        )  # fmt: skip

    forest.add(target, named[0], look)


def of_histogram(model: Any) -> Forest:
    """The forest of a HistGradientBoosting estimator. Raises RefusedError."""
    base = [float(one) for one in np.ravel(model._baseline_prediction)]
    if hasattr(model, "classes_"):
        link: Link = "sigmoid" if len(base) == 1 else "softmax"
    else:
        link = "exp" if model.loss in ("poisson", "gamma") else "identity"
    forest = Forest(np.float64, base, link)
    columns, categories = _encoded(model)
    for iteration in model._predictors:
        for target, predictor in enumerate(iteration):
            _add_histogram(forest, predictor, target, columns, categories)
    return forest


def _encoded(model: Any) -> tuple[list[int], dict[int, list[float]]]:
    """Which column each feature of its trees is, and the categories of those that it encodes."""
    count = model.n_features_in_
    if getattr(model, "_preprocessor", None) is None:
        return list(range(count)), {}
    chosen = np.flatnonzero(model.is_categorical_)
    encoder = model._preprocessor.named_transformers_["encoder"]
    known = {
        position: [float(one) for one in categories]
        for position, categories in enumerate(encoder.categories_)
    }
    # Its preprocessor moves what it encodes to the front.
    others = [column for column in range(count) if column not in set(chosen)]
    return [int(column) for column in chosen] + others, known


def _add_histogram(
    forest: Forest, predictor: Any, target: int, columns: list[int],
    categories: dict[int, list[float]],
) -> None:  # fmt: skip
    nodes = predictor.nodes
    named = [[number] for number in range(len(nodes))]

    def look(node: list[Any]) -> Leaf | Split:
        if len(node) > 1:
            return _listed(*node)
        one = nodes[node[0]]
        if one["is_leaf"]:
            return Leaf((float(one["value"]),))
        feature, left, right = int(one["feature_idx"]), named[one["left"]], named[one["right"]]
        missing_left = bool(one["missing_go_to_left"])
        if not one["is_categorical"]:
            return Split(
                columns[feature], "BRANCH_LEQ", float(one["num_threshold"]), left, right,
                missing_left,
            )  # fmt: skip
        bits = predictor.raw_left_cat_bitsets[one["bitset_idx"]]
        known = categories[feature]
        on_left = [bool(bits[k // 32] >> np.uint32(k % 32) & 1) for k in range(len(known))]
        # What is unknown goes where what is missing goes: the other side's categories are listed.
        listed = [
            value for value, is_left in zip(known, on_left, strict=True)
            if is_left != missing_left and value == value
        ]  # fmt: skip
        yes, no = (right, left) if missing_left else (left, right)
        return _listed(columns[feature], listed, yes, no) if listed else look(no)

    forest.add(target, named[0], look)


def _listed(feature: int, values: list[float], yes: Any, no: Any) -> Split:
    """A node for the first of ``values``, before one for the others."""
    first, *others = values
    following = [feature, others, yes, no] if others else no
    return Split(feature, "BRANCH_EQ", first, yes, following, False)
