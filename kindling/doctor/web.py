"""One bounded question over HTTP, as the package clients would ask it."""

from __future__ import annotations

import base64
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime

from kindling.web import NO_ANSWER


@dataclass(frozen=True)
class Answer:
    """``code`` is 0 where nothing answered; ``date`` is the server's clock in Unix seconds."""

    code: int
    words: str
    date: float | None = None

    @property
    def useful(self) -> bool:
        """Whether packages would come; 401 is left to the client, which has the credentials."""
        return 200 <= self.code < 400 or self.code in (401, 405)


def without_credentials(url: str) -> str:
    """``url`` as it may be shown."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def ask(url: str, seconds: float = 3.0, proxy: str = "", cafile: str = "") -> Answer:
    """HEAD ``url``. ``proxy`` and ``cafile`` take the place of the environment's."""
    try:
        answer = _opener(proxy, cafile).open(_request(url), timeout=seconds)
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, f"HTTP {error.code}", _date(error.headers))
    except (*NO_ANSWER, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return Answer(0, _plain(reason))
    with answer:
        return Answer(answer.status, f"HTTP {answer.status}", _date(answer.headers))


def _request(url: str) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{parts.scheme} is not asked")
    request = urllib.request.Request(without_credentials(url), method="HEAD")
    if parts.username:
        pair = ":".join(map(urllib.parse.unquote, (parts.username, parts.password or "")))
        request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    return request


def _opener(proxy: str, cafile: str) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=cafile or None))
    ]
    if proxy:
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    return urllib.request.build_opener(*handlers)


def _date(headers: Message) -> float | None:
    try:
        # A cache hands out an old Date together with its Age.
        date = parsedate_to_datetime(headers["Date"])
        return date.timestamp() + float(headers["Age"] or 0)
    except (TypeError, ValueError):
        return None


def _plain(reason: object) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {reason.verify_message}"
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    return getattr(reason, "strerror", None) or str(reason)
