"""What every way of asking a classifier comes to."""

from __future__ import annotations

from typing import cast

from service.batch import Answers
from service.classifier import Labels, Probabilities, Rows
from service.models import Served
from service.package import ClassifierPart
from service.predictor import Predictor

# With which statuses every way of asking one refuses or fails.
REFUSALS = (404, 408, 413, 415, 422, 500, 503, 504)


class Classified:
    """What one request gets of the answers of a run."""

    __slots__ = ("_answers", "_rows")

    def __init__(self, answers: Answers, rows: slice) -> None:
        self._answers = answers
        self._rows = rows

    @property
    def labels(self) -> Labels:
        """(n,), the likeliest class of each row."""
        labels: Labels = self._answers.outputs[0][self._rows]
        return labels

    @property
    def probabilities(self) -> Probabilities:
        """(n, classes)."""
        probabilities: Probabilities = self._answers.outputs[1][self._rows]
        return probabilities

    @property
    def rounded(self) -> list[list[float]]:
        """The probabilities for people."""
        return self._answers.rounded[self._rows]


def part_of(served: Served) -> ClassifierPart:
    """What a classifier takes and knows; ``Models.get`` found it for its kind, and so for this."""
    return cast(ClassifierPart, served.descriptor.classifier)


async def classify(served: Served, rows: Rows, predictor: Predictor) -> Classified:
    """What a classifier says of (n, features) rows, which are counted.

    Raises TimedOutError, PredictionFailedError.
    """
    answers, first = await predictor.predict(served, rows)
    if served.sketch and not answers.is_sketched:
        # All rows of the run at once.
        answers.is_sketched = True
        served.sketch.rows(answers.rows, answers.outputs[0])
    return Classified(answers, slice(first, first + len(rows)))
