"""From the rows of a request to what a model for tables takes."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidRequestError
from service.package_tabular import ColumnType, InputPart, TabularPart
from service.tabular import Table

# Beyond it not every integer is a number of double precision, in which all of them are kept.
MOST_LONG = 2**53 - 1
MOST_INTEGER = 2**31 - 1
MOST_FLOAT = float(np.finfo(np.float32).max)

# What a value of each type is in words, and whether a value is one.
_Test = Callable[[Any], bool]
_TYPES: dict[ColumnType, tuple[str, _Test]] = {
    "boolean": ("true or false", lambda value: type(value) is bool),
    "integer": (
        f"an integer from {-MOST_INTEGER - 1} to {MOST_INTEGER}",
        lambda value: type(value) is int and -MOST_INTEGER - 1 <= value <= MOST_INTEGER,
    ),
    "long": (
        f"an integer from {-MOST_LONG} to {MOST_LONG}",
        lambda value: type(value) is int and -MOST_LONG <= value <= MOST_LONG,
    ),
    "float": (
        "a finite number of single precision",
        lambda value: type(value) in (float, int) and -MOST_FLOAT <= value <= MOST_FLOAT,
    ),
    "double": (
        "a finite number",
        lambda value: type(value) in (float, int) and abs(value) <= sys.float_info.max,
    ),
    "string": ("a string", lambda value: type(value) is str),
}


def to_table(instances: Sequence[Any], part: TabularPart, field: str = "instances") -> Table:
    """Rows, each a list of values or an object of them by their columns' names, as one table.

    Raises InvalidRequestError naming the first value at fault.
    """
    names = {column.name for column in part.inputs}
    rows = [_in_order(row, part, names, f"{field}[{place}]") for place, row in enumerate(instances)]
    plain = _plain(rows, part)
    if plain is not None:
        return plain
    tests = [(*_TYPES[column.type], column) for column in part.inputs]
    for place, row in enumerate(rows):
        for index, (words, is_one, column) in enumerate(tests):
            value = row[index]
            if is_one(value):
                continue
            if column.optional and (value is None or value != value):
                row[index] = math.nan
                continue
            named = isinstance(instances[place], dict)
            step = f".{column.name}" if named else f"[{index}]"
            raise InvalidRequestError(_said(value, words), field=f"{field}[{place}]{step}"[:200])
    table = np.empty((len(rows), len(part.inputs)), table_type(part))
    table[:] = rows
    return table


def table_type(part: TabularPart) -> type[Any]:
    """Of the table that a model takes."""
    return object if any(column.type == "string" for column in part.inputs) else float


def check_numbers(
    numbers: NDArray[np.float64], column: InputPart, field: Callable[[int], str]
) -> None:
    """Raise InvalidRequestError unless all (n,) ``numbers`` are such as a column of numbers has.

    ``field`` names one by its place.
    """
    if column.type == "boolean":
        within = (numbers == 0) | (numbers == 1)
    elif column.type in ("integer", "long"):
        most = MOST_INTEGER if column.type == "integer" else MOST_LONG
        least = -most - 1 if column.type == "integer" else -most
        within = (numbers >= least) & (numbers <= most) & (numbers == np.trunc(numbers))
    else:
        within = np.abs(numbers) <= (MOST_FLOAT if column.type == "float" else sys.float_info.max)
    if column.optional:
        within |= np.isnan(numbers)
    if not within.all():
        words = _TYPES[column.type][0]
        raise InvalidRequestError(f"a value here is {words}", field=field(int(within.argmin())))


def _in_order(row: Any, part: TabularPart, names: set[str], field: str) -> list[Any]:
    """A row's values in the order of the columns; None for those that are not there."""
    if isinstance(row, list):
        if len(row) != len(names):
            raise InvalidRequestError(f"a row has {len(names)} values", field=field)
        return list(row)
    if part.tensor or not isinstance(row, dict):
        other = "" if part.tensor else ", or an object of them by their columns' names"
        raise InvalidRequestError(f"a row is a list of {len(names)} values{other}", field=field)
    if not row.keys() <= names:
        other = next(key for key in row if key not in names)
        raise InvalidRequestError("there is no such column", field=f"{field}.{other}"[:200])
    return [row.get(column.name) for column in part.inputs]


def _plain(rows: list[list[Any]], part: TabularPart) -> NDArray[np.float64] | None:
    """The usual table, of nothing but good numbers, at the speed of the usual; None for others."""
    if any(column.type != "double" for column in part.inputs):
        return None
    if not set(map(type, chain.from_iterable(rows))) <= {float, int}:
        return None
    try:
        numbers = np.asarray(rows, np.float64)
    except OverflowError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _said(value: Any, words: str) -> str:
    return f"a value is missing here: {words}" if value is None else f"a value here is {words}"
