"""The replicas of the service, found by name, and their sketches."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from drift.calls import call
from drift.errors import CallFailedError, NoReplicaError
from drift.sketches import VersionSketch, parse

_MOST_BYTES = 33_554_432
_AT_ONCE = 8
# A headless Service names its ready pods alone; without any there is no such name, or no data.
_NO_ADDRESS = (socket.EAI_NONAME, socket.EAI_NODATA)

Resolve = Callable[[str, int], list[str]]


@dataclass
class Answers:
    """What the replicas answered, and why some did not."""

    sketches: list[list[VersionSketch]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def resolve(host: str, port: int) -> list[str]:
    """The addresses behind ``host``, each as ``ADDRESS:PORT``.

    Raises NoReplicaError where it has none, CallFailedError where the resolver does not say.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        if error.errno in _NO_ADDRESS:
            raise NoReplicaError(f"{host} has no address: {error.strerror}") from None
        raise CallFailedError(f"{host} cannot be resolved: {error.strerror}") from None
    return sorted(
        {
            f"[{address[0]}]:{port}" if family == socket.AF_INET6 else f"{address[0]}:{port}"
            for family, *_, address in found
        }
    )


class Replicas:
    """All that answer to ``host``."""

    def __init__(self, host: str, port: int, *, seconds: float, find: Resolve = resolve) -> None:
        self._host, self._port, self._seconds, self._find = host, port, seconds, find

    def ask(self) -> Answers:
        """The sketches of all replicas, several at a time.

        A replica that does not answer is a failure among the answers.
        Raises NoReplicaError if none is ready, CallFailedError if that cannot be known.
        """
        addresses = self._find(self._host, self._port)
        answers = Answers()
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="replica") as pool:
            for answer in pool.map(self._one, addresses):
                if isinstance(answer, str):
                    answers.failures.append(answer)
                else:
                    answers.sketches.append(answer)
        return answers

    def _one(self, address: str) -> list[VersionSketch] | str:
        try:
            url = f"http://{address}/sketches"
            return parse(call(url, seconds=self._seconds, limit=_MOST_BYTES))
        except CallFailedError as error:
            return f"{address}: {error.message}"
