"""From the numbers of a request to what a classifier takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.classifier import Rows
from service.errors import InvalidRequestError
from service.package import ClassifierPart


def to_rows(
    instances: Sequence[Sequence[float]], part: ClassifierPart, field: str = "instances"
) -> Rows:
    """Finite numbers as (n, features). Raises InvalidRequestError naming the first at fault."""
    for index, row in enumerate(instances):
        if len(row) != part.features:
            raise InvalidRequestError(
                f"a row has {part.features} numbers", field=f"{field}[{index}]"
            )
    # In double precision: what is rounded first could be rounded into the range.
    return in_range(np.asarray(instances, dtype=np.float64), part, field)


def check_count(rows: int, most: int, field: str) -> None:
    """Raise InvalidRequestError unless there are 1 to ``most``."""
    if not 1 <= rows <= most:
        raise InvalidRequestError(f"there are 1 to {most} rows", field=field)


def in_range(numbers: NDArray[np.float64], part: ClassifierPart, field: str) -> Rows:
    """(n, features) numbers, each of them one that the model may be asked about.

    Raises InvalidRequestError naming the first at fault.
    """
    within = (numbers >= part.minimum) & (numbers <= part.maximum)
    if not within.all():
        row, column = np.argwhere(~within)[0]
        raise InvalidRequestError(
            f"a number is at least {part.minimum:g} and at most {part.maximum:g}",
            field=f"{field}[{row}][{column}]",
        )
    return numbers.astype(np.float32)
