"""The table of the corpus: which common models are imported, and why others are not.

``PYTHONPATH=. python tests/importer/corpus_table.py`` writes it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from converter import run

CORPUS = Path(__file__).with_name("corpus.py")
TABLE = Path(__file__).parents[2] / "docs" / "imported-models.md"
_HEAD = """# Which models are imported

Each of these is trained, imported and compared with its graph on 1,000 ordinary rows, and on 1,000
on and beside the values that it was trained on. A model whose graph differs is refused as it is
imported. `tests/importer/corpus_models.py` has the models.

| model | made of | |
|---|---|---|
"""
_MEASURED = re.compile(r" of [\d]+ rows|[\d]+ labels differ|by up to [\d.e+-]+ ")


def table(result: Sequence[dict[str, Any]]) -> str:
    """The page, without what a processor's last digits change."""
    lines = [f"| {one['name']} | {', '.join(one['classes'])} | {_outcome(one)} |" for one in result]
    return _HEAD + "\n".join(lines) + "\n"


def _outcome(one: dict[str, Any]) -> str:
    if "refused" not in one:
        return f"imported, {one['precision']} precision"
    return "refused: " + (
        "its graph differs" if _MEASURED.search(one["refused"]) else one["refused"]
    )


def main() -> int:
    """Write the page."""
    done = run(CORPUS)
    if done.returncode:
        print(done.stderr.decode(), file=sys.stderr)
        return 1
    TABLE.write_text(table([json.loads(line) for line in done.stdout.splitlines()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
