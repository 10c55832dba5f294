"""A stream of /v1/chat/completions, put together from its events."""

from __future__ import annotations

from typing import Any

from loadtests.data import GENERATOR, Said
from loadtests.demands import WrongError, demand, parse


def chunks_of(content: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream that is whole, one of an error being the last."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise WrongError("not a stream") from None
    *events, rest = text.split("\n\n")
    demand(bool(events) and not rest, "not a stream")
    demand(all(event.startswith("data: ") for event in events), "not a stream")
    datas = [event.removeprefix("data: ") for event in events]
    done = datas[-1] == "[DONE]"
    chunks = [parse(data) for data in (datas[:-1] if done else datas)]
    demand(bool(chunks), "not a stream")
    # An error is the last event, and none follows it.
    demand(done != ("error" in chunks[-1]), "no end")
    return chunks


def text_of(chunks: list[dict[str, Any]]) -> Said:
    """Put together what chunks say: a role, pieces, a reason to finish, the usage."""
    first, last = chunks[0], chunks[-1]
    for chunk in chunks:
        demand(chunk.get("object") == "chat.completion.chunk", "chunk")
        demand(chunk.get("model") == GENERATOR, "model")
        same = all(chunk.get(key) == first.get(key) for key in ("id", "system_fingerprint"))
        demand(same, "chunk")
    name, _, version = str(first.get("system_fingerprint")).rpartition("-")
    demand(name == GENERATOR and bool(version), "version")
    demand(last.get("choices") == [] and len(chunks) > 2, "no usage")
    pieces: list[Any] = []
    reasons: list[Any] = []
    for chunk in chunks[:-1]:
        choice = _only(chunk.get("choices"))
        pieces.append(choice["delta"].get("content") or "")
        reasons.append(choice.get("finish_reason"))
    demand(_only(first.get("choices"))["delta"].get("role") == "assistant", "chunk")
    demand(all(isinstance(piece, str) for piece in pieces), "chunk")
    demand(reasons[-1] in ("stop", "length") and not any(reasons[:-1]), "finish")
    usage = last.get("usage")
    demand(isinstance(usage, dict), "no usage")
    assert isinstance(usage, dict)
    counts: list[Any] = [usage.get(f"{k}_tokens") for k in ("prompt", "completion", "total")]
    demand(all(type(one) is int for one in counts), "usage")
    prompt, completion, total = counts
    demand(prompt > 0 and completion >= 0 and prompt + completion == total, "usage")
    return Said(version, "".join(pieces), reasons[-1], prompt, completion)


def said_in(content: bytes) -> Said:
    """What this stream says. Raises ValueError for what is no such stream."""
    try:
        return text_of(chunks_of(content))
    except WrongError as error:
        raise ValueError(str(error)) from None


def _only(choices: Any) -> dict[str, Any]:
    demand(isinstance(choices, list) and len(choices) == 1, "chunk")
    demand(isinstance(choices[0], dict) and isinstance(choices[0].get("delta"), dict), "chunk")
    found: dict[str, Any] = choices[0]
    return found
