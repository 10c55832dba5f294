"""What a model says of all rows that it is asked, and whether a graph says the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from importer import rows
from importer.answers import Output, answer, outputs_of
from importer.boundaries import boundary_rows
from importer.errors import RefusedError
from importer.parity import Comparison, Parity, Spread, compare, spreads
from importer.rows import Rows
from importer.source import Source

Graph = Callable[[Rows], list[NDArray[Any]]]


@dataclass(frozen=True)
class Evidence:
    """What the model says of all rows that it is asked, and of single ones, None where it fails."""

    rows: list[tuple[Rows, list[NDArray[Any]]]]
    odd: list[tuple[Rows, list[NDArray[Any]] | None]]
    spreads: list[Spread]
    outputs: list[Output]

    @property
    def classes(self) -> list[Sequence[Any]]:
        """Those of each table of probabilities."""
        tables = sorted((one for one in self.outputs if one.source), key=lambda one: one.source)
        return [one.classes or () for one in tables]

    def judge(self, graph: Graph) -> Parity:
        """How a graph fares. Raises RefusedError where it answers what the model refuses."""
        total = Parity(0, 0.0, 0, 0)
        for given, wanted in self.rows:
            response = graph(given)
            compared = compare(response, wanted, self.spreads, self.classes)
            total += self._excused(compared, response, wanted, given).parity
        for given, wanted_or_none in self.odd:
            if wanted_or_none is not None:
                response = graph(given)
                total += compare(response, wanted_or_none, self.spreads, self.classes).parity
                continue
            try:
                graph(given)
            except Exception:  # noqa: S112
                continue
            raise RefusedError(
                "its ONNX graph answers a category that the model itself refuses",
                "give the encoder a handle_unknown other than 'error'",
            )
        return total

    def _excused(
        self, compared: Comparison, response: list[NDArray[Any]], wanted: list[NDArray[Any]],
        given: Rows,
    ) -> Comparison:  # fmt: skip
        """The comparison without rows that are answered as the row a last digit away."""
        if given.partners is None or not compared.failed.any():
            return compared
        positions = np.flatnonzero(compared.failed & (given.partners >= 0))
        others = given.partners[positions]
        there = compare(
            [table[positions] for table in response], [table[others] for table in wanted],
            self.spreads, self.classes,
        )  # fmt: skip
        excused = positions[~there.failed]
        compared.shares[excused], compared.labels[excused] = 0.0, 0
        return compared


def gather(source: Source, model: Any) -> Evidence:
    """Ask the model. Raises RefusedError."""
    ordinary = rows.random_rows(source, model.predict)
    said = answer(model, ordinary.table)
    asked = [ordinary, rows.example(source), boundary_rows(source, model.predict, ordinary)]
    answers = [(one, answer(model, one.table)) for one in asked if one is not None]
    odd: list[tuple[Rows, list[NDArray[Any]] | None]] = []
    for one in rows.odd_rows(source, ordinary):
        try:
            odd.append((one, answer(model, one.table)))
        except Exception:
            odd.append((one, None))
    outputs = outputs_of(model, said, source.predict_fn)
    return Evidence(answers, odd, spreads(said), outputs)
