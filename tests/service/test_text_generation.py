"""One text, token by token, after a model that wants what the test wants."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from text_models import CONTEXT, tokenizer_bytes, wanting

from service.errors import PredictionFailedError
from service.text_generation import Generation, Logits, Options, Run, Tokens
from service.text_sampling import CANDIDATES, Sampling
from service.tokenizer import Tokenizer

PAD, UNKNOWN, EOS = 0, 1, 2
GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(tokenizer_bytes())


def begin(
    tokenizer: Tokenizer,
    run: Run,
    *,
    prompt: str = "",
    max_tokens: int = 64,
    stops: tuple[str, ...] = (),
) -> Generation:
    options = Options(max_tokens=max_tokens, sampling=GREEDY, stops=stops)
    return Generation(run, tokenizer, prompt, context=CONTEXT, options=options)


def steps(generation: Generation) -> list[str]:
    """What each step shows, to the end."""
    shown = []
    while generation.finish_reason is None:
        shown.append(generation.step())
    assert generation.step() == ""
    return shown


def token(tokenizer: Tokenizer, spelling: bytes) -> int:
    """The first token that spells this; a byte comes before a piece that is the same."""
    return [tokenizer.spelling(t) for t in range(tokenizer.vocabulary)].index(spelling)


def piece(tokenizer: Tokenizer, text: str) -> int:
    """The one token of ``text``."""
    (found,) = tokenizer.encode(text)
    return found


def places(tokenizer: Tokenizer, text: str) -> list[list[int]]:
    """One place for each token of ``text``."""
    return [[wanted] for wanted in tokenizer.encode(text)]


def test_the_text_ends_at_the_end_token_which_does_not_count(tokenizer: Tokenizer) -> None:
    text = "the weather\n é"
    run = wanting(tokenizer, *places(tokenizer, text), [EOS, 100])
    generation = begin(tokenizer, run)
    assert "".join(steps(generation)) == text
    assert generation.finish_reason == "stop"
    assert generation.completion_tokens == len(tokenizer.encode(text))


def test_the_text_ends_at_its_most_tokens(tokenizer: Tokenizer) -> None:
    run = wanting(tokenizer, *places(tokenizer, "the the the the"))
    generation = begin(tokenizer, run, max_tokens=3)
    assert len(steps(generation)) == 3
    assert generation.finish_reason == "length"
    assert generation.completion_tokens == 3


def test_control_tokens_are_passed_over(tokenizer: Tokenizer) -> None:
    other = piece(tokenizer, "the")
    generation = begin(tokenizer, wanting(tokenizer, [PAD, UNKNOWN, other], [UNKNOWN, EOS]))
    assert "".join(steps(generation)) == "the"


def test_a_token_that_the_tokenizer_would_join_to_the_last_is_passed_over(
    tokenizer: Tokenizer,
) -> None:
    t, h, other = (piece(tokenizer, text) for text in ("t", "h", "!"))
    assert tokenizer.encode("th") != [t, h]
    generation = begin(tokenizer, wanting(tokenizer, [t], [h, other], [EOS]))
    assert "".join(steps(generation)) == "t!"
    assert generation.completion_tokens == 2


def test_the_text_ends_if_nothing_that_may_follow_is_likely(tokenizer: Tokenizer) -> None:
    t, h = piece(tokenizer, "t"), piece(tokenizer, "h")
    generation = begin(tokenizer, wanting(tokenizer, [t], [h]))
    assert steps(generation) == ["t", ""]
    assert generation.finish_reason == "stop"
    assert generation.completion_tokens == 1


class Refusing(Tokenizer):
    """Makes something else of every text than its tokens."""

    tried = 0

    def encode(self, text: str) -> list[int]:
        self.tried += 1
        return [*super().encode(text), PAD]


def test_a_step_tries_a_bounded_number_of_tokens() -> None:
    refusing = Refusing(tokenizer_bytes())
    everything = list(range(3, refusing.vocabulary))
    generation = begin(refusing, wanting(refusing, everything))
    refusing.tried = 0
    assert steps(generation) == [""]
    assert 1 < refusing.tried <= CANDIDATES


def test_a_character_of_many_bytes_is_shown_whole(tokenizer: Tokenizer) -> None:
    run = wanting(tokenizer, *places(tokenizer, "a☃😀"), [EOS])
    generation = begin(tokenizer, run)
    assert steps(generation) == ["a", "", "", "☃", "", "", "", "😀", ""]
    assert generation.completion_tokens == 8


def test_within_a_character_nothing_else_comes(tokenizer: Tokenizer) -> None:
    snow, man = tokenizer.encode("☃")[:2], tokenizer.encode("☃")[2]
    lead = snow[0]
    run = wanting(
        tokenizer, [lead], [EOS, PAD, lead, piece(tokenizer, "the"), snow[1]], [man], [EOS]
    )
    assert "".join(steps(begin(tokenizer, run))) == "☃"


def test_bytes_of_a_character_that_has_a_piece_are_passed_over(tokenizer: Tokenizer) -> None:
    lead, wrong, right = (token(tokenizer, bytes([value])) for value in (0xC3, 0xA9, 0xB1))
    assert len(tokenizer.encode("é")) == 1
    generation = begin(tokenizer, wanting(tokenizer, [lead], [wrong, right], [EOS]))
    assert "".join(steps(generation)) == "ñ"
    assert generation.completion_tokens == 2


def test_a_character_that_cannot_be_finished_is_left_out(tokenizer: Tokenizer) -> None:
    lead, wrong = (token(tokenizer, bytes([value])) for value in (0xC3, 0xA9))
    other = piece(tokenizer, "the")
    generation = begin(tokenizer, wanting(tokenizer, [other], [lead], [wrong]))
    assert "".join(steps(generation)) == "the"
    assert generation.finish_reason == "stop"
    assert generation.completion_tokens == 1


@pytest.mark.parametrize("spelling", [b"\x80", b"\xbf", b"\xc0", b"\xc1", b"\xf5", b"\xff"])
def test_a_byte_that_begins_no_character_is_passed_over(
    tokenizer: Tokenizer, spelling: bytes
) -> None:
    run = wanting(tokenizer, [token(tokenizer, spelling), piece(tokenizer, "the")], [EOS])
    assert "".join(steps(begin(tokenizer, run))) == "the"


@pytest.mark.parametrize("text", ["ñ", "☃", "😀"])
def test_a_character_is_begun_only_if_there_is_room_for_it(tokenizer: Tokenizer, text: str) -> None:
    ids, other = tokenizer.encode(text), piece(tokenizer, "the")
    for room in range(1, len(ids) + 1):
        run = wanting(tokenizer, [ids[0], other], *([[following, other] for following in ids[1:]]))
        generation = begin(tokenizer, run, max_tokens=room)
        shown = ""
        while generation.finish_reason is None and shown != "the":
            shown += generation.step()
        assert shown == (text if room == len(ids) else "the")


@pytest.mark.parametrize(
    ("stops", "text", "reason"),
    [
        (("her",), "the weat", "stop"),
        (("ther.",), "the weather", "length"),
        (("r", "weather"), "the ", "stop"),
        (("the",), "", "stop"),
    ],
)
def test_the_text_is_cut_before_a_stop_string_and_counted_as_it_is_returned(
    tokenizer: Tokenizer, stops: tuple[str, ...], text: str, reason: str
) -> None:
    wanted = places(tokenizer, "the weather")
    run = wanting(tokenizer, *wanted)
    generation = begin(tokenizer, run, max_tokens=len(wanted), stops=stops)
    assert "".join(steps(generation)) == text
    assert generation.finish_reason == reason
    assert generation.completion_tokens == len(tokenizer.encode(text))


def test_what_was_kept_for_a_stop_string_comes_at_the_end_token(tokenizer: Tokenizer) -> None:
    run = wanting(tokenizer, *places(tokenizer, "the"), [EOS])
    assert steps(begin(tokenizer, run, stops=("the!",))) == ["", "the"]


def test_the_model_sees_the_end_of_the_prompt_and_padding_left_of_a_short_one(
    tokenizer: Tokenizer,
) -> None:
    seen: list[list[int]] = []
    a = piece(tokenizer, "the")

    def run(tokens: Tokens, _: ort.RunOptions | None) -> Logits:
        assert tokens.shape == (1, CONTEXT)
        seen.append(tokens[0].tolist())
        return np.eye(tokenizer.vocabulary, dtype=np.float32)[a]

    ids = tokenizer.encode("the weather is other")
    for prompt in (ids, ids[:2], []):
        seen.clear()
        generation = begin(tokenizer, run, prompt=tokenizer.decode(prompt), max_tokens=2)
        steps(generation)
        padded = [PAD] * CONTEXT + prompt
        assert seen == [padded[-CONTEXT:], [*padded[1 - CONTEXT :], a]]
        assert generation.prompt_tokens == len(prompt)


def test_logits_that_are_no_numbers_are_a_failure(tokenizer: Tokenizer) -> None:
    def run(_: Tokens, __: ort.RunOptions | None) -> Logits:
        return np.full(tokenizer.vocabulary, np.nan, np.float32)

    with pytest.raises(PredictionFailedError):
        begin(tokenizer, run).step()
