"""The reports of earlier runs, kept beside the last one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from kindling.errors import KindlingError
from loadtests.report.document import Document, read

FOLDER = "history"
MOST = 50


def add(folder: Path, report: Document) -> None:
    """Keep ``report`` in ``folder``, and of all there the ``MOST`` newest."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = datetime.fromtimestamp(report["started"], UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    file = folder / f"{stamp}.json"
    # It may be a link to a file of the report that is still in place.
    file.unlink(missing_ok=True)
    file.write_text(json.dumps(report, allow_nan=False))
    for old in sorted(folder.glob("*.json"))[:-MOST]:
        old.unlink()


def load(folder: Path) -> list[Document]:
    """What is kept there, oldest first. What this version cannot read is left out."""
    found = []
    for file in sorted(folder.glob("*.json"))[-MOST:]:
        try:
            found.append(read(file))
        except KindlingError:
            continue
    return sorted(found, key=lambda report: report["started"])
