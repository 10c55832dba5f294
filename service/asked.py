"""Requests of which it depends on the model what they must be: numbers, or a table."""

from __future__ import annotations

from typing import TypeVar

from service.body import parse_body
from service.errors import InvalidRequestError
from service.models import Models, Served
from service.package import Kind
from service.schemas import Asking

# The kinds of models that take rows.
ROWS: tuple[Kind, ...] = ("classifier", "tabular")

_Numbers = TypeVar("_Numbers", bound=Asking)
_Table = TypeVar("_Table", bound=Asking)


def parse_rows(
    models: Models,
    body: bytes,
    numbers: type[_Numbers],
    table: type[_Table],
    named: type[Asking],
) -> tuple[Served, _Numbers | _Table]:
    """The model that ``body`` is for, and what it asks: ``numbers``, or of a tabular one ``table``.

    ``named`` reads the model's name from a body that is something else. Raises
    InvalidRequestError, ModelNotFoundError, NotReadyError.
    """
    try:
        asked = parse_body(body, numbers)
    except InvalidRequestError:
        served = _of_table(models, body, named)
        if served is None:
            raise
    else:
        served = models.get(asked.wanted(), *ROWS)
        if served.descriptor.kind != "tabular":
            return served, asked
    # Read as numbers, integers are not what they were.
    return served, parse_body(body, table)


def _of_table(models: Models, body: bytes, named: type[Asking]) -> Served | None:
    """The model for tables that ``body`` is for, if it is for one.

    Raises ModelNotFoundError, NotReadyError.
    """
    if all(served.descriptor.kind != "tabular" for served in models.all()):
        return None
    try:
        name = parse_body(body, named).wanted()
    except InvalidRequestError:
        return None
    served = models.get(name, *ROWS)
    return served if served.descriptor.kind == "tabular" else None
