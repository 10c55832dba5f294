"""Which categories and which words the steps of a model know of the columns of its input."""

from __future__ import annotations

from typing import Any

from sklearn.feature_extraction.text import CountVectorizer

from importer.walk import steps_of


def categories_of(model: Any, names: list[str]) -> dict[int, list[Any]]:
    """Known categories by place of the column; columns that nothing encodes are not there."""
    result: dict[int, list[Any]] = {}
    for step in steps_of(model, names):
        known = getattr(step.estimator, "categories_", None)
        if isinstance(known, list) and len(known) == len(step.positions):
            for position, categories in zip(step.positions, known, strict=True):
                result.setdefault(
                    position, [one for one in categories if one == one and one is not None]
                )
    return result


def words_of(model: Any, names: list[str]) -> dict[int, list[str]]:
    """Words of the vocabularies by place of the column of texts."""
    result: dict[int, list[str]] = {}
    for step in steps_of(model, names):
        if isinstance(step.estimator, CountVectorizer) and len(step.positions) == 1:
            known = getattr(step.estimator, "vocabulary_", {})
            words = sorted({word for term in known for word in str(term).split(" ")})
            result.setdefault(step.positions[0], words)
    return result


def takes_texts(model: Any) -> bool:
    """Whether the model is given texts themselves, not a table with a column of them."""
    while not isinstance(model, CountVectorizer):
        if hasattr(model, "steps"):
            model = model.steps[0][1]
        elif hasattr(model, "transformer_list"):
            model = model.transformer_list[0][1]
        elif hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        elif getattr(model, "estimator", None) is not None:
            model = model.estimator
        else:
            return False
    return True
