"""Tokenizers and graphs for tests: small, and wrong where a test wants them wrong."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import sentencepiece
from onnx import TensorProto, helper, numpy_helper

from pipeline import text as pipeline
from service.text_generation import Logits, Run, Tokens
from service.tokenizer import Tokenizer

TEXT = "then there they gather the other feather, whether weather or leather; é the thé\n" * 20
VOCABULARY = 320
CONTEXT = 4


@cache
def trained() -> dict[str, bytes]:
    """The package of a generator that was trained for a second."""
    with TemporaryDirectory() as folder:
        pipeline.write_package(Path(folder), params=pipeline.TINY)
        return {name: (Path(folder) / name).read_bytes() for name in pipeline.PACKAGE}


@cache
def tokenizer_bytes(**changes: Any) -> bytes:
    """A SentencePiece model that knows pieces such as ``th``, ``the`` and ``é``."""
    options = {
        "model_type": "bpe",
        "vocab_size": VOCABULARY,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "pad_id": 0,
        "unk_id": 1,
        "eos_id": 2,
        "bos_id": -1,
        "hard_vocab_limit": False,
    }
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines(keepends=True)),
        model_writer=out,
        minloglevel=2,
        **(options | changes),
    )
    return out.getvalue()


def graph(
    *,
    vocabulary: int,
    context: int = CONTEXT,
    name: str = "tokens",
    kind: int = TensorProto.INT64,
    scale: float = 3,
) -> bytes:
    """Random weights: int64 (n, context) tokens in, float32 (n, vocabulary) logits out."""
    random = np.random.default_rng(5)
    table = random.normal(size=(vocabulary, 8)).astype(np.float32)
    weights = scale * random.normal(size=(context * 8, vocabulary)).astype(np.float32) / 8
    flat = np.array([-1, context * 8], np.int64)
    arrays = {"table": table, "weights": weights, "flat": flat}
    nodes = [
        helper.make_node("Cast", [name], ["ids"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "ids"], ["embedded"]),
        helper.make_node("Reshape", ["embedded", "flat"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "weights"], ["logits"]),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "text",
            [helper.make_tensor_value_info(name, kind, ["n", context])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", vocabulary])],
            [numpy_helper.from_array(array, key) for key, array in arrays.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def wanting(tokenizer: Tokenizer, *places: list[int]) -> Run:
    """Stands in for a model: of each place's tokens the first is likeliest, and no other comes."""
    remaining = iter(places)

    def run(_: Tokens, __: ort.RunOptions | None) -> Logits:
        logits = np.full(tokenizer.vocabulary, -np.inf, np.float32)
        wanted = next(remaining)
        logits[wanted] = -np.arange(len(wanted))
        return logits

    return run
