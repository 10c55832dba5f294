"""The tokenizer: nothing is lost, and a model that would lose something is refused."""

from __future__ import annotations

from typing import Any

import pytest
from text_models import tokenizer_bytes

from service.errors import ModelInvalidError
from service.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(tokenizer_bytes())


@pytest.mark.parametrize(
    "text",
    ["", " ", "  the\n\n other ", "\r\n\t\x00\x7f", "é ☃ 😀 \u2028", "</s><pad><0x41>", "a" * 5000],
)
def test_text_comes_back_as_it_was(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.count(text) == len(ids)
    assert not {0, 1, 2} & set(ids)
    assert b"".join(map(tokenizer.spelling, ids)).decode() == text


def test_control_tokens_spell_nothing(tokenizer: Tokenizer) -> None:
    assert [tokenizer.spelling(token) for token in (0, 1, 2)] == [b"", b"", b""]
    assert tokenizer.eos == 2


def test_between_characters_anything_may_come_but_control_tokens_and_inner_bytes(
    tokenizer: Tokenizer,
) -> None:
    barred = {token for token in range(tokenizer.vocabulary) if tokenizer.between_characters[token]}
    spelled = {tokenizer.spelling(token) for token in barred}
    assert barred >= {0, 1}
    assert tokenizer.eos not in barred
    assert spelled == {b"", *(bytes([value]) for value in range(0x80, 0xC0))}


def test_within_a_character_only_inner_bytes_may_come(tokenizer: Tokenizer) -> None:
    free = [token for token in range(tokenizer.vocabulary) if not tokenizer.within_character[token]]
    assert {tokenizer.spelling(token)[0] for token in free} == set(range(0x80, 0xC0))
    assert len(free) == 64


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"not a model", tokenizer_bytes()[:-9]])
def test_a_file_that_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ModelInvalidError, match="is not a SentencePiece model"):
        Tokenizer(content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"byte_fallback": False, "vocab_size": 60}, "does not give every text back"),
        ({"add_dummy_prefix": True}, "does not give every text back"),
        ({"remove_extra_whitespaces": True}, "does not give every text back"),
        ({"normalization_rule_name": "nmt_nfkc"}, "does not give every text back"),
        ({"pad_id": -1}, "has no pad token with id 0"),
        ({"eos_id": -1}, "or no eos token"),
    ],
)
def test_a_model_that_loses_text_or_lacks_a_token_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelInvalidError, match=message):
        Tokenizer(tokenizer_bytes(**changes))
