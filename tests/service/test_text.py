"""A trained text generator: what it writes, and which packages are refused."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor
from text_models import graph, tokenizer_bytes, trained

from pipeline import text as pipeline
from service.errors import ModelInvalidError, NotReadyError
from service.loader import open_runner, read_descriptor
from service.package import parse_descriptor
from service.text import TextGenerator
from service.text_generation import Options
from service.text_sampling import Sampling

PROMPT = "Parameters\n----------\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    for name, content in trained().items():
        (folder / name).write_bytes(content)
    return folder


def open_text(folder: Path) -> TextGenerator:
    """The generator in ``folder``, not yet loaded."""
    return TextGenerator(folder, read_descriptor(folder, "text"), intra_op_threads=1)


@pytest.fixture(scope="module")
def generator(folder: Path) -> TextGenerator:
    generator = open_text(folder)
    generator.load()
    generator.warm()
    return generator


def write(generator: TextGenerator, prompt: str, options: Options) -> tuple[str, str | None, int]:
    """The text, why it ended, and how many tokens it is said to be."""
    generation = generator.start(prompt, options)
    text = ""
    while generation.finish_reason is None:
        text += generation.step()
    return text, generation.finish_reason, generation.completion_tokens


@pytest.mark.parametrize(("temperature", "top_p"), [(0, 1), (0.7, 1), (1, 0.9), (1, 0.1), (2, 1)])
def test_every_step_is_a_token_that_the_tokenizer_counts(
    generator: TextGenerator, folder: Path, temperature: float, top_p: float
) -> None:
    tokenizer = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    full = 0
    for seed in range(40):
        sampling = Sampling(temperature, top_p, seed)
        generation = generator.start(PROMPT, Options(48, sampling))
        text, steps = "", 0
        while generation.finish_reason is None:
            text += generation.step()
            steps += 1
        assert len(tokenizer.encode(text)) == generation.completion_tokens
        assert generation.prompt_tokens == len(tokenizer.encode(PROMPT))
        assert "\ufffd" not in text
        if generation.finish_reason == "length":
            assert steps == generation.completion_tokens == 48
            full += 1
    assert full > 0 or min(temperature, top_p) < 0.5


def test_the_same_seed_writes_the_same(generator: TextGenerator) -> None:
    def texts(seed: int | None) -> list[str]:
        return [write(generator, p, Options(20, Sampling(seed=seed)))[0] for p in ("a", "b", "c")]

    assert texts(5) == texts(5)
    assert texts(5) != texts(6)
    assert texts(None) != texts(None)


def test_without_temperature_the_seed_makes_no_difference(generator: TextGenerator) -> None:
    one, other = (write(generator, "The ", Options(20, Sampling(0, 1, seed))) for seed in (1, 2))
    assert one == other


def test_a_prompt_far_longer_than_the_context_is_counted_whole(generator: TextGenerator) -> None:
    prompt = "x" * 1000 + PROMPT
    generation = generator.start(prompt, Options(8, Sampling(0)))
    assert generation.prompt_tokens > 900
    short = generator.start(PROMPT, Options(8, Sampling(0)))
    assert [generation.step() for _ in range(8)] == [short.step() for _ in range(8)]


def test_nothing_is_written_before_it_is_loaded(folder: Path) -> None:
    with pytest.raises(NotReadyError):
        open_text(folder).start("", Options())


def test_a_classifiers_descriptor_is_refused(folder: Path) -> None:
    part = {"features": 64, "minimum": 0, "maximum": 16, "classes": 10}
    content = {"format": 1, "name": "digits", "kind": "classifier", "accuracy": 1}
    descriptor = parse_descriptor(json.dumps({**content, "classifier": part}).encode(), "digits")
    with pytest.raises(ModelInvalidError, match="digits is not a text generator"):
        TextGenerator(folder, descriptor, intra_op_threads=1)


VOCABULARY = pipeline.TINY.prepare.vocabulary
CONTEXT = math.prod(pipeline.TINY.train.kernels)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.onnx", lambda: None, "model.onnx cannot be read: No such file"),
        ("model.onnx", lambda: b"no graph", "model.onnx is not a model that can be run"),
        (
            "model.onnx",
            lambda: graph(vocabulary=VOCABULARY, context=CONTEXT, name="numbers"),
            f"has input numbers tensor(int64) ['n', {CONTEXT}], not tokens",
        ),
        (
            "model.onnx",
            lambda: graph(vocabulary=VOCABULARY, context=CONTEXT, kind=6),
            "has input tokens tensor(int32)",
        ),
        (
            "model.onnx",
            lambda: graph(vocabulary=VOCABULARY, context=CONTEXT + 1),
            f"not tokens tensor(int64) [N, {CONTEXT}]",
        ),
        (
            "model.onnx",
            lambda: graph(vocabulary=VOCABULARY + 1, context=CONTEXT),
            f"not logits tensor(float) [N, {VOCABULARY}]",
        ),
        (
            "model.onnx",
            lambda: graph(vocabulary=VOCABULARY, context=CONTEXT, scale=float("nan")),
            "model.onnx does not run: the model answers with numbers that are none",
        ),
        ("tokenizer.model", lambda: None, "tokenizer.model cannot be read: No such file"),
        ("tokenizer.model", lambda: b"no tokenizer", "is not a SentencePiece model"),
        ("tokenizer.model", tokenizer_bytes, f"tokens, the model {VOCABULARY}"),
    ],
)
def test_a_package_that_is_not_what_it_says_is_refused(
    folder: Path, tmp_path: Path, file: str, content: Callable[[], bytes | None], message: str
) -> None:
    damaged = tmp_path / "text"
    shutil.copytree(folder, damaged)
    (damaged / file).unlink()
    if (replaced := content()) is not None:
        (damaged / file).write_bytes(replaced)
    descriptor = read_descriptor(damaged, "text")
    with pytest.raises(ModelInvalidError, match=re.escape(message)):
        open_runner(damaged, descriptor, intra_op_threads=1)
