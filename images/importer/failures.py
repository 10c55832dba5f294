"""Why skl2onnx or onnxruntime did not take a model, in words for its owner."""

from __future__ import annotations

import re
from collections.abc import Sequence

from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

from importer.errors import RefusedError, one_line

_CLASS = re.compile(r"<class '([\w.]+)'>|of type '?([\w.]+)|alias '?(\w+)")
_LIST = "https://onnx.ai/sklearn-onnx/supported.html lists what converts"


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
    error = failed[-1] if failed else RuntimeError("nothing to try")
    return RefusedError(
        f"it cannot be converted: {type(error).__name__}: {one_line(error)}",
        f"replace the step that this names; {_LIST}",
    )
