"""What all users have in common: a client, and what becomes of a request."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import gevent
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from locust import FastHttpUser

from loadtests import clock
from loadtests.answers import Judge, Verdict
from loadtests.data import Data
from loadtests.mix import Draws

# Longer than the service lets a request take: before, it says 504.
REQUEST_SECONDS = 20.0
_CODE = re.compile(rb'"code":\s*"([a-z_]{1,32})"')
_MOST_REASONS = 32
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
# The first that fits; a timeout is an OSError too, and a closed connection a parse error.
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (gevent.Timeout, "timeout"),
    (TimeoutError, "timeout"),
    (ConnectionRefusedError, "refused"),
    (ConnectionResetError, "reset"),
    (BrokenPipeError, "reset"),
    (HTTPConnectionClosed, "closed"),
    (HTTPParseError, "cut off"),
    (socket.gaierror, "no address"),
    (OSError, "network"),
)

_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """One request and what became of it, in the words of ``Samples``."""

    started: float
    ended: float
    name: str
    status: int
    verdict: Verdict


class ServiceUser(FastHttpUser):
    """Sends one request at a time, and none a second time, whatever comes of it."""

    abstract = True
    # The bound of the whole request is the one that counts.
    network_timeout = connection_timeout = REQUEST_SECONDS + 1
    max_redirects = 0
    concurrency = 1

    # Set before there are users.
    data: ClassVar[Data]
    judge: ClassVar[Judge]
    draws: ClassVar[Draws]
    _reasons: ClassVar[set[str]] = set()

    _renew_at = 0.0

    def send(self, name: str, path: str, body: bytes, judge: Callable[[bytes], Verdict]) -> Answer:
        """POST ``body``; Locust's own statistics have what became of it, too."""
        started = clock.now()
        self._renew(started)
        bound = gevent.Timeout(REQUEST_SECONDS)
        bound.start()
        try:
            with self.client.post(
                path,
                data=body,  # type: ignore[arg-type]
                name=name,
                headers=_HEADERS,
                catch_response=True,
            ) as response:
                ended = clock.now()
                # The body is here; judging it is none of the service's time.
                bound.cancel()
                status = response.status_code
                verdict = _verdict(response, judge)
                if verdict.outcome == "ok":
                    response.success()
                else:
                    response.failure(f"{verdict.outcome}: {verdict.reason}")
        except gevent.Timeout:
            ended, status, verdict = clock.now(), 0, Verdict("failed", "timeout")
        except Exception:
            _log.exception("a request to %s", path)
            ended, status, verdict = clock.now(), 0, Verdict("failed", "client error")
        finally:
            bound.close()
        return Answer(started, ended, name, status, self._bounded(verdict))

    def _renew(self, now: float) -> None:
        """Leave a connection that is old: a new one may lead to another pod."""
        if now > self._renew_at:
            self.client.client.clientpool.close()
            self._renew_at = now + self.draws.connection_seconds()

    def _bounded(self, verdict: Verdict) -> Verdict:
        if len(self._reasons) < _MOST_REASONS:
            self._reasons.add(verdict.reason)
        return verdict if verdict.reason in self._reasons else verdict._replace(reason="other")


def _verdict(response: Any, judge: Callable[[bytes], Verdict]) -> Verdict:
    status, error = response.status_code, response.request_meta["exception"]
    if status == 200 and error is None:
        return judge(response.content or b"")
    if status not in (0, 200):
        code = _CODE.search(getattr(response, "_cached_content", None) or b"")
        return Verdict("failed", f"{status} {code[1].decode()}" if code else str(status))
    # What was the last straw for a client that gives up is in the error that says so.
    cause = getattr(error, "original", None) or error
    known = (reason for kind, reason in _REASONS if isinstance(cause, kind))
    return Verdict("failed", next(known, "no answer"))
