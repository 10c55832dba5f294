"""The sample models of a cluster: trained, registered and promoted where none is served yet."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from kindling import environments, progress, retry
from kindling.errors import KindlingError
from kindling.model_registry import CHALLENGER, CHAMPION, connect
from kindling.registry_access import RegistryAccess, access

# MLflow's client, in a cluster that has just started: two minutes of retries, each as patient.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "6", "MLFLOW_HTTP_REQUEST_TIMEOUT": "120"}
_LONGEST_TRAINING_SECONDS = 1800


def without_champion(registry: RegistryAccess, models: Sequence[str]) -> list[str]:
    """Those of ``models`` that nobody has promoted yet. Raises KindlingError without an answer."""
    return [name for name in models if not _has_champion(registry, name)]


def _has_champion(registry: RegistryAccess, name: str) -> bool:
    # By its name: a list of all models ends after a page.
    found = registry.get("registered-models/search", filter=f"name = '{name}'", max_results="1")
    models = found.get("registered_models", [])
    return any(alias["alias"] == CHAMPION for one in models for alias in one.get("aliases", []))


def ensure(cluster_name: str, models: Sequence[str], *, check: bool) -> list[str]:
    """Give each of ``models`` a champion; returns those that had none.

    Raises KindlingError with the last lines of what failed.
    """
    lacking = retry.call(lambda: without_champion(access(cluster_name), models), retry.API)
    if not lacking or check:
        return lacking
    with progress.step("Python environment of the pipeline"):
        python = environments.ensure("models")
    _make(python, cluster_name, lacking)
    return lacking


def _make(python: Path, cluster_name: str, models: Sequence[str]) -> None:
    child = subprocess.Popen(
        [python, "-m", "kindling.sample_models", cluster_name, *models],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **_PATIENCE},
    )  # fmt: skip
    said = []
    with child:
        for line in child.stdout or ():
            said.append(line.rstrip())
    if child.returncode:
        raise KindlingError(
            f"the sample models could not be made:\n  {_last(said)}", next_step="nox -s train"
        )


def main(argv: Sequence[str]) -> int:
    """Train, register and promote: ``CLUSTER MODEL …``, in the pipeline's environment."""
    from kindling import train

    cluster_name, *models = argv
    # What trains already is as a rule this run's own, see ``training_ahead``.
    wait = f"--wait={_LONGEST_TRAINING_SECONDS}"
    if code := train.main([f"--set=cluster_name={cluster_name}", wait, *models]):
        return code
    access(cluster_name).export()
    registry = connect()
    for name in models:
        if version := registry.aliases(name).get(CHALLENGER):
            registry.mark_sample(name, version)
            registry.promote(name, version)
    return 0


def _last(lines: Sequence[str]) -> str:
    return "\n  ".join(list(filter(None, lines))[-12:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
