"""Checkouts to measure in: one of a commit, and a copy of the present one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from kindling import paths
from kindling.errors import KindlingError

_FIRST_COMMAND = "nox -s cluster-up"
_NOX = re.compile(r"(\S*\bnox) -s cluster-up\b")


def resolve(revision: str, repository: Path = paths.REPOSITORY) -> str:
    """The full hash of ``revision``: a hash, an abbreviation of one, a tag or a branch.

    Raises KindlingError where the checkout is no git repository or has no such commit.
    """
    top = _git(repository, "rev-parse", "--show-toplevel")
    if top.returncode or not repository.samefile(top.stdout.strip()):
        raise KindlingError(
            f"{repository} is no git repository, so {revision} cannot be checked out",
            next_step="git clone the repository and run the command there",
        )
    done = _git(
        repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
    )
    if done.returncode:
        raise KindlingError(
            f"there is no commit {revision} in {repository}",
            next_step="git fetch --all --tags, then git log --oneline names those there are",
        )
    return done.stdout.strip()


def clone(commit: str, target: Path, repository: Path = paths.REPOSITORY) -> None:
    """Check ``commit`` out into ``target``, as a clone that nothing in ``repository`` knows of."""
    for arguments in (
        ("clone", "--quiet", "--shared", "--no-checkout", str(repository), str(target)),
        ("-C", str(target), "checkout", "--quiet", "--detach", commit),
    ):
        done = _git(repository, *arguments)
        if done.returncode:
            raise KindlingError(
                f"{commit[:12]} could not be checked out: {done.stderr.strip()[-500:]}",
                next_step="git fsck, and df for room on the disk",
            )


def copy_present(target: Path, repository: Path = paths.REPOSITORY) -> tuple[str, int]:
    """Copy the checkout as it is now, uncommitted changes included and ignored files left out.

    Returns its commit and how many files differ from it.
    """
    commit = resolve("HEAD", repository)
    clone(commit, target, repository)
    changed = _names(repository, "diff", "--name-only", "-z", "HEAD")
    changed += _names(repository, "ls-files", "--others", "--exclude-standard", "-z")
    for name in changed:
        source, copy = repository / name, target / name
        if copy.is_symlink() or copy.is_file():
            copy.unlink()
        if source.is_symlink() or source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)
    return commit, len(changed)


def first_command(checkout: Path) -> tuple[str, str]:
    """The README's first command, and the path of nox in it.

    Raises KindlingError where the README has none.
    """
    text = (checkout / "README.md").read_text().replace("\\\n", " ")
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        if (fenced or line.startswith("    ")) and _FIRST_COMMAND in line:
            command = " ".join(line.split())
            if match := _NOX.search(command):
                return command, match[1]
    raise KindlingError(
        f"README.md of {checkout} names no command that runs {_FIRST_COMMAND}",
        next_step="take a baseline whose README has one",
    )


def _names(repository: Path, *arguments: str) -> list[str]:
    done = _git(repository, *arguments)
    if done.returncode:
        raise KindlingError(f"git {arguments[0]} failed: {done.stderr.strip()[-500:]}")
    return [name for name in done.stdout.split("\0") if name]


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A hook that runs this would otherwise lead git to another repository.
    located = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    env = {name: value for name, value in os.environ.items() if name not in located}
    try:
        return subprocess.run(
            ["git", *arguments], cwd=repository, env=env, capture_output=True, text=True,
            errors="surrogateescape",
        )  # fmt: skip
    except FileNotFoundError:
        raise KindlingError("git is not installed", next_step="apt-get install git") from None
