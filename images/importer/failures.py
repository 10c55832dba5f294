"""Why skl2onnx or onnxruntime did not take a model, in words for its owner."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

from importer.errors import RefusedError, one_line
from importer.parity import Parity
from importer.walk import steps_of

_CLASS = re.compile(r"<class '([\w.]+)'>|of type '?([\w.]+)|alias '?(\w+)")
_LIST = "https://onnx.ai/sklearn-onnx/supported.html lists what converts"


def mismatch(model: Any, nearest: Parity, tolerance: float) -> RefusedError:
    """What the nearest of all graphs got wrong, and where that is known, why."""
    names = {type(step.estimator).__name__ for step in steps_of(model, [])}
    if any(name.startswith("KNeighbors") for name in names):
        return RefusedError(
            f"of {nearest.rows} rows {nearest.labels} labels differ from its ONNX graph's, and"
            f" numbers by up to {nearest.largest:.3g} of their spread: where several of its"
            " training rows are equally near, the libraries choose others",
            "nothing is registered; take an odd n_neighbors and weights='distance', or a model"
            " that does not search among its rows",
        )
    return RefusedError(
        f"its ONNX graph does not say what it says: of {nearest.rows} rows {nearest.labels}"
        f" labels differ, numbers by up to {nearest.largest:.3g} of their spread"
        f" (at most {tolerance:g})",
        "nothing is registered; another estimator, or fewer steps, may convert exactly",
    )


def explain(failed: Sequence[Exception]) -> RefusedError:
    """One reason of those for which every layout failed: the most telling one."""
    for error in failed:
        if isinstance(error, RefusedError):
            return error
    for error in failed:
        if isinstance(error, (MissingConverter, MissingShapeCalculator)):
            found = _CLASS.search(str(error))
            step = next(filter(None, found.groups()), "") if found else one_line(error)
            return RefusedError(
                f"its step {step} has no ONNX converter",
                f"replace that step by one of scikit-learn's that has: {_LIST}",
            )
        if "FunctionTransformer" in str(error):
            return RefusedError(
                "its FunctionTransformer has a function of its own, which ONNX cannot hold",
                "do that to the data before the pipeline, or use a transformer of scikit-learn",
            )
    # The first way is the most exact: the later ones fail for what they themselves are.
    error = failed[0] if failed else RuntimeError("nothing to try")
    return RefusedError(
        f"it cannot be converted: {type(error).__name__}: {one_line(error)}",
        f"replace the step that this names; {_LIST}",
    )
