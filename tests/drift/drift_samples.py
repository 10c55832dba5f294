"""Sketches as the service makes them, of rows that tests choose."""

from __future__ import annotations

from typing import Any

import numpy as np

from drift.findings import Finding, compare
from drift.sketches import Merged, merge, parse
from service.sketch import Sketch
from service.sketch_reference import Reference
from service.sketches import Sketches

NOW = 1_800_000_000.0


def reference(names: tuple[str, ...] = ("a", "b"), *, values: int = 4) -> Reference:
    """Features of whole numbers below ``values``, each as frequent as the others; two classes."""
    features = [
        {"name": name, "edges": [n + 0.5 for n in range(values - 1)], "counts": [500] * values}
        for name in names
    ]
    return Reference.model_validate({"format": 1, "features": features, "prediction": [700, 1300]})


def answer(
    rows: Any, labels: Any, *, model: str = "digits", version: str = "3", **of: Any
) -> bytes:
    """What a replica that was asked these rows answers."""
    sketch = Sketch(of.get("reference") or reference(), rows=100_000, seconds=60, clock=lambda: NOW)
    sketch.rows(np.asarray(rows, np.float32), np.asarray(labels, np.int64))
    content = Sketches(sketches=[sketch.take().count(model, version)])
    return content.model_dump_json().encode()


def drawn(count: int, *, seed: int = 1, least: int = 0) -> tuple[Any, Any]:
    """Rows and labels as in training, but none of a row below ``least``."""
    rng = np.random.default_rng(seed)
    return rng.integers(least, 4, (count, 2)), rng.random(count) > 0.35


def merged(*answers: bytes) -> Merged:
    """What replicas say together of one version."""
    (found,) = merge([parse(content) for content in answers])
    return found


def finding(*, drifting: bool = True, model: str = "digits", version: str = "3") -> Finding:
    """A version whose features are far from the training, or not."""
    rows, labels = drawn(1000, least=3 if drifting else 0)
    return compare(merged(answer(rows, labels, model=model, version=version)))
