"""Every static check of the repository; each runs even when an earlier one failed."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from kindling import paths
from kindling.errors import KindlingError
from kindling.supply import tools
from kindling.supply.modes import built_tools
from kindling.supply.recipes import Programs
from kindling.supply.store import Store, build_all
from kindling.supply.versions import load

_SECONDS = 600


def checks(helm: Path, promtool: Path) -> list[tuple[str, ...]]:
    """The commands that must all succeed."""
    charts = sorted(
        str(chart.parent) for chart in (paths.REPOSITORY / "charts").glob("*/Chart.yaml")
    )
    rules = sorted(map(str, (paths.REPOSITORY / "charts/prometheus/rules").glob("*.yml")))
    python = sys.executable
    return [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy",),
        ("yamllint", "--strict", "."),
        ("ansible-lint", "--offline", "--strict"),
        (str(helm), "lint", "--strict", "--quiet", *charts),
        (python, "-m", "kindling.charts", "validate", "--helm", str(helm)),
        (python, "-m", "kindling.charts", "readme", "--check"),
        (python, "-m", "kindling.dashboards", "write", "--check"),
        (str(promtool), "check", "rules", "--lint=all", "--lint-fatal", *rules),
    ]


def find_helm() -> Path:
    """The helm that ``cluster-up`` uses: on PATH, downloaded, or built.

    Raises KindlingError where none of them is there yet.
    """
    versions = load()
    tool = tools.catalogue(versions.kubernetes, versions.tools)["helm"]
    built = built_tools(versions)["helm"]
    for path in (tool.on_path(), tools.cached(tool), built):
        if path and path.exists():
            return path
    found = tools.download(tool)
    if found is None:
        raise KindlingError("helm is not there yet", next_step="nox -s cluster-up")
    return found


def find_promtool() -> Path:
    """The promtool of our Prometheus: on PATH in its major version, or built, now if need be."""
    versions = load()
    wanted = versions.images["prometheus"].upstream
    tool = tools.Tool("promtool", ("--version",), wanted, lambda has, want: has[0] == want[0])
    if found := tool.on_path():
        return found
    store, step = Store(paths.store_dir()), Programs(versions).monitoring
    build_all([step], store, workers=1)
    return store.path(step) / "promtool"


def main(argv: Sequence[str] | None = None) -> int:
    """Run every check; the exit code is 1 when any failed."""
    argparse.ArgumentParser(
        prog="nox -s lint --", description=__doc__, allow_abbrev=False
    ).parse_args(argv)
    try:
        commands = checks(find_helm(), find_promtool())
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    failed = []
    for command in commands:
        words = " ".join([Path(command[0]).name, *command[1:3]])
        done = subprocess.run(
            command, cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=_SECONDS
        )
        print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {words}", flush=True)
        if done.returncode:
            failed.append(words)
            print(done.stdout + done.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
