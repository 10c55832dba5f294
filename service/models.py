"""The models that are served now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.errors import ModelNotFoundError, NotReadyError
from service.package import Descriptor, Kind
from service.sketch import Sketch


@dataclass(frozen=True)
class Served:
    """One version of a model. A request takes it once, and keeps it to its end."""

    name: str
    version: str
    descriptor: Descriptor
    # What the kind says: service.classifier.Classifier or service.text.TextGenerator.
    runner: Any
    # What came to it lately; None for a package without reference.json.
    sketch: Sketch | None = None


class Models:
    """Holds one version at most of each configured model."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._served: dict[str, Served] = {}

    def put(self, served: Served) -> None:
        """Serve this version from now on. What the one before it has begun, it ends."""
        self._served[served.name] = served

    def all(self) -> list[Served]:
        """What is served, in the order of the configuration."""
        return [self._served[name] for name in self.names if name in self._served]

    def served(self, name: str) -> Served | None:
        """What is served under ``name``."""
        return self._served.get(name)

    def get(self, name: str | None, kind: Kind) -> Served:
        """The model of that name, or the first of that kind.

        Raises ModelNotFoundError naming those that exist, NotReadyError.
        """
        candidates = [served for served in self.all() if served.descriptor.kind == kind]
        for served in candidates:
            if name in (None, served.name):
                return served
        missing = [known for known in self.names if known not in self._served]
        if name in missing or (name is None and missing):
            raise NotReadyError("the model is not loaded")
        names = ", ".join(served.name for served in candidates) or "none"
        raise ModelNotFoundError(f"there is no such {kind}; there are: {names}", field="model")
