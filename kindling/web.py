"""HTTP to this machine itself."""

from __future__ import annotations

import http.client
import urllib.request

# What a request raises when nothing answers, or something that does not speak HTTP.
NO_ANSWER = (OSError, http.client.HTTPException)


def without_proxy() -> urllib.request.OpenerDirector:
    """An opener for loopback, which a proxy of the environment's does not reach."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
