"""What a model says of rows, in one form: numbers or labels ``(n, size)`` for each output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline

from importer.converters import NativeBooster
from importer.errors import RefusedError

_TYPES = {"b": "boolean", "i": "long", "u": "long", "U": "string", "S": "string", "O": "string"}


@dataclass(frozen=True)
class Output:
    """An output of the package. ``classes`` are those of probabilities.

    ``source`` is 0 for what ``predict`` gives, and k for the probabilities of target k - 1.
    """

    name: str
    type: str
    size: int
    classes: tuple[Any, ...] | None = None
    source: int = 0

    @property
    def described(self) -> dict[str, Any]:
        """As model.json has it."""
        found: dict[str, Any] = {"name": self.name, "type": self.type, "size": self.size}
        return found if self.classes is None else found | {"classes": self.classes}


def as_estimator(model: Any) -> Any:
    """The model, or a wrapper that makes a bare booster an estimator."""
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    if isinstance(last, VotingClassifier):
        # Of its transform alone, which nobody asks; skl2onnx has only this.
        last.flatten_transform = False
    return NativeBooster(model) if isinstance(model, (xgb.Booster, lgb.Booster)) else model


def answer(model: Any, given: Any) -> list[NDArray[Any]]:
    """What ``predict`` gives, then ``predict_proba`` of each target, all of two dimensions."""
    found = [_two(np.asarray(model.predict(given)))]
    if has_probabilities(model):
        said = model.predict_proba(given)
        found += [_two(np.asarray(one)) for one in (said if isinstance(said, list) else [said])]
    return found


def has_probabilities(model: Any) -> bool:
    """Whether it is a classifier that tells them."""
    return bool(is_classifier(model)) and hasattr(model, "predict_proba")


def outputs_of(model: Any, said: list[NDArray[Any]], predict_fn: str) -> list[Output]:
    """The outputs of a model that has ``said`` this of some rows, ``predict_fn``'s first.

    Raises RefusedError.
    """
    first, *others = said
    kind = "float" if first.dtype == np.float32 else _TYPES.get(first.dtype.kind, "double")
    named = "label" if is_classifier(model) else "prediction"
    outputs = [Output(named, kind, first.shape[1])]
    if predict_fn == "predict_proba" and len(others) != 1:
        raise RefusedError(
            "it was logged with pyfunc_predict_fn=predict_proba, and does not give one table of"
            " probabilities",
            "log it without pyfunc_predict_fn",
        )
    if not others:
        return outputs
    classes = model.classes_
    known = list(classes) if isinstance(classes, list) else [classes]
    if len(known) != len(others) or any(
        len(one) != table.shape[1] for one, table in zip(known, others, strict=True)
    ):
        raise RefusedError(
            "its probabilities are not one for each of its classes_",
            "train a classifier whose predict_proba has a column for each of classes_",
        )
    for k, one in enumerate(known):
        name = f"probabilities_{k}" if first.shape[1] > 1 else "probabilities"
        listed = tuple(np.asarray(one).tolist())
        outputs.append(Output(name, "float", len(one), listed, k + 1))
    if predict_fn == "predict_proba":
        # The first output is what /invocations answers.
        outputs.reverse()
    return outputs


def _two(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(len(array), -1)
