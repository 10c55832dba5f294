"""The package of a model: the files that a registry holds and the service loads."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

FORMAT = 1


def describe(name: str, kind: str, accuracy: float, **details: Any) -> dict[str, Any]:
    """The content of model.json; ``details`` is what only models of this kind have."""
    return {"format": FORMAT, "name": name, "kind": kind, "accuracy": accuracy, **details}


def sha256(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below ``folder`` by its path there, in ascending order."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def digest(folder: Path) -> str:
    """One SHA-256 for the names and contents of all files below ``folder``."""
    return hashlib.sha256(json.dumps(sha256(folder)).encode()).hexdigest()


def write_json(path: Path, content: Any, *, indent: int | None = None) -> None:
    """Write JSON, the folder included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table with a line of headings, the folder included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
