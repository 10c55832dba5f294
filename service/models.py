"""The models that are served now."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic_core import to_json

from service.errors import ModelNotFoundError, NotReadyError
from service.package import Descriptor, Kind
from service.sketch import Sketch


@dataclass(frozen=True)
class Named:
    """Which model answers, in headers, logs, metrics and traces."""

    name: str
    version: str

    @cached_property
    def shown(self) -> str:
        """What a log line of JSON says of it, after other fields."""
        return "," + to_json({"model": self.name, "version": self.version}).decode()[1:-1]

    @cached_property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the answers that it gives."""
        named = {b"x-model-name": self.name, b"x-model-version": self.version}
        return [(key, value.encode()) for key, value in named.items()]


@dataclass(frozen=True)
class Served(Named):
    """One version of a model. A request takes it once, and keeps it to its end."""

    descriptor: Descriptor
    # What the kind says: service.classifier.Classifier, service.tabular.Tabular or
    # service.text.TextGenerator.
    runner: Any
    # What came to it lately; None for a package without reference.json.
    sketch: Sketch | None = None


@dataclass(frozen=True)
class Canary:
    """A version that gets ``share`` of the requests, ``until`` a time in Unix seconds."""

    served: Served
    share: float
    until: float

    def is_drawn(self) -> bool:
        """Whether the next request is its."""
        return random.random() < self.share and time.time() < self.until  # noqa: S311


_KINDS: dict[Kind, str] = {
    "classifier": "classifier", "text-generator": "text-generator",
    "tabular": "model for tables",
}  # fmt: skip


class Models:
    """Holds one version of each configured model, and for a while a canary beside it.

    Beside these it holds others, which come and go.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.others: tuple[str, ...] = ()
        self.known = self.names
        self._served: dict[str, Served] = {}
        self._canaries: dict[str, Canary] = {}

    def put(self, served: Served) -> None:
        """Serve this version from now on. What the one before it has begun, it ends."""
        self._served[served.name] = served

    def expect(self, others: Iterable[str]) -> None:
        """Hold these others from now on, and no more those of before that are not among them."""
        gone = set(self.others).difference(others)
        self.others = tuple(others)
        self.known = (*self.names, *self.others)
        for name in gone:
            self._canaries.pop(name, None)
            self._served.pop(name, None)

    def all(self) -> list[Served]:
        """What is served, in the order of the configuration, and then the others."""
        return [self._served[name] for name in self.known if name in self._served]

    def served(self, name: str) -> Served | None:
        """What is served under ``name``."""
        return self._served.get(name)

    def put_canary(self, served: Served, *, share: float, until: float) -> None:
        """Give this version, beside the one that is served, a share of the requests."""
        self._canaries[served.name] = Canary(served, share, until)

    def drop_canary(self, name: str) -> None:
        """Give it no request any more; those that it has begun, it ends."""
        self._canaries.pop(name, None)

    def canary(self, name: str) -> Canary | None:
        """The canary beside the model of that name."""
        return self._canaries.get(name)

    def get(self, name: str | None, *kinds: Kind, version: str | None = None) -> Served:
        """What is to answer a request to the model of that name, or to the first of those kinds.

        ``version``, if one is named, is all that will do. Raises ModelNotFoundError naming those
        that exist, NotReadyError.
        """
        champion = self.champion(name, *kinds)
        canary = self._canaries.get(champion.name)
        if version is None:
            return canary.served if canary and canary.is_drawn() else champion
        for served in (champion, *([canary.served] if canary else [])):
            if served.version == version:
                return served
        raise ModelNotFoundError(
            f"version {version} of {champion.name} is not served; version {champion.version} is"
        )

    def champion(self, name: str | None, *kinds: Kind) -> Served:
        """The champion of the model of that name, or of the first of those kinds.

        Raises ModelNotFoundError naming those that exist, NotReadyError.
        """
        candidates = [served for served in self.all() if served.descriptor.kind in kinds]
        missing = [known for known in self.names if known not in self._served]
        for served in candidates:
            # Who names none is not answered by another because the usual one is missing.
            is_usual = name is None and not (missing and served.name in self.others)
            if is_usual or name == served.name:
                return served
        coming = name in self.others and name not in self._served
        if coming or name in missing or (name is None and missing):
            raise NotReadyError("the model is not loaded")
        names = ", ".join(served.name for served in candidates) or "none"
        wanted = " or ".join(_KINDS[kind] for kind in kinds)
        raise ModelNotFoundError(f"there is no such {wanted}; there are: {names}", field="model")
