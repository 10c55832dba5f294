"""The pods that hold MLflow's database and artifacts, and streams from and to them."""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from kindling import cluster, cluster_setup, settings, workloads
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.model_registry import SAMPLE_TAG
from kindling.registry_access import access

_READY_SECONDS = 180
_GONE_SECONDS = 120
# A transfer that moves no byte for so long has lost its peer.
_STALL_SECONDS = 300.0
_POLL_SECONDS = 0.2
# By the names that the database's container was given: of the owner of all tables, in charts that
# have one beside the superuser.
_USER = '--username="${DATABASE_OWNER:-$POSTGRES_USER}"'
_DUMP = f'exec pg_dump --format=custom {_USER} "$POSTGRES_DB"'
# How the session of a restore is called.
_SESSION = "kindling-restore"
# One transaction: what fails, or is cut off, leaves everything as it was. The schema is dropped
# as a whole, because a newer one has tables that the dump does not know.
_RESTORE = f"""
{{ echo "BEGIN; SET LOCAL client_min_messages = warning;"
  echo "SET LOCAL lock_timeout = '60s'; DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
  pg_restore --no-owner --no-privileges --file=- \\
  && echo "COMMENT ON DATABASE \\"$POSTGRES_DB\\" IS 'restore $1'; COMMIT;" \\
  || echo "DO 'BEGIN RAISE EXCEPTION \\$\\$the dump cannot be read\\$\\$; END';"
}} | PGAPPNAME={_SESSION} psql --no-psqlrc --quiet --output=/dev/null --set=ON_ERROR_STOP=1 \\
  {_USER} "$POSTGRES_DB"
"""
_END = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"  # noqa: S608
    f" WHERE application_name = '{_SESSION}'"
)
_TERMINATE = f'exec psql --quiet --output=/dev/null {_USER} "$POSTGRES_DB" -c "{_END}"'
# Only what cluster-up itself makes is replaced unasked.
_OWN_RUNS = (
    "select count(*) from runs where not exists (select 1 from tags"  # noqa: S608
    f" where tags.run_uuid = runs.run_uuid and tags.key = '{SAMPLE_TAG}')"
)
_COUNT = f'exec psql --tuples-only {_USER} "$POSTGRES_DB" -c "{_OWN_RUNS}"'


@dataclass(frozen=True)
class Stores:
    """MLflow and PostgreSQL of a cluster: their namespaces, and the URL at which MLflow answers."""

    kubectl: Kubectl
    mlflow: str
    postgresql: str
    url: str

    @classmethod
    def connect(cls, options: argparse.Namespace) -> Stores:
        """Those of the cluster that the inventory in ``options`` describes."""
        chosen = settings.load(options.inventory, options.set)
        known = cluster.known(chosen.cluster_name)
        return cls(
            cluster_setup.kubectl(known),
            str(chosen["mlflow_namespace"]),
            str(chosen["postgresql_namespace"]),
            access(chosen.cluster_name).url,
        )

    def dump(self, target: Path) -> None:
        """Write the database to a file."""
        self._run("postgresql", "sh", "-c", _DUMP, target=target)

    def pack(self, target: Path) -> None:
        """Write the artifacts to a file."""
        self._artifacts("pack", target=target)

    def remove(self, run: str, model: str) -> None:
        """Remove a deleted run and a deleted logged model for good; either may be empty."""
        self._run("mlflow", "python", "remove.py", run, model)

    def has_own_runs(self) -> bool:
        """Whether there are runs beside those of the sample models."""
        with tempfile.NamedTemporaryFile() as output:
            self._run("postgresql", "sh", "-c", _COUNT, target=Path(output.name))
            return int(output.read()) > 0

    def replace(self, identity: str, database: Path, artifacts: Path) -> None:
        """Put both in the place of what is there: both, or none where KindlingError is raised.

        MLflow does not run meanwhile. Its next start takes the artifacts, if it finds the mark that
        the database got in the transaction that replaced it.
        """
        with artifacts.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        self._artifacts("stage", identity, digest, source=artifacts)
        try:
            self._scale(0)
            self._wait_until_gone()
            self._run("postgresql", "sh", "-c", _RESTORE, "sh", identity, source=database)
        except BaseException:
            self._give_up(identity)
            raise
        self.start()

    def _give_up(self, identity: str) -> None:
        """Let MLflow run with what there is: the old, unless the transaction ended all the same."""
        try:
            # A client that went away does not end what it started.
            self._run("postgresql", "sh", "-c", _TERMINATE)
        finally:
            self.start()
        # Now the server has taken what was staged, or nothing ever will.
        self._artifacts("discard", identity)

    def start(self) -> None:
        """Let MLflow run, which an earlier command may have stopped, and wait until it answers."""
        self._scale(1)
        wanted = [
            workloads.Workload("Deployment", "mlflow", self.mlflow),
            workloads.Workload("URL", f"{self.url}/health"),
        ]
        workloads.wait(self.kubectl, wanted, _READY_SECONDS)

    def _wait_until_gone(self) -> None:
        deadline = time.monotonic() + _GONE_SECONDS
        # Not by `kubectl wait`: it fails where nothing is left to wait for.
        while left := self._pods("mlflow"):
            if time.monotonic() > deadline:
                raise KindlingError(
                    f"after {_GONE_SECONDS} s pod {left[0]['metadata']['name']} has not ended",
                    next_step="nox -s status, then the same command again",
                )
            time.sleep(_POLL_SECONDS)

    def _scale(self, replicas: int) -> None:
        self.kubectl.check(
            "scale", "deployment/mlflow", f"--replicas={replicas}", f"--namespace={self.mlflow}"
        )

    def _artifacts(
        self, *command: str, source: Path | None = None, target: Path | None = None
    ) -> None:
        self._run("mlflow", "python", "artifacts.py", *command, source=source, target=target)

    def _pod(self, name: str) -> tuple[str, str]:
        for pod in self._pods(name):
            states = pod["status"].get("conditions", [])
            is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in states)
            if is_ready and "deletionTimestamp" not in pod["metadata"]:
                return pod["metadata"]["namespace"], pod["metadata"]["name"]
        raise KindlingError(f"no pod of {name} is ready", next_step="nox -s status")

    def _pods(self, name: str) -> Sequence[dict[str, Any]]:
        namespace = self.mlflow if name == "mlflow" else self.postgresql
        selector = f"app.kubernetes.io/name={name},app.kubernetes.io/part-of=kindling"
        return self.kubectl.items("pods", f"--namespace={namespace}", f"--selector={selector}")

    def _run(
        self, workload: str, *command: str, source: Path | None = None, target: Path | None = None
    ) -> None:
        """Run ``command`` in a pod with its input from, or its output to, a file."""
        namespace, name = self._pod(workload)
        stdin = ["--stdin"] if source else []
        process_command = self.kubectl.command(
            "exec", *stdin, f"--namespace={namespace}", name, "--", *command
        )
        with (
            (source or Path(os.devnull)).open("rb") as given,
            (target or Path(os.devnull)).open("wb") as taken,
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(process_command, stdin=given, stdout=taken, stderr=errors) as process,
        ):
            try:
                _wait(process, given, taken)
            except subprocess.TimeoutExpired:
                raise KindlingError(
                    f"pod {name}: no byte was transferred for {_STALL_SECONDS:g} s",
                    next_step="nox -s status, then the same command again",
                ) from None
            finally:
                process.kill()
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().splitlines()[-3:]
        if process.returncode:
            raise KindlingError(f"pod {name}: {' '.join(last)}", next_step="nox -s status")


def _wait(process: subprocess.Popen[bytes], given: BinaryIO, taken: BinaryIO) -> None:
    """Wait for its end. Raises TimeoutExpired when neither file has moved for too long."""
    moved, progress = time.monotonic(), (0, 0)
    while True:
        try:
            process.wait(_POLL_SECONDS)
            return
        except subprocess.TimeoutExpired:
            # The position in a file is the same for all processes that have got it from here.
            now = (os.lseek(given.fileno(), 0, os.SEEK_CUR), os.fstat(taken.fileno()).st_size)
            if now != progress:
                moved, progress = time.monotonic(), now
            elif time.monotonic() - moved > _STALL_SECONDS:
                raise
