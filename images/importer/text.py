"""CountVectorizer and TfidfVectorizer: words as Python's regular expressions see them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, StringTensorType
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from importer.boosters import refused
from importer.nodes import Nodes

# Python's \w, and the one letter that becomes two when it is made small: "i" and a dot, which
# ends the word.
_LETTER, _DOTTED = r"[\p{L}\p{N}_]", "İ"
_SMALLEST = {r"(?u)\b\w\w+\b": 2, r"\b\w\w+\b": 2, r"(?u)\b\w+\b": 1, r"\b\w+\b": 1, r"\w+": 1,
             r"(?u)\w+": 1, r"\w\w+": 2, r"\w{2,}": 2, r"\b\w{2,}\b": 2}  # fmt: skip
_SIGMA, _FINAL_SIGMA = "\N{GREEK SMALL LETTER SIGMA}", "\N{GREEK SMALL LETTER FINAL SIGMA}"
_STOP, _UNKNOWN = 0, -1


def register_text() -> None:
    """Teach skl2onnx."""
    for kind in (CountVectorizer, TfidfVectorizer):
        update_registered_converter(kind, f"Exact{kind.__name__}", _shapes, _vectorizer)


def _shapes(operator: Any) -> None:
    (given,) = operator.inputs
    if not isinstance(given.type, StringTensorType):
        raise refused("a vectorizer of texts for a column that is no string")
    width = max(operator.raw_operator.vocabulary_.values()) + 1
    operator.outputs[0].type = DoubleTensorType([given.get_first_dimension(), width])


def _vectorizer(scope: Any, operator: Any, container: Any) -> None:
    nodes, model = Nodes(scope, container), operator.raw_operator
    _check(model)
    result = nodes.add("Cast", _counts(model, operator, nodes), to=TensorProto.DOUBLE)
    if model.binary:
        result = nodes.add(
            "Cast", nodes.add("Cast", result, to=TensorProto.BOOL), to=TensorProto.DOUBLE
        )
    if isinstance(model, TfidfVectorizer):
        result = _weighted(model, result, nodes)
    nodes.add("Identity", result, out=operator.outputs[0].full_name)


def _check(model: Any) -> None:
    """Raise RefusedError for what has no counterpart."""
    if model.analyzer != "word":
        named = model.analyzer if isinstance(model.analyzer, str) else "a function"
        raise refused(f"a text vectorizer with analyzer={named}")
    for name in ("tokenizer", "preprocessor", "strip_accents"):
        if getattr(model, name) is not None:
            raise refused(f"a text vectorizer with a {name}")
    if model.token_pattern not in _SMALLEST:
        raise refused(f"a text vectorizer with the token_pattern {model.token_pattern}")


def _counts(model: Any, operator: Any, nodes: Nodes) -> str:
    """How often each term of the vocabulary is in a text, ``(n, terms)``."""
    least = _SMALLEST[model.token_pattern]
    pattern = f"{_LETTER}{{{least},}}"
    if model.lowercase:
        # A word goes no further than this letter, with which it may end.
        plain = rf"(?:[^\P{{L}}{_DOTTED}]|[\p{{N}}_])"
        pattern = f"{plain}{{{least - 1},}}{_DOTTED}|{plain}{{{least},}}"
    texts = nodes.add("Reshape", operator.inputs[0].full_name, nodes.constant(np.array([-1])))
    # One word more, so that a batch without any has a column too.
    padding = "\x02"
    words = nodes.add(
        "Tokenizer", texts, domain="com.microsoft", mark=1, mincharnum=1, pad_value=padding,
        tokenexp=pattern,
    )  # fmt: skip
    if model.lowercase:
        shape = nodes.add("Shape", words)
        flat = nodes.add("Reshape", words, nodes.constant(np.array([-1])))
        small = nodes.add(
            "StringNormalizer", flat, case_change_action="LOWER", is_case_sensitive=0,
            locale="C.UTF-8",
        )  # fmt: skip
        words = nodes.add("Reshape", small, shape)
    terms = {tuple(term.split(" ")): position for term, position in model.vocabulary_.items()}
    numbers = _numbered(model, terms)
    positions = nodes.add(
        "LabelEncoder", words, domain="ai.onnx.ml", keys_strings=list(numbers),
        values_int64s=list(numbers.values()), default_int64=_UNKNOWN,
    )  # fmt: skip
    if len(max(terms, key=len)) > 1 and _STOP in numbers.values():
        positions = _without_stop_words(positions, nodes)
    return _of_terms(terms, numbers, positions, nodes)


def _numbered(model: Any, terms: dict[tuple[str, ...], int]) -> dict[str, int]:
    """A number for each word that counts: 0 for a stop word, which is as if it were not there."""
    words = sorted({word for term in terms for word in term})
    numbers = {word: position for position, word in enumerate(words, start=1)}
    if model.lowercase:
        # A capital sigma at a word's end becomes another letter in Python than in the runtime.
        for word in words:
            if word.endswith(_FINAL_SIGMA):
                numbers.setdefault(word[:-1] + _SIGMA, numbers[word])
    return {**dict.fromkeys(model.get_stop_words() or (), _STOP), **numbers}


def _without_stop_words(positions: str, nodes: Nodes) -> str:
    """Numbers of words with those of stop words behind all others, whose order stays."""
    shape = nodes.add("Shape", positions)
    width = nodes.add("Slice", shape, *(nodes.constant(np.array([k])) for k in (1, 2)))
    start, step = nodes.constant(np.int64(0)), nodes.constant(np.int64(1))
    count = nodes.add("Squeeze", width)
    order = nodes.add("Range", start, count, step)
    is_stop = nodes.add("Equal", positions, nodes.constant(np.int64(_STOP)))
    behind = nodes.add("Mul", nodes.add("Cast", is_stop, to=TensorProto.INT64), count)
    _, kept = nodes.smallest(nodes.add("Add", behind, order), width)
    return nodes.add("GatherElements", positions, kept, axis=1)


def _of_terms(
    terms: dict[tuple[str, ...], int], numbers: dict[str, int], positions: str, nodes: Nodes
) -> str:
    longest = max(map(len, terms))
    pool: list[int] = []
    starts, indexes = [], []
    for length in range(1, longest + 1):
        starts.append(len(pool))
        for term, position in terms.items():
            if len(term) == length:
                pool += [numbers[word] for word in term]
                indexes.append(position)
    return nodes.add(
        "TfIdfVectorizer", positions, mode="TF", min_gram_length=min(map(len, terms)),
        max_gram_length=longest, max_skip_count=0, ngram_counts=starts, ngram_indexes=indexes,
        pool_int64s=pool,
    )  # fmt: skip


def _weighted(model: Any, result: str, nodes: Nodes) -> str:
    """Counts as TfidfTransformer weighs them."""
    if model.sublinear_tf:
        none = nodes.add("Equal", result, nodes.constant(0.0))
        least = nodes.add("Max", result, nodes.constant(1.0))
        result = nodes.add("Add", nodes.add("Log", least), nodes.constant(1.0))
        result = nodes.add("Where", none, nodes.constant(0.0), result)
    if model.use_idf:
        result = nodes.add("Mul", result, nodes.constant(np.asarray(model.idf_, np.float64)))
    if model.norm:
        kind = {"l1": "ReduceL1", "l2": "ReduceL2"}[model.norm]
        length = nodes.add(kind, result, nodes.constant(np.array([1])), keepdims=1)
        empty = nodes.add("Equal", length, nodes.constant(0.0))
        result = nodes.add("Div", result, nodes.add("Where", empty, nodes.constant(1.0), length))
    return result
