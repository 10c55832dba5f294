"""What every way of asking a classifier comes to."""

from __future__ import annotations

from functools import partial
from typing import cast

from service.classifier import Labels, Probabilities, Rows
from service.models import Served
from service.package import ClassifierPart
from service.predictor import Predictor

# With which statuses every way of asking one refuses or fails.
REFUSALS = (404, 408, 413, 422, 500, 503, 504)


def part_of(served: Served) -> ClassifierPart:
    """What a classifier takes and knows; ``Models.get`` found it for its kind, and so for this."""
    return cast(ClassifierPart, served.descriptor.classifier)


async def classify(
    served: Served, rows: Rows, predictor: Predictor
) -> tuple[Labels, Probabilities]:
    """Labels (n,) and probabilities (n, classes) of (n, features) rows, which are counted.

    Raises TimedOutError, PredictionFailedError.
    """
    labels, probabilities = await predictor.run(
        partial(served.runner.predict, rows), served, rows=len(rows)
    )
    if served.sketch:
        served.sketch.rows(rows, labels)
    return labels, probabilities
