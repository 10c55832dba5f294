"""Which categories the encoders of a pipeline know for which column of its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline


def categories_of(model: Any, names: Sequence[str]) -> dict[int, list[Any]]:
    """Known categories by place of the column; columns that nothing encodes are not there."""
    found: dict[int, list[Any]] = {}
    _walk(model, list(range(len(names))), names, found)
    return found


def _walk(step: Any, places: list[int], names: Sequence[str], found: dict[int, list[Any]]) -> None:
    if isinstance(step, Pipeline):
        for _, part in step.steps:
            _walk(part, places, names, found)
            # What follows sees other columns than the pipeline's own.
            if isinstance(part, (ColumnTransformer, FeatureUnion)):
                return
    elif isinstance(step, FeatureUnion):
        for _, part in step.transformer_list:
            _walk(part, places, names, found)
    elif isinstance(step, ColumnTransformer):
        for _, part, chosen in step.transformers_:
            _walk(part, _chosen(chosen, places, names), names, found)
    else:
        known = getattr(step, "categories_", None)
        if isinstance(known, list) and len(known) == len(places):
            for place, categories in zip(places, known, strict=True):
                found.setdefault(place, [one for one in categories if one == one])


def _chosen(chosen: Any, places: list[int], names: Sequence[str]) -> list[int]:
    """The places of columns chosen by name, number, slice or mask."""
    if isinstance(chosen, str):
        return [place for place in places if names[place] == chosen]
    if isinstance(chosen, slice) and not isinstance(chosen.start, str):
        return places[chosen]
    try:
        wanted = np.atleast_1d(np.asarray(chosen))
    except ValueError:
        return []
    if wanted.dtype.kind in "OUT":
        by_name = {names[place]: place for place in places}
        return [by_name[str(one)] for one in wanted if str(one) in by_name]
    if wanted.dtype.kind == "b":
        return [place for place, take in zip(places, wanted, strict=False) if take]
    if wanted.dtype.kind in "iu":
        return [places[int(one)] for one in wanted if -len(places) <= one < len(places)]
    return []
