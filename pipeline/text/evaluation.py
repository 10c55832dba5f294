"""How the exported language model does on the documents that it has never seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pipeline import package, reference
from pipeline.stages import Build, Evaluation
from pipeline.text import examples, preparation, sampling, tokenizer
from pipeline.text.batch import Floats, Ints
from pipeline.text.params import NAME

_BATCH = 1024
# Of the training documents: the model's answers to them all would take minutes.
_ANSWERED_SHARE = 32
_SEED = 20
# More of them depend on the processor, by which the runtime picks its kernels.
_DIGITS = 3


def evaluate(data: Path, model: Path, out: Path) -> Evaluation:
    """Write model.json, reference.json, samples, and what it is worth to see more tokens."""
    tokens = tokenizer.load(model / preparation.TOKENIZER)
    session = load(model / "model.onnx")
    context = _context(session)
    held_out = tokenizer.encode(tokens, preparation.read(data, "held_out"))
    inputs, targets = examples.windows(held_out, context)
    right, losses = score(session, inputs, targets)
    train = tokenizer.encode(tokens, preparation.read(data, "train"))
    metrics = {
        "accuracy": float(np.mean(right)),
        "perplexity": _perplexity(losses),
        **_baseline(train, targets, tokens.get_piece_size()),
        "examples": len(targets),
    }
    text = {"vocabulary": tokens.get_piece_size(), "context": context}
    described = package.describe(NAME, "text-generator", metrics["accuracy"], text=text)
    package.write_json(out / "model.json", described)
    package.write_csv(
        out / "by_tokens_seen.csv", ("tokens", "accuracy", "perplexity"),
        _by_tokens_seen(np.count_nonzero(inputs != tokenizer.PAD, axis=1), right, losses),
    )  # fmt: skip
    _write_reference(out, session, train, tokens.get_piece_size())
    (out / "samples.txt").write_text(sampling.samples(session, tokens), encoding="utf-8")
    return Evaluation(metrics, described)


def example(build: Build) -> Ints:
    """The start of a held-out document as (1, context) tokens."""
    tokens = tokenizer.load(build.model / preparation.TOKENIZER)
    first = tokenizer.encode(tokens, preparation.read(build.data, "held_out")[:1])
    inputs, _ = examples.windows(first, _context(load(build.model / "model.onnx")))
    return inputs[-1:]


def load(file: Path) -> ort.InferenceSession:
    """The exported model, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def score(
    session: ort.InferenceSession, inputs: Ints, targets: Ints
) -> tuple[NDArray[np.bool_], Floats]:
    """Whether the likeliest token was the right one, and the cross-entropy in nats, each (n,)."""
    right, losses = [], []
    for start in range(0, len(targets), _BATCH):
        wanted = targets[start : start + _BATCH]
        logits = session.run(None, {"tokens": inputs[start : start + _BATCH]})[0]
        logits -= logits.max(axis=1, keepdims=True)
        right.append(logits.argmax(axis=1) == wanted)
        chosen = logits[np.arange(len(wanted)), wanted]
        losses.append(np.log(np.exp(logits).sum(axis=1)) - chosen)
    return np.concatenate(right), np.concatenate(losses)


def _by_tokens_seen(
    seen: Ints, right: NDArray[np.bool_], losses: Floats
) -> Iterator[tuple[int, float, float]]:
    for count in np.unique(seen).tolist():
        those = seen == count
        yield count, float(np.mean(right[those])), _perplexity(losses[those])


def _baseline(train: list[Ints], targets: Ints, vocabulary: int) -> dict[str, float]:
    """What always saying how frequent each token is in the training documents would be worth."""
    seen = np.concatenate([*train, np.full(len(train), tokenizer.EOS)])
    # One more of each, or a token that training never saw would cost infinitely much.
    counts = np.bincount(seen, minlength=vocabulary) + 1
    losses = -np.log(counts / counts.sum())[targets]
    return {
        "unigram_accuracy": float(np.mean(targets == counts.argmax())),
        "unigram_perplexity": _perplexity(losses),
    }


def _perplexity(losses: NDArray[np.floating[Any]]) -> float:
    return round(float(np.exp(np.mean(losses))), _DIGITS)


def _write_reference(
    out: Path, session: ort.InferenceSession, train: list[Ints], vocabulary: int
) -> None:
    """Tokens in groups of like frequency, and the groups of what the model draws after them."""
    seen = np.concatenate(train)
    grouped = reference.groups(np.bincount(seen, minlength=vocabulary))
    count = int(grouped.max()) + 1
    inner = reference.edges(np.arange(count))
    inputs, _ = examples.windows(train[::_ANSWERED_SHARE], _context(session))
    drawn = _draw(session, inputs)
    features = [reference.feature("tokens", grouped[seen], inner)]
    # The end is no token of an answer.
    answers = grouped[drawn[drawn != tokenizer.EOS]]
    reference.write(out, features, answers, classes=count, groups=grouped)


def _draw(session: ort.InferenceSession, inputs: Ints) -> Ints:
    """A token after each row of ``inputs``, drawn as the service draws by default."""
    rng = np.random.default_rng(_SEED)
    drawn = []
    for start in range(0, len(inputs), _BATCH):
        logits = session.run(None, {"tokens": inputs[start : start + _BATCH]})[0]
        # The Gumbel trick: the largest is chosen as often as the softmax says.
        drawn.append((logits + rng.gumbel(size=logits.shape)).argmax(axis=1))
    return np.concatenate(drawn)


def _context(session: ort.InferenceSession) -> int:
    context: int = session.get_inputs()[0].shape[1]
    return context
