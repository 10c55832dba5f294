"""Requests to the service from some threads, for tests that change something meanwhile."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable


def predict(url: str, body: bytes) -> dict[str, object]:
    return call(url, "/predict", body)


def call(url: str, path: str, body: bytes, **headers: str) -> dict[str, object]:
    """What ``POST path`` with a JSON ``body`` answers."""
    request = urllib.request.Request(
        url + path, data=body, headers={"Content-Type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, object] = json.load(answer)
    return found


class Load:
    """Predictions on loopback until told to stop, for ``seconds`` at most, ``pause`` s apart.

    ``failed`` is what did not get a prediction: an HTTP error, a reset, no connection, or an answer
    that ``right`` calls wrong. ``versions`` are the model versions that answered, in the order of
    their first answer.
    """

    def __init__(
        self,
        url: str,
        body: bytes,
        threads: int,
        *,
        seconds: float = 150,
        pause: float = 0.0,
        right: Callable[[dict[str, object]], bool] = lambda _: True,
    ) -> None:
        self.answered, self.failed = 0, list[str]()
        self.versions: list[str] = []
        self._url, self._body, self._right, self._pause = url, body, right, pause
        self._deadline = time.monotonic() + seconds
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more, and return when all is answered."""
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while time.monotonic() < self._deadline and not self._enough.is_set():
            try:
                answer = predict(self._url, self._body)
            except OSError as error:
                self.failed.append(repr(error))
                time.sleep(0.1)
                continue
            self.answered += 1
            time.sleep(self._pause)
            if not self._right(answer):
                self.failed.append(f"wrong answer: {answer}")
            if (version := str(answer["version"])) not in self.versions:
                self.versions.append(version)
