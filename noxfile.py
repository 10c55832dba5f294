# /// script
# dependencies = ["nox"]
# ///
"""Every command of Kindling; ``nox --list`` shows them. What follows ``--`` goes to the command."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
from pathlib import Path

import nox

HERE = Path(__file__).parent
CACHE = Path(
    os.environ.get("KINDLING_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kindling"
).absolute()

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "tests"]
# Sessions share a few environments in the user's cache, so that the checkout stays clean.
nox.options.default_venv_backend = "none"


@nox.session(name="cluster-up", default=False)
def cluster_up(session: nox.Session) -> None:
    """From a bare machine to a kind cluster that serves a model."""
    _module(session, "up", "kindling.run", "up", *session.posargs)


@nox.session(name="cluster-down", default=False)
def cluster_down(session: nox.Session) -> None:
    """Remove the cluster and stop our engine; `-- --all` removes engine and caches too."""
    _module(session, "up", "kindling.run", "down", *session.posargs)


@nox.session(default=False)
def status(session: nox.Session) -> None:
    """What runs, where, and whether it is well; `-- --json` for programs."""
    _module(session, "up", "kindling.status", *session.posargs)


@nox.session(default=False)
def doctor(session: nox.Session) -> None:
    """What would stop cluster-up here, each with its fix; `-- --json` for programs."""
    _module(session, "up", "kindling.doctor", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff, mypy, yamllint, ansible-lint, helm lint, schemas of the rendered charts."""
    _module(session, "dev", "kindling.lint", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The fast tests, and those of a cluster when one of ours is up; arguments go to pytest."""
    _module(session, "dev", "pytest", *session.posargs)


@nox.session(name="bench-up", default=False)
def bench_up(session: nox.Session) -> None:
    """Time a warm cluster-up beside its floor and beside serial installation; prints ratios."""
    _module(session, "up", "kindling.bench_up", *session.posargs)


def _module(session: nox.Session, lock: str, *words: str) -> None:
    """Run a Python module in the environment that ``requirements/LOCK.txt`` describes."""
    file = HERE / "requirements" / f"{lock}.txt"
    key = hashlib.sha256(file.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / "venvs" / f"{lock}-{key}"
    python = folder / "bin" / "python"
    env = {
        "PYTHONPATH": str(HERE),
        "PYTHONDONTWRITEBYTECODE": "1",
        # What the tools keep goes with our caches, not into the user's own folders.
        "VIRTUALENV_OVERRIDE_APP_DATA": str(CACHE / "virtualenv"),
        "ANSIBLE_HOME": str(CACHE / "ansible"),
        "ANSIBLE_REMOTE_TMP": str(CACHE / "ansible" / "tmp"),
        "BUILDX_CONFIG": str(CACHE / "buildx"),
        "KUBECACHEDIR": str(CACHE / "kube"),
        "HELM_CACHE_HOME": str(CACHE / "helm"),
        "HELM_CONFIG_HOME": str(CACHE / "helm"),
        "HELM_DATA_HOME": str(CACHE / "helm"),
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    finished = folder / "finished"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not finished.exists():
            session.log(f"installing {file.relative_to(HERE)} into {folder}")
            for command in (
                [sys.executable, "-m", "virtualenv", "--clear", folder],
                [python, "-m", "pip", "install", "--require-hashes", "--requirement", file],
            ):
                session.run(*command, env=env, external=True, silent=True)
            finished.touch()
    # An interrupted run ends what it started before it ends itself.
    session.run(
        python, "-m", *words, env=env, external=True, interrupt_timeout=30, terminate_timeout=30
    )
