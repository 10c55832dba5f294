"""What every way of asking a model for tables comes to."""

from __future__ import annotations

from typing import Any, cast

from numpy.typing import NDArray

from service.models import Served
from service.package_tabular import TabularPart
from service.predictor import Predictor
from service.tabular import Table


def part_of(served: Served) -> TabularPart:
    """What a model for tables takes and gives; ``served`` is known to be one."""
    return cast(TabularPart, served.descriptor.tabular)


async def tabulate(served: Served, rows: Table, predictor: Predictor) -> tuple[NDArray[Any], ...]:
    """What a model for tables makes of ``rows``: each output's lines for them, in their order.

    Raises TimedOutError, PredictionFailedError.
    """
    answers, first = await predictor.predict(served, rows)
    return tuple(output[first : first + len(rows)] for output in answers.outputs)


def predictions(part: TabularPart, outputs: tuple[NDArray[Any], ...]) -> list[dict[str, Any]]:
    """The outputs row by row, by their names."""
    names = [output.name for output in part.outputs]
    columns = [output.tolist() for output in outputs]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def classes(part: TabularPart) -> dict[str, list[Any]]:
    """The classes of each output of probabilities that has others than 0, 1, 2 and so on."""
    return {
        output.name: list(output.classes)
        for output in part.outputs
        if output.classes is not None and not _are_counted(output.classes)
    }


def _are_counted(known: tuple[Any, ...]) -> bool:
    # False and True are equal to 0 and 1, and not what a reader takes them for.
    return all(type(one) is int and one == place for place, one in enumerate(known))
