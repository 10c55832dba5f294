"""A language model in numpy: each layer joins neighbouring stretches of text to a longer one.

With kernels 3, 3, 3 the first layer sees three tokens, the second three such stretches, so nine
tokens, and the third 27. In training all positions of a text share that work. What would be before
the beginning of a text is zero. Tables of pairs and triples of tokens, which cost no products of
matrices, add to the last layer, and what pairs say by counting adds to the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.text import ngrams
from pipeline.text.batch import Batch, Floats, Ints
from pipeline.text.ngrams import RowGradient

Gradients = dict[str, Floats | RowGradient]


@dataclass(frozen=True)
class _Seen:
    """What a layer did: (n, kernel * width) inputs and (n, hidden) outputs before the residual."""

    inputs: Floats
    outputs: Floats


class Network:
    """``parameters`` are all that is learned, by name; ``context`` counts the tokens seen.

    ``prior`` are logits by the last token and the next, to which the network adds its own, and
    ``tables`` the rows of those of two tokens, three tokens and so on.
    """

    def __init__(
        self, rng: np.random.Generator, prior: Floats, embedding: int, hidden: int,
        kernels: Sequence[int], tables: Sequence[int],
    ) -> None:  # fmt: skip
        self.prior, vocabulary = prior, len(prior)
        self.kernels = tuple(kernels)
        self.context = math.prod(kernels)
        self.parameters = {"embedding": _normal(rng, (vocabulary, embedding), 0.5)}
        width = embedding
        for layer, kernel in enumerate(kernels):
            inputs = kernel * width
            self.parameters[f"weight_{layer}"] = _normal(rng, (inputs, hidden), (2 / inputs) ** 0.5)
            self.parameters[f"bias_{layer}"] = np.zeros(hidden, np.float32)
            width = hidden
        self.tables = dict(enumerate(tables, start=2))
        for length, count in self.tables.items():
            self.parameters[f"table_{length}"] = np.zeros((count, hidden), np.float32)
        # Small: at first the prior decides.
        self.parameters["weight_out"] = _normal(rng, (hidden, vocabulary), 0.02)
        self.parameters["bias_out"] = np.zeros(vocabulary, np.float32)

    def loss(self, batch: Batch) -> float:
        """Mean cross-entropy in nats."""
        _, hidden = self._forward(batch)
        chances = _softmax(self._logits(hidden, batch))
        return _cross_entropy(chances, batch.targets)

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Gradients]:
        """Mean cross-entropy in nats, and its gradient by each of ``parameters``."""
        seen, hidden = self._forward(batch)
        delta = _softmax(self._logits(hidden, batch))
        loss = _cross_entropy(delta, batch.targets)
        delta[np.arange(len(delta)), batch.targets] -= 1
        delta /= len(delta)
        gradients: Gradients = {"weight_out": hidden.T @ delta, "bias_out": delta.sum(axis=0)}
        delta = delta @ self.parameters["weight_out"].T
        for length, count in self.tables.items():
            index = ngrams.rows(batch, length, count)
            gradients[f"table_{length}"] = ngrams.gradient(index, delta)
        for layer in reversed(range(len(self.kernels))):
            delta = self._backward(layer, seen[layer], delta, batch.places, gradients)
        gradients["embedding"] = by_embedding = np.zeros_like(self.parameters["embedding"])
        used = ngrams.gradient(batch.tokens, delta)
        by_embedding[used.index] = used.values
        return loss, gradients

    def _logits(self, hidden: Floats, batch: Batch) -> Floats:
        logits = hidden @ self.parameters["weight_out"]
        logits += self.parameters["bias_out"]
        logits += self.prior[batch.tokens]
        return logits

    def _forward(self, batch: Batch) -> tuple[list[_Seen], Floats]:
        hidden, seen = self.parameters["embedding"][batch.tokens], []
        for layer, distances in enumerate(self._distances()):
            inputs = np.zeros((len(hidden), len(distances) * hidden.shape[1]), np.float32)
            for part, distance in zip(_parts(inputs, distances), distances, strict=True):
                part[distance:] = hidden[: len(hidden) - distance]
                part[batch.places < distance] = 0
            outputs = inputs @ self.parameters[f"weight_{layer}"]
            outputs += self.parameters[f"bias_{layer}"]
            np.maximum(outputs, 0, out=outputs)
            seen.append(_Seen(inputs, outputs))
            hidden = outputs + hidden if layer else outputs
        for length, count in self.tables.items():
            index = ngrams.rows(batch, length, count)
            hidden = hidden + self.parameters[f"table_{length}"][index]
        return seen, hidden

    def _backward(
        self, layer: int, seen: _Seen, delta: Floats, places: Ints, gradients: Gradients
    ) -> Floats:
        """The loss by the input of a layer, from the loss by its output."""
        distances = self._distances()[layer]
        through = delta * (seen.outputs > 0)
        gradients[f"weight_{layer}"] = seen.inputs.T @ through
        gradients[f"bias_{layer}"] = through.sum(axis=0)
        by_inputs = through @ self.parameters[f"weight_{layer}"].T
        below = np.zeros((len(delta), by_inputs.shape[1] // len(distances)), np.float32)
        for part, distance in zip(_parts(by_inputs, distances), distances, strict=True):
            part[places < distance] = 0
            below[: len(below) - distance] += part[distance:]
        if layer:
            below += delta
        return below

    def _distances(self) -> list[list[int]]:
        """For each layer how far back the stretches end that it joins, farthest first."""
        lengths = [math.prod(self.kernels[:layer]) for layer in range(len(self.kernels))]
        return [
            [length * step for step in reversed(range(kernel))]
            for length, kernel in zip(lengths, self.kernels, strict=True)
        ]


def _softmax(logits: Floats) -> Floats:
    """Chances, in the memory of the logits."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def _cross_entropy(chances: Floats, targets: Ints) -> float:
    chosen = chances[np.arange(len(targets)), targets]
    return -float(np.mean(np.log(chosen + np.float32(1e-9))))


def _parts(inputs: Floats, distances: list[int]) -> list[Floats]:
    return np.split(inputs, len(distances), axis=1)


def _normal(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> Floats:
    return rng.standard_normal(shape, np.float32) * np.float32(scale)
