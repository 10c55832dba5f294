"""A repository whose README's first command makes no cluster, but leaves what one would."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# Runs as .venv/bin/nox of a checkout, with the session in $2 and its arguments after `--`.
NOX = """#!/bin/sh
set -eu
echo "$2 ${4-} PATH=$PATH PYTHONPATH=${PYTHONPATH-none}" >> calls
state=$XDG_STATE_HOME/kindling
case "$2 ${4-}" in
"cluster-up ")
    mkdir -p "$state" "$KINDLING_CACHE/store" "$KINDLING_CACHE/venvs" "$XDG_CACHE_HOME/pip"
    touch "$state/cluster.json"
    head -c "$(cat size)" /dev/zero > "$KINDLING_CACHE/store/blob"
    changed=3; test ! -e up || changed=0
    echo "{\\"recap\\": \\"ok=3 changed=$changed failed=0\\", \\"tasks\\":
        [{\\"role\\": \\"engine\\", \\"task\\": \\"It runs\\", \\"seconds\\": 2.5}]}" \\
        > "$KINDLING_CACHE/timings.json"
    echo '{"step": "kubernetes", "state": "done", "seconds": 4.25}' > "$state/events.jsonl"
    tries=$(cat tries 2>/dev/null || echo 0); echo $((tries + 1)) > tries
    if test "$tries" -lt "$(cat failures)"; then echo "pod serving: not synced yet"; exit 1; fi
    touch up
    sleep "$(cat sleep)" ;;
"cluster-down ") rm -rf "$state" up; exit "$(cat down)" ;;
"cluster-down --all") rm -rf "$KINDLING_CACHE/store" "$KINDLING_CACHE/timings.json" ;;
"tests ") test -e up && echo "== 5 passed in 2 s ==" || echo "== 3 passed, 2 skipped in 1 s ==" ;;
esac
"""
README = """# Fake

    mkdir -p .venv/bin && cp nox.sh .venv/bin/nox && .venv/bin/nox -s cluster-up

    .venv/bin/nox -s tests
"""


def git(repository: Path, *arguments: str) -> str:
    identity = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        identity |= {f"GIT_{role}_NAME": "T", f"GIT_{role}_EMAIL": "t@example.org"}
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments], env={**os.environ, **identity},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def set_behaviour(repository: Path, **values: object) -> None:
    """``size`` of caches, ``failures`` before a success, exit code of ``down``, ``sleep``."""
    for name, value in values.items():
        (repository / name).write_text(f"{value}\n")


def make_repository(folder: Path) -> Path:
    """A repository with two commits: ``old``, a tag, whose caches are larger, and ``HEAD``."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "README.md").write_text(README)
    (folder / "nox.sh").write_text(NOX)
    (folder / "nox.sh").chmod(0o755)
    (folder / ".gitignore").write_text(".venv\n")
    set_behaviour(folder, size=4_000_000, failures=0, down=0, sleep=0)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=old")
    git(folder, "tag", "old")
    set_behaviour(folder, size=1_000_000)
    git(folder, "commit", "--quiet", "--all", "--message=new")
    return folder
