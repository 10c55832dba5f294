"""What happened during a load test, from all sources, by one clock."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from loadtests import clock

Source = Literal[
    "stage", "action", "load", "hpa", "deployment", "pod", "event", "metrics", "alert",
    "notification", "observer",
]  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """One thing that was seen: ``time`` in Unix seconds of this run, what it is about, what."""

    time: float
    source: Source
    name: str
    fields: dict[str, Any] = field(default_factory=dict)


class Timeline:
    """Moments as they are added, by any thread."""

    def __init__(self, moments: Iterable[Moment] = ()) -> None:
        self._moments = list(moments)
        self._lock = threading.Lock()

    def add(self, source: Source, name: str, *, at: float | None = None, **fields: Any) -> Moment:
        """Add what is seen now, or was ``at`` a Unix time."""
        moment = Moment(clock.now() if at is None else at, source, name, fields)
        with self._lock:
            self._moments.append(moment)
        return moment

    def extend(self, moments: Iterable[Moment]) -> None:
        """Add what was seen by others."""
        found = list(moments)
        with self._lock:
            self._moments.extend(found)

    def of(
        self,
        source: Source,
        name: str | None = None,
        *,
        since: float = 0.0,
        until: float = float("inf"),
    ) -> list[Moment]:
        """Those of ``source``, and of ``name`` if one is given, in the order of time."""
        # Scenarios ask several times a second, on the cores that are tested: few are sorted.
        return _sorted(
            moment
            for moment in self._copy()
            if moment.source == source
            and name in (None, moment.name)
            and since <= moment.time <= until
        )

    def __iter__(self) -> Iterator[Moment]:
        return iter(_sorted(self._copy()))

    def _copy(self) -> list[Moment]:
        with self._lock:
            return list(self._moments)

    def write(self, file: Path) -> None:
        """Write a line of JSON for each."""
        file.write_text("".join(json.dumps(asdict(moment)) + "\n" for moment in self))

    @classmethod
    def read(cls, file: Path) -> Timeline:
        """What ``write`` wrote."""
        return cls(Moment(**json.loads(line)) for line in file.read_text().splitlines())


def _sorted(moments: Iterable[Moment]) -> list[Moment]:
    return sorted(moments, key=lambda moment: moment.time)
