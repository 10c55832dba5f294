"""Running other programs: quiet when they succeed, their last words when they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from kindling import retry
from kindling.errors import KindlingError

_LAST_WORDS = 24


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    what: str = "",
    next_step: str = "nox -s doctor",
    again: retry.Policy | None = None,
) -> str:
    """Run ``command`` and return its standard output.

    ``env`` is added to the environment; ``what`` names the work in the error; a failure that
    ``again`` covers is retried. Raises KindlingError with the program's last lines when it is
    missing or exits with non-zero.
    """
    if again:
        once = partial(run, command, cwd=cwd, env=env, stdin=stdin, what=what, next_step=next_step)
        return retry.call(once, again)
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise KindlingError(f"{words[0]} is not installed", next_step="nox -s doctor") from None
    if done.returncode:
        tail = (done.stderr.strip() or done.stdout.strip()).splitlines()[-_LAST_WORDS:]
        raise KindlingError(
            f"{what or ' '.join(words[:3])} failed (exit {done.returncode}):\n  "
            + "\n  ".join(line[:300] for line in tail),
            next_step=next_step,
        )
    return done.stdout
