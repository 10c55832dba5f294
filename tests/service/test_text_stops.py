"""Stop strings: cut before the first, and nothing shown that may still become one."""

from __future__ import annotations

import pytest

from service.text_stops import StopStrings


def shown(stops: StopStrings, *pieces: str) -> list[str]:
    """What may be shown after each piece, up to a stop string, and at the end."""
    texts = []
    for piece in pieces:
        texts.append(stops.feed(piece))
        if stops.found:
            return texts
    return [*texts, stops.flush()]


@pytest.mark.parametrize(
    ("strings", "pieces", "texts"),
    [
        ([], ["a", "\n\n", "b"], ["a", "\n\n", "b", ""]),
        (["END"], ["xE", "ND", "more"], ["x", ""]),
        (["END"], ["xENDmore"], ["x"]),
        (["END"], ["xE", "Ny"], ["x", "ENy", ""]),
        (["END"], ["xEN"], ["x", "EN"]),
        (["END"], ["E", "E", "N", "D"], ["", "E", "", ""]),
        (["aab"], ["aa", "ab"], ["", "a"]),
        (["abcd", "bc"], ["ab", "c"], ["", "a"]),
        (["bcd", "abce"], ["abc", "d"], ["", "a"]),
        (["b", "ab"], ["xab"], ["x"]),
        (["\n"], ["a\n"], ["a"]),
        (["☃!"], ["a☃", "?"], ["a", "☃?", ""]),
    ],
)
def test_the_text_is_shown_as_far_as_it_is_certain(
    strings: list[str], pieces: list[str], texts: list[str]
) -> None:
    assert shown(StopStrings(strings), *pieces) == texts


def test_however_a_text_is_cut_into_pieces_the_same_is_shown() -> None:
    text, strings = "aabaacaabab-aabaab", ["aabab", "aabaab", "c-"]
    whole = shown(StopStrings(strings), text)[0]
    assert whole == "aabaac"
    for first in range(len(text)):
        for second in range(first, len(text)):
            pieces = [text[:first], text[first:second], text[second:]]
            assert "".join(shown(StopStrings(strings), *pieces)) == whole
