"""HTTP connections that are kept open, so that a question each second costs little.

A kubectl for each question would take a tenth of a core from the cluster that is tested.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kindling.errors import KindlingError
from kindling.kubectl import Kubectl

_CONNECT_SECONDS = 1.5


class GoneError(Exception):
    """The API server no longer has what came after the version that a watch began at."""


@dataclass(frozen=True)
class Address:
    """A server, and what it has to be shown."""

    url: str
    tls: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, kubectl: Kubectl) -> Address:
        """The API server of ``kubectl``'s context, as its user.

        Raises KindlingError where the kubeconfig holds neither a certificate nor a token of him.
        """
        said = kubectl.check("config", "view", "--raw", "--flatten", "--minify", "--output=json")
        config = json.loads(said)
        try:
            server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
            url = server["server"]
        except (LookupError, TypeError):
            raise KindlingError(
                f"{kubectl.kubeconfig} has no context {kubectl.context}",
                next_step="nox -s cluster-up",
            ) from None
        headers = {"Authorization": f"Bearer {user['token']}"} if user.get("token") else {}
        if not headers and "client-certificate-data" not in user:
            raise KindlingError(
                f"the user in {kubectl.kubeconfig} has neither a client certificate nor a token",
                next_step="give that user one of the two",
            )
        return cls(url, _tls(server, user) if url.startswith("https:") else None, headers)


class Link:
    """One connection to ``address``, made anew after any failure; for one thread at a time."""

    def __init__(self, address: Address, seconds: float) -> None:
        """``seconds`` is the longest silence while an answer is awaited."""
        parts = urllib.parse.urlsplit(address.url)
        host, self._prefix = parts.hostname or "", parts.path.rstrip("/")
        self._headers, self._seconds = dict(address.headers), seconds
        self._connection = (
            http.client.HTTPSConnection(
                host, parts.port, timeout=_CONNECT_SECONDS, context=address.tls
            )
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, parts.port, timeout=_CONNECT_SECONDS)
        )

    def get(self, path: str, **query: str) -> Any:
        """The JSON that ``GET path`` answers with."""
        try:
            return json.loads(self._ask(path, query).read())
        except BaseException:
            self._connection.close()
            raise

    def lines(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """The objects of an answer that has one a line, as they arrive."""
        try:
            answer = self._ask(path, query)
            while line := answer.readline():
                yield json.loads(line)
            answer.read()
        except BaseException:
            self._connection.close()
            raise

    def wake(self) -> None:
        """Make whoever reads from this connection, in another thread, fail at once."""
        if connected := self._connection.sock:
            # Of the plain class: SSLSocket's own would pull its state from under the reader.
            with suppress(OSError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection up, from the thread that uses it or when that has ended."""
        self._connection.close()

    def _ask(self, path: str, query: Mapping[str, str]) -> http.client.HTTPResponse:
        target = self._prefix + path
        if query:
            target += "?" + urllib.parse.urlencode(query)
        if not self._connection.sock:
            self._connection.connect()
            connected: socket.socket = self._connection.sock
            connected.settimeout(self._seconds)
        self._connection.request("GET", target, headers=self._headers)
        answer = self._connection.getresponse()
        if answer.status == http.client.GONE:
            raise GoneError(f"{path}: what came after that version is no longer kept")
        if answer.status != http.client.OK:
            words = answer.read(300).decode(errors="replace")
            raise KindlingError(f"{path} answers {answer.status}: {' '.join(words.split())}")
        return answer


def _tls(server: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    authority = server.get("certificate-authority-data")
    tls = ssl.create_default_context(
        cadata=base64.b64decode(authority).decode() if authority else None
    )
    if server.get("insecure-skip-tls-verify"):
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    if "client-certificate-data" in user:
        # Python's ssl takes a key from a file only.
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "user.pem"
            file.touch(mode=0o600)
            parts = (user["client-certificate-data"], user["client-key-data"])
            file.write_bytes(b"\n".join(base64.b64decode(part) for part in parts))
            tls.load_cert_chain(file)
    return tls
