"""Programs that answer what a test has written down, as kubectl, helm or docker would."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SOURCE = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
calls = folder / "calls"
number = len(calls.read_text().splitlines()) if calls.exists() else 0
stdin = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
with calls.open("a") as out:
    out.write(json.dumps({{"args": sys.argv[1:], "stdin": stdin}}) + "\\n")
answers = json.loads((folder / "answers").read_text())
code, out, err = answers[min(number, len(answers) - 1)]
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""


@dataclass(frozen=True)
class Scripted:
    """A program at ``path`` and what it was called with."""

    path: Path

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call."""
        return [call["args"] for call in self._calls()]

    @property
    def inputs(self) -> list[str]:
        """What each call was given on standard input."""
        return [call["stdin"] for call in self._calls()]

    def _calls(self) -> list[dict[str, Any]]:
        file = self.path.parent / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def ok(out: str = "") -> tuple[int, str, str]:
    """The answer of a call that succeeds."""
    return 0, out, ""


def fails(err: str) -> tuple[int, str, str]:
    """The answer of a call that fails."""
    return 1, "", err + "\n"


def scripted(folder: Path, name: str, *answers: tuple[int, str, str]) -> Scripted:
    """A program ``name`` that gives ``answers`` in turn, and the last one from then on."""
    own = folder / f"{name}-scripted"
    own.mkdir()
    (own / "answers").write_text(json.dumps(answers))
    path = own / name
    path.write_text(_SOURCE.format(python=sys.executable, folder=str(own)))
    path.chmod(0o755)
    return Scripted(path)
