"""HTTP to this machine itself, past the proxies of the environment."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Mapping

_LOOPBACK = ("127.0.0.1", "localhost")
# What a request raises when nothing answers, or something that does not speak HTTP.
NO_ANSWER = (OSError, http.client.HTTPException)


def without_proxy() -> urllib.request.OpenerDirector:
    """An opener for loopback, which a proxy of the environment's does not reach."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def loopback_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What to add to ``environ`` so that a library's client reaches loopback without a proxy.

    Most clients read ``no_proxy`` before ``NO_PROXY``, and some the other way round.
    """
    known = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    # Alone it means every host; within a list it means none.
    hosts = known if known.strip() == "*" else ",".join(filter(None, [known, *_LOOPBACK]))
    return {"no_proxy": hosts, "NO_PROXY": hosts}
