"""Adam with decoupled weight decay (AdamW), and for tables of which few rows are used at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.text.batch import Floats, Ints
from pipeline.text.ngrams import RowGradient

_MEAN, _SQUARE, _EPSILON = np.float32(0.9), np.float32(0.99), np.float32(1e-8)
_ALL = slice(None)


class AdamW:
    """Changes ``parameters`` in place. Only matrices decay; biases and tables do not.

    Of a table only those rows change that were used, ``table_factor`` times as much: most are used
    a few times in all.
    """

    def __init__(
        self, parameters: dict[str, Floats], decay: float, table_factor: float = 1
    ) -> None:
        self._parameters, self._decay, self._table_factor = parameters, decay, table_factor
        self._moments = {name: _Moments(value) for name, value in parameters.items()}

    def step(self, gradients: Mapping[str, Floats | RowGradient], rate: float) -> None:
        """One step of learning rate ``rate``."""
        for name, parameter in self._parameters.items():
            gradient, moments = gradients[name], self._moments[name]
            if isinstance(gradient, RowGradient):
                change = moments.direction(gradient.values, gradient.index)
                parameter[gradient.index] -= np.float32(rate * self._table_factor) * change
                continue
            if parameter.ndim > 1:
                parameter *= np.float32(1 - rate * self._decay)
            parameter -= np.float32(rate) * moments.direction(gradient)


class _Moments:
    """Running means of a parameter's gradient and of its square."""

    def __init__(self, parameter: Floats) -> None:
        self._mean, self._square = np.zeros_like(parameter), np.zeros_like(parameter)
        # They start at zero and are too small at first: what they would be, row by row, if each
        # gradient were one.
        ones = (len(parameter), *(1 for _ in parameter.shape[1:]))
        self._mean_of_ones, self._square_of_ones = np.zeros((2, *ones), np.float32)

    def direction(self, gradient: Floats, rows: Ints | slice = _ALL) -> Floats:
        """Where to go, against the gradient of these rows: of about one, whatever its scale."""
        for running, new, keep in (
            (self._mean, gradient, _MEAN), (self._square, gradient * gradient, _SQUARE),
            (self._mean_of_ones, 1, _MEAN), (self._square_of_ones, 1, _SQUARE),
        ):  # fmt: skip
            running[rows] += (1 - keep) * (new - running[rows])
        mean = self._mean[rows] / self._mean_of_ones[rows]
        square = self._square[rows] / self._square_of_ones[rows]
        direction: Floats = mean / (np.sqrt(square) + _EPSILON)
        return direction
