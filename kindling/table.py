"""Tables and consoles of one look for every command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

_LOG_WIDTH = 160


def console(stream: TextIO | None = None) -> Console:
    """A console that keeps lines whole where nobody watches, such as in CI's logs."""
    stream = stream or sys.stdout
    wide = None if stream.isatty() or os.environ.get("COLUMNS") else _LOG_WIDTH
    return Console(file=stream, width=wide, highlight=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A table without lines. Cells are plain text: brackets in them are not markup."""
    made = Table(box=None, pad_edge=False, show_header=any(columns))
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return made
