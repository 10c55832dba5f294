"""What long work is doing now, told across processes.

Ansible's tasks are processes of their own whose output is kept until they end. They append
events to the file that ``KINDLING_EVENTS`` names, and the callback shows them as they come.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

State = Literal["start", "update", "done", "failed"]


@dataclass(frozen=True)
class Event:
    """One line of the events file; ``seconds`` is how long the step took, at its end."""

    step: str
    state: State
    detail: str = ""
    seconds: float = 0.0
    at: float = 0.0


def emit(step: str, state: State, detail: str = "", seconds: float = 0.0) -> None:
    """Append an event; without ``KINDLING_EVENTS`` nobody listens and nothing happens."""
    file = os.environ.get("KINDLING_EVENTS")
    if not file:
        return
    event = Event(step, state, detail, round(seconds, 2), time.time())
    line = json.dumps(asdict(event)) + "\n"
    # One short write to a file opened for appending is never torn by another process's.
    with Path(file).open("a") as out:
        out.write(line)


@contextmanager
def step(name: str, detail: str = "") -> Iterator[None]:
    """Tell that ``name`` runs, and how it ended."""
    emit(name, "start", detail)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        emit(name, "failed", seconds=time.monotonic() - began)
        raise
    emit(name, "done", detail, time.monotonic() - began)


class Tail:
    """Reads the events that have come since the last look."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0

    def new(self) -> list[Event]:
        """The events appended since the last call, oldest first; broken lines are skipped."""
        try:
            with self._file.open("rb") as events:
                events.seek(self._read)
                data = events.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        found = []
        for line in whole.splitlines():
            try:
                found.append(Event(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return found
