"""HTTP calls with a bound on everything: time, bytes, and where they lead."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any

from drift.errors import CallFailedError

_CHUNK_BYTES = 65_536


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


# No proxy either: whoever is called is in the same cluster, or named in the settings.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def call(
    url: str,
    *,
    seconds: float,
    limit: int,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> bytes:
    """The body of at most ``limit`` bytes that ``url`` answers with, within ``seconds``.

    Raises CallFailedError, with the status if the answer is an error's.
    """
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)
    deadline = time.monotonic() + seconds
    try:
        with _OPENER.open(request, timeout=seconds) as response:
            return _read(response, limit, deadline)
    except urllib.error.HTTPError as error:
        error.close()
        raise CallFailedError(f"it answered {error.code}", status=error.code) from None
    except TimeoutError:
        raise CallFailedError(f"it did not answer within {seconds:g} seconds") from None
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or str(error.reason)
        raise CallFailedError(reason) from None
    except (OSError, HTTPException, ValueError) as error:
        raise CallFailedError(getattr(error, "strerror", None) or type(error).__name__) from None


def _read(response: HTTPResponse, limit: int, deadline: float) -> bytes:
    content = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        content += chunk
        if len(content) > limit:
            raise CallFailedError(f"it answered with more than {limit} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError
    if response.length:
        raise CallFailedError("it hung up in the middle of an answer")
    return bytes(content)
