# /// script
# dependencies = ["nox"]
# ///
"""Every command of Kindling; ``nox --list`` shows them. What follows ``--`` goes to the command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True

from kindling import environments, exit_codes, paths  # noqa: E402
from kindling.errors import KindlingError  # noqa: E402

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "tests"]
# Sessions share a few environments in the user's cache, so that the checkout stays clean.
nox.options.default_venv_backend = "none"
os.environ[paths.NOX_PYTHON] = sys.executable


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


@nox.session(default=False)
def train(session: nox.Session) -> None:
    """Prepare, train, evaluate and register models: all, or those named after `--`."""
    _module(session, "models", "kindling.train", *session.posargs)


@nox.session(name="import-model", default=False)
def import_model(session: nox.Session) -> None:
    """Convert and register an MLflow model of your own: `-- URI NAME`."""
    _module(session, "models", "kindling.import_model", *session.posargs)


@nox.session(default=False)
def models(session: nox.Session) -> None:
    """Registered models: versions, aliases, metrics, and what each pod serves now."""
    _module(session, "models", "kindling.models", "list", *session.posargs)


@nox.session(default=False)
def promote(session: nox.Session) -> None:
    """Serve another version of a model: `-- NAME VERSION`."""
    _module(session, "models", "kindling.models", "promote", *session.posargs)


@nox.session(default=False)
def rollback(session: nox.Session) -> None:
    """Serve the version that was served before: `-- NAME`."""
    _module(session, "models", "kindling.models", "rollback", *session.posargs)


@nox.session(default=False)
def canary(session: nox.Session) -> None:
    """Give a version a share of the requests, then promote it, or end it if it is worse."""
    _module(session, "models", "kindling.canary", *session.posargs)


@nox.session(default=False)
def backup(session: nox.Session) -> None:
    """Write MLflow's database and artifacts to a file: `-- FILE`."""
    _module(session, "up", "kindling.backup", "backup", *session.posargs)


@nox.session(default=False)
def restore(session: nox.Session) -> None:
    """Bring back what `backup` wrote: `-- FILE`."""
    _module(session, "up", "kindling.backup", "restore", *session.posargs)


@nox.session(default=False)
def alerts(session: nox.Session) -> None:
    """What pends and fires now, and which notifications arrived; `-- --json` for programs."""
    _module(session, "up", "kindling.alerts", *session.posargs)


@nox.session(default=False)
def loadtest(session: nox.Session) -> None:
    """Load that must scale the service and fire an alert, with a verdict and a report."""
    _module(session, "loadtest", "loadtests", *session.posargs)


@nox.session(default=False)
def quiet(session: nox.Session) -> None:
    """Half an hour, a load test and an hour after it, in which no alert may fire without reason."""
    _module(session, "loadtest", "loadtests.quiet", *session.posargs)


@nox.session(default=False)
def password(session: nox.Session) -> None:
    """Print the password of the user `admin` for MLflow, or `-- grafana` for Grafana."""
    _module(session, "up", "kindling.registry_access", *session.posargs)


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
    """Time cluster-up: warm, cold beside a commit (`-- --cold --baseline REV`), or `--busy`."""
    # Interrupted, it takes down a whole cluster first.
    _module(session, "up", "kindling.bench_up", *session.posargs, patience_seconds=900)


@nox.session(name="bench-observability", default=False)
def bench_observability(session: nox.Session) -> None:
    """What metrics, traces, logs and ids cost the service: requests/s with and without them."""
    _module(session, "dev", "kindling.bench_observability", *session.posargs)


@nox.session(name="bench-serving", default=False)
def bench_serving(session: nox.Session) -> None:
    """The service beside other model servers at one core: requests/s, latencies, memory, curves."""
    _module(session, "dev", "loadtests.bench_serving", *session.posargs)


@nox.session(name="bench-scaling", default=False)
def bench_scaling(session: nox.Session) -> None:
    """Time from a step of load to a new pod, beside its floor and beside a stock autoscaler."""
    _module(session, "loadtest", "loadtests.bench_scaling", *session.posargs)


@nox.session(name="bench-latency", default=False)
def bench_latency(session: nox.Session) -> None:
    """What the load test's latencies say of a stall, beside arithmetic and another generator."""
    _module(session, "dev", "loadtests.bench_latency", *session.posargs)


def _module(session: nox.Session, lock: str, *words: str, patience_seconds: int = 30) -> None:
    """Run a Python module in the environment that ``requirements/LOCK.txt`` describes."""
    made = environments.folder(lock)
    if not (made / "finished").exists():
        session.log(f"installing requirements/{lock}.txt into {made}")
    try:
        python = environments.ensure(lock)
    except KindlingError as error:
        session.error(error.for_people())
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    try:
        # An interrupted run ends what it started before it ends itself.
        session.run(
            python, "-m", *words, env={**environments.variables(), "PATH": path}, external=True,
            interrupt_timeout=patience_seconds, terminate_timeout=30,
        )  # fmt: skip
    except CommandFailed as failure:
        exit_codes.record(str(failure))
        raise
