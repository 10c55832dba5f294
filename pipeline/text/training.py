"""Training the language model: the same data and seed give the same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline import package
from pipeline.text import counts, examples, export, preparation, tokenizer
from pipeline.text.batch import Ints
from pipeline.text.network import Network
from pipeline.text.optimizer import AdamW
from pipeline.text.params import Train

_WARM_UP_STEPS = 50
_CURVE_POINTS = 40
# For the curve only; the evaluation takes all of them.
_CURVE_TEXTS = 50


def train(data: Path, out: Path, params: Train) -> None:
    """Write model.onnx, the tokenizer beside it, and loss.csv."""
    tokens = tokenizer.load(data / preparation.TOKENIZER)
    texts = tokenizer.encode(tokens, preparation.read(data, "train"))
    others = tokenizer.encode(tokens, preparation.read(data, "held_out")[:_CURVE_TEXTS])
    rng = np.random.default_rng(params.seed)
    prior = counts.log_probabilities(examples.batch(texts), tokens.get_piece_size())
    network = Network(rng, prior, params.embedding, params.hidden, params.kernels, params.tables)
    # One thread: the same sums in the same order, and no fight over a machine that is busy.
    with threadpool_limits(1):
        curve = list(fit(network, texts, others, params, rng))
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(export.to_onnx(network))
    shutil.copyfile(data / preparation.TOKENIZER, out / preparation.TOKENIZER)
    package.write_csv(out / "loss.csv", ("step", "training", "held_out"), curve)


def fit(
    network: Network, texts: Sequence[Ints], others: Sequence[Ints], params: Train,
    rng: np.random.Generator,
) -> Iterator[tuple[int, float, float]]:  # fmt: skip
    """Train; yields now and then the step, the mean loss since the last time, that of ``others``.

    The learning rate rises quickly and then falls in a straight line to zero.
    """
    total = params.passes * sum(len(text) + 1 for text in texts)
    unseen = examples.batch(others)
    optimizer = AdamW(network.parameters, params.weight_decay, params.table_factor)
    seen, losses = 0, list[float]()
    for step, batch in enumerate(examples.batches(texts, params.batch, rng), start=1):
        loss, gradients = network.loss_and_gradients(batch)
        losses.append(loss)
        point = int(_CURVE_POINTS * seen / total)
        seen += len(batch.tokens)
        left = max(0.0, 1 - seen / total)
        optimizer.step(gradients, params.learning_rate * min(1, step / _WARM_UP_STEPS) * left)
        if int(_CURVE_POINTS * seen / total) > point:
            yield step, float(np.mean(losses)), network.loss(unseen)
            losses.clear()
        if not left:
            return
