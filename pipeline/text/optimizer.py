"""Adam with decoupled weight decay (AdamW)."""

from __future__ import annotations

import numpy as np

from pipeline.text.network import Floats

_MEAN, _SQUARE, _EPSILON = 0.9, 0.99, 1e-8


class AdamW:
    """Changes ``parameters`` in place. Only matrices decay, biases do not."""

    def __init__(self, parameters: dict[str, Floats], decay: float) -> None:
        self._parameters, self._decay = parameters, decay
        self._mean = {name: np.zeros_like(value) for name, value in parameters.items()}
        self._square = {name: np.zeros_like(value) for name, value in parameters.items()}
        self._steps = 0

    def step(self, gradients: dict[str, Floats], rate: float) -> None:
        """One step of learning rate ``rate``."""
        self._steps += 1
        # Both start at zero and are too small at first.
        mean_scale = 1 - _MEAN**self._steps
        square_scale = 1 - _SQUARE**self._steps
        for name, parameter in self._parameters.items():
            gradient, mean, square = gradients[name], self._mean[name], self._square[name]
            mean += (1 - _MEAN) * (gradient - mean)
            square += (1 - _SQUARE) * (gradient * gradient - square)
            if parameter.ndim > 1:
                parameter *= 1 - rate * self._decay
            parameter -= (rate / mean_scale) * mean / (np.sqrt(square / square_scale) + _EPSILON)
