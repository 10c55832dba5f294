"""Requests of which it depends on the model what they must be: numbers, or a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from service.body import parse_body
from service.errors import InvalidRequestError, ModelNotFoundError, NotReadyError
from service.models import Models, Served
from service.observed import answered_by
from service.package import Kind
from service.schemas import Asking

# The kinds of models that take rows.
ROWS: tuple[Kind, ...] = ("classifier", "tabular")

_Numbers = TypeVar("_Numbers", bound=Asking)
_Table = TypeVar("_Table", bound=Asking)


def parse_rows(
    scope: Mapping[str, Any],
    models: Models,
    body: bytes,
    numbers: type[_Numbers],
    table: type[_Table],
    named: type[Asking],
) -> tuple[Served, _Numbers | _Table]:
    """The model that ``body`` is for, and what it asks: ``numbers``, or of a tabular one ``table``.

    ``named`` reads the model's name from a body that is something else. The request in ``scope`` is
    that model's from then on, whether or not the rest of it is refused. Raises
    InvalidRequestError, ModelNotFoundError, NotReadyError.
    """
    try:
        asked = parse_body(body, numbers)
    except InvalidRequestError:
        served = _named(models, body, named)
        if served is None:
            raise
        answered_by(scope, served)
        if served.descriptor.kind != "tabular":
            raise
    else:
        served = models.get(asked.wanted(), *ROWS)
        answered_by(scope, served)
        if served.descriptor.kind != "tabular":
            return served, asked
    # Read as numbers, integers are not what they were.
    return served, parse_body(body, table)


def _named(models: Models, body: bytes, named: type[Asking]) -> Served | None:
    """The model that ``body``, which is not one of numbers, is for; None where that is not known.

    Raises ModelNotFoundError and NotReadyError where it may be for a model for tables.
    """
    try:
        name = parse_body(body, named).wanted()
    except InvalidRequestError:
        return None
    try:
        return models.get(name, *ROWS)
    except (ModelNotFoundError, NotReadyError):
        if any(served.descriptor.kind == "tabular" for served in models.all()):
            raise
        return None
