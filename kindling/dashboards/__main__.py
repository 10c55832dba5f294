"""Write Grafana's and the viewer's dashboards from ``dashboards/``, or check that they are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kindling import paths
from kindling.dashboards import grafana, perses
from kindling.dashboards.source import Dashboard, load_all
from kindling.errors import KindlingError

GRAFANA = paths.REPOSITORY / "charts" / "grafana" / "dashboards"
VIEWER = paths.REPOSITORY / "charts" / "dashboards" / "dashboards"
_COMMAND = "python -m kindling.dashboards write"


def documents(dashboards: Sequence[Dashboard]) -> Iterator[tuple[Path, Any]]:
    """(file, content) of everything that is made of ``dashboards``."""
    for one in dashboards:
        yield GRAFANA / f"{one.uid}.json", grafana.convert(one)
        yield VIEWER / f"{one.uid}.json", perses.convert(one)
    listed = [{"uid": d.uid, "title": d.title, "description": d.description} for d in dashboards]
    yield VIEWER / "index.json", listed


def stale(dashboards: Sequence[Dashboard]) -> dict[Path, str | None]:
    """Files that are not as they should be, with what they should hold; None: should not be."""
    made = {
        file: json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        for file, content in documents(dashboards)
    }
    there = {file for folder in (GRAFANA, VIEWER) for file in folder.glob("*.json")}
    wrong: dict[Path, str | None] = {
        file: text for file, text in made.items() if file not in there or file.read_text() != text
    }
    return wrong | dict.fromkeys(sorted(there - set(made)))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kindling.dashboards", description=__doc__, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write", help="write the files that are made of the source")
    write.add_argument("--check", action="store_true", help="only fail if one is out of date")
    options = parser.parse_args(arguments)
    try:
        wrong = stale(load_all())
        if wrong and options.check:
            listed = ", ".join(str(file.relative_to(paths.REPOSITORY)) for file in wrong)
            raise KindlingError(f"not as dashboards/ says: {listed}", next_step=_COMMAND)
    except KindlingError as error:
        print(error.for_people(), file=sys.stderr)
        return 1
    for file, text in wrong.items():
        if text is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        print(f"{'removed' if text is None else 'written'}: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
