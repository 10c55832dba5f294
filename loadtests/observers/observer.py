"""A thread that looks at one thing until it is stopped, and says when it cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from loadtests import clock
from loadtests.observers.link import Link
from loadtests.timeline import Source, Timeline

_AGAIN_SECONDS = 0.5


class Observer:
    """One of the observers; ``look`` is what a kind of them does, again and again."""

    def __init__(self, name: str, timeline: Timeline, *links: Link, pause: float) -> None:
        self.name = name
        self.problem = "no answer yet"
        self.cpu_seconds = 0.0
        self.has_seen = threading.Event()
        self._timeline, self._links, self._pause = timeline, links, pause
        self._stop = threading.Event()
        self._lost = False
        self._last_sign = clock.now()
        # A daemon: whatever it waits for, the load test can end.
        self._thread = threading.Thread(target=self._run, name=f"observer {name}", daemon=True)

    def look(self) -> None:
        """See the state, or changes for a while; raise what keeps it from that."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more: nothing is added to the timeline from now on."""
        self._stop.set()
        for link in self._links:
            link.wake()

    def join(self, seconds: float) -> bool:
        """Whether the thread has ended within ``seconds``."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def sees(self) -> None:
        """To be called by ``look`` on each sign that what is looked at can be seen."""
        self._last_sign = clock.now()
        if self._stop.is_set():
            return
        if not self.has_seen.is_set():
            self.add("observer", self.name, state="connected", text="")
            self.has_seen.set()
        elif self._lost:
            self.add("observer", self.name, state="again", text="")
        self._lost = False

    def add(self, source: Source, name: str, *, at: float | None = None, **fields: Any) -> None:
        """Add to the timeline, unless stopped."""
        if not self._stop.is_set():
            self._timeline.add(source, name, at=at, **fields)

    def failed(self, error: Exception) -> None:
        """To be told, once, of what cannot be seen any more."""
        self.problem = str(error) or type(error).__name__
        if self.has_seen.is_set() and not self._lost:
            self._lost = True
            # What is silent has been so since its last sign; other failures show at once.
            at = self._last_sign if isinstance(error, TimeoutError) else None
            self.add("observer", self.name, at=at, state="lost", text=self.problem)

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.is_set():
            pause = self._pause
            try:
                self.look()
            # Whatever it is: an observer that died in silence would be believed to see.
            except Exception as error:
                self.failed(error)
                pause = max(pause, _AGAIN_SECONDS)
            self.cpu_seconds = time.thread_time()
            # Kept to its rhythm: how long the answer took does not add to the pause.
            began = max(began + pause, time.monotonic()) if pause else time.monotonic()
            self._stop.wait(began - time.monotonic())
        for link in self._links:
            link.close()


class Poll(Observer):
    """Asks again and again; ``ask`` adds to the timeline what has changed."""

    def __init__(
        self,
        name: str,
        timeline: Timeline,
        link: Link,
        ask: Callable[[Observer, Link], None],
        *,
        pause: float,
    ) -> None:
        super().__init__(name, timeline, link, pause=pause)
        self._link, self._ask = link, ask

    def look(self) -> None:
        self._ask(self, self._link)
        self.sees()
