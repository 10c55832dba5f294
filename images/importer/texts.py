"""Random texts that a text model's owner may send: of its words and of any others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_STRANGE = (
    "", " ", "a", "I", "Ö", "é", "of", "x_1", "_", "3", "42", "4.2", "don't", "a-b", "no_one",
    "Zürich", "GRÖẞE", "straße", "naïve", "Élan", "İstanbul", "Ωmega", "ΛΟΓΟΣ", "Привет", "ёж",
    "日本語", "テキスト", "नमस्ते", "שלום", "٣٤", "½", "²³", "ⅳ",
    "e\u0301te\u0301", "ﬁn", "😀", "a\u00a0b",
)  # fmt: skip
_BETWEEN = (" ", "  ", "\n", "\t", ", ", ". ", "-", "'", "/", "! ", ": ", "…", "\u00a0", "")


def random_texts(
    random: np.random.Generator, count: int, words: Sequence[str], examples: Sequence[str]
) -> list[str]:
    """``count`` texts: a quarter as in the example, others of ``words`` mixed with strange ones."""
    known = [*words, *(word for text in examples for word in text.split())] or ["one", "two"]
    result = []
    for position in range(count):
        if examples and position % 4 == 0:
            result.append(_one_of(random, examples))
            continue
        parts: list[str] = []
        for _ in range(int(random.integers(0, 12))):
            parts.append(_word(random, known))
            # Mostly spaces: between other letters a word is hardly ever whole.
            usual = random.random() < 0.7
            parts.append(" " if usual else _one_of(random, _BETWEEN))
        result.append("".join(parts))
    return result


def _word(random: np.random.Generator, known: Sequence[str]) -> str:
    """A known word, sometimes in other letters; an unknown one of its letters; or a strange one."""
    word = _one_of(random, known)
    chance = random.random()
    if chance < 0.6:
        return word
    if chance < 0.7:
        return _one_of(random, (word.upper(), word.title(), word + "s", word[:-1], word + "é"))
    if chance < 0.8:
        return "".join(random.permutation(list(word))) if word else word
    return _one_of(random, _STRANGE)


def _one_of(random: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(random.integers(len(choices)))]
