"""What the refusals of an OpenAI-compatible API mean."""

from __future__ import annotations

import re

from service.errors import (
    InvalidRequestError,
    UpstreamBusyError,
    UpstreamFailedError,
    UpstreamRefusesKeyError,
)
from service.upstream_http import UpstreamReply

JSON, EVENTS = "application/json", "text/event-stream"
# A wait that a client may be told of; what is longer is no answer to a request.
_LONGEST_WAIT_SECONDS = 3600


def check(reply: UpstreamReply, accept: str) -> None:
    """Raise what an answer means that is none, without a word of it."""
    status = reply.status
    if status in (401, 403):
        raise UpstreamRefusesKeyError("the upstream refuses the key")
    if status == 429:
        wait = _wait(reply.headers.get("retry-after", ""))
        raise UpstreamBusyError("the upstream takes no more requests now", retry_after=wait)
    if status in (400, 413, 422):
        raise InvalidRequestError(f"the upstream does not take this request: it answered {status}")
    if status != 200:
        raise UpstreamFailedError(f"the upstream answered {status}{_hint(status)}")
    kind = reply.headers.get("content-type", accept).partition(";")[0].strip().lower()
    if accept == EVENTS and kind != EVENTS:
        raise UpstreamFailedError("the upstream answered with something else than a stream")


def _hint(status: int) -> str:
    if status == 404:
        return ", so its address or its model's name is not what it should be"
    return ", but redirects are not followed" if 300 <= status < 400 else ""


def _wait(told: str) -> int | None:
    """The seconds of a Retry-After, if that is what it has, and if they are not too many."""
    if not re.fullmatch("[0-9]{1,6}", told):
        return None
    return seconds if (seconds := int(told)) <= _LONGEST_WAIT_SECONDS else None
