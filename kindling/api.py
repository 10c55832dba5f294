"""Reading from a cluster's API server over one connection.

kubectl takes a tenth of a core's second to say what the server answers in some milliseconds.
"""

from __future__ import annotations

import base64
import http
import http.client
import json
import os
import ssl
import urllib.parse
import weakref
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from kindling import retry
from kindling.errors import KindlingError

_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_NO_CONNECTION = (OSError, http.client.HTTPException)


class ApiError(KindlingError):
    """The API server refused, with ``status``, or did not answer, with 0."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(f"the API server {message}", next_step="nox -s status")
        self.status = status


class Api:
    """An API server, and what proves each side to the other; for one thread at a time.

    A ``patient`` one outlasts a server that starts or is busy.
    """

    def __init__(self, address: str, tls: ssl.SSLContext, *, patient: bool = False) -> None:
        host = urllib.parse.urlsplit(address).netloc
        self._connection = http.client.HTTPSConnection(host, context=tls)
        self._patient = patient
        weakref.finalize(self, self._connection.close)

    @classmethod
    def of(cls, kubeconfig: Path, context: str, *, patient: bool = False) -> Api:
        """The one that a kubeconfig with embedded certificates, as ours are, has at ``context``.

        Raises KindlingError where there is no such file or context.
        """
        try:
            known = yaml.safe_load(kubeconfig.read_text())
            names = _named(known, "context", context)
            cluster = _named(known, "cluster", names["cluster"])
            user = _named(known, "user", names["user"])
            return cls(cluster["server"], _tls(cluster, user), patient=patient)
        except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError) as error:
            raise KindlingError(
                f"{kubeconfig} does not say how to reach {context}: {error!r}",
                next_step="nox -s cluster-down, then nox -s cluster-up",
            ) from None

    def read(self, path: str, *, accept: str = "application/json", timeout: float = 20) -> bytes:
        """What ``GET PATH`` answers with 200. Raises ApiError for any other answer, or none."""
        once = partial(self._read, path, accept, timeout)
        return retry.call(once, retry.API) if self._patient else once()

    def _read(self, path: str, accept: str, timeout: float) -> bytes:
        connection = self._connection
        connection.timeout = timeout
        while True:
            kept = connection.sock is not None
            try:
                if connection.sock is not None:
                    connection.sock.settimeout(timeout)
                connection.request("GET", path, headers={"Accept": accept})
                answer = connection.getresponse()
                body = answer.read()
                break
            except _NO_CONNECTION as error:
                connection.close()
                # The server may have closed what it kept open: that says nothing of this question.
                if not kept or isinstance(error, TimeoutError):
                    raise ApiError(f"does not answer: {error}") from None
        if answer.status != http.HTTPStatus.OK:
            raise ApiError(f"says: {_words(body)} ({answer.status})", answer.status)
        return body

    def get(self, path: str, *, timeout: float = 20) -> Any:
        """The object or list at ``path``."""
        return json.loads(self.read(path, timeout=timeout))

    def items(self, path: str, *, timeout: float = 20, **selectors: str) -> list[dict[str, Any]]:
        """The items of the list at ``path``; ``selectors`` as ``labelSelector="a=b"``."""
        return _items(self.get(_query(path, selectors), timeout=timeout))

    def metadata(self, path: str, **selectors: str) -> list[dict[str, Any]]:
        """Like ``items``, but only the ``metadata`` of each."""
        listed = json.loads(self.read(_query(path, selectors), accept=_METADATA))
        return [item["metadata"] for item in _items(listed)]


def _items(listed: Mapping[str, Any]) -> list[dict[str, Any]]:
    # Of metadata alone an empty list is null.
    return listed["items"] or []


def _query(path: str, selectors: Mapping[str, str]) -> str:
    return f"{path}?{urllib.parse.urlencode(selectors)}" if selectors else path


def _named(known: Mapping[str, Any], kind: str, name: str) -> Any:
    return {one["name"]: one[kind] for one in known[f"{kind}s"]}[name]


def _tls(cluster: Mapping[str, str], user: Mapping[str, str]) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.load_verify_locations(cadata=_decoded(cluster["certificate-authority-data"]).decode())
    # OpenSSL takes these from files only; this one is in memory and ends with the block.
    with os.fdopen(os.memfd_create("client"), "wb") as file:
        file.write(_decoded(user["client-certificate-data"]))
        file.write(_decoded(user["client-key-data"]))
        file.flush()
        tls.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    return tls


def _decoded(data: str) -> bytes:
    return base64.b64decode(data)


def _words(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, LookupError, TypeError):
        return body.decode(errors="replace").strip()[-200:]
