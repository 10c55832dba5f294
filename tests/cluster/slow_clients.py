"""Clients whose requests take their time to arrive: many in flight, and hardly any work."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.parse


class SlowClients:
    """So many clients, each of which keeps one prediction in flight; all end after ``seconds``.

    A body stops half-way for ``pause`` s, which must be less than the service waits for one.
    ``failed`` is what did not get a prediction.
    """

    def __init__(
        self, url: str, body: bytes, clients: int, *, pause: float = 5.0, seconds: float = 150
    ) -> None:
        self.answered, self.failed = 0, list[str]()
        self._host = urllib.parse.urlsplit(url).netloc
        self._body, self._pause = body, pause
        self._enough = threading.Event()
        self._end = threading.Timer(seconds, self._enough.set)
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> SlowClients:
        for thread in (self._end, *self._threads):
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._end.cancel()
        for thread in (self._end, *self._threads):
            thread.join()

    def _ask(self) -> None:
        half = len(self._body) // 2
        while not self._enough.is_set():
            # A new connection each time, so that new pods get some.
            connection = http.client.HTTPConnection(self._host, timeout=30)
            try:
                connection.putrequest("POST", "/predict")
                connection.putheader("Content-Type", "application/json")
                connection.putheader("Content-Length", str(len(self._body)))
                connection.endheaders(self._body[:half])
                self._enough.wait(self._pause)
                connection.send(self._body[half:])
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 200 or "predictions" not in json.loads(text):
                    self.failed.append(f"{answer.status}: {text[:200]!r}")
                self.answered += 1
            except OSError as error:
                self.failed.append(repr(error))
                self._enough.wait(0.1)
            finally:
                connection.close()
