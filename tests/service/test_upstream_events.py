"""Streams of an upstream, in whatever pieces and forms they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from service.errors import UpstreamFailedError
from service.upstream_events import Piece, parse_stream

STREAM = (
    ": hello\n\n"
    "event: message\nid: 1\n"
    'data: {"choices": [], "prompt_filter_results": []}\n\n'
    'data:{"choices": [{"index": 0, "delta": {"role": "assistant", "content": null}}]}\r\n\r\n'
    'data: {"choices": [{"index": 0, "delta": {"content": "a ☃"}}]}\n\n\n\n'
    'data: {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "stop"}]}\n\n'
    'data: {"choices":\n'
    'data: [{"delta": {"content": "b"}, "finish_reason": "length"}]}\n\n'
    'data: {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}\n\n'
    "data: [DONE]\n\n"
    "data: whatever\n\n"
).encode()  # fmt: skip


def parse(content: bytes, size: int) -> list[Piece]:
    async def stream() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(content), size):
            yield content[start : start + size]

    async def all_pieces() -> list[Piece]:
        return [piece async for piece in parse_stream(stream())]

    return asyncio.run(all_pieces())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100_000])
def test_a_stream_is_the_same_in_pieces_of_any_size(size: int) -> None:
    pieces = parse(STREAM, size)
    assert "".join(piece.content for piece in pieces) == "a ☃b"
    assert [piece.reason for piece in pieces if piece.reason] == ["length"]
    (usage,) = [piece.usage for piece in pieces if piece.usage]
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1, 2, 3)


def test_an_end_without_a_last_word_is_one_after_a_reason_only() -> None:
    head, _, _ = STREAM.partition(b'data: {"usage"')
    assert parse(head, 9)[-1].reason == "length"
    head, _, _ = STREAM.partition(b'data: {"choices":\n')
    with pytest.raises(UpstreamFailedError, match="hung up in the middle"):
        parse(head, 9)
