"""``backup`` and ``restore`` of a cluster's MLflow: its database and its artifacts in one file.

The file is a tar archive of ``database.dump`` (PostgreSQL's custom format), ``artifacts.tar`` and
``backup.json``, which holds the SHA-256 of both. The database is dumped first: an artifact that
came later is then there without being known, but none that is known is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kindling import cluster, cluster_setup, settings, workloads
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.model_registry import SAMPLE_TAG
from kindling.registry_access import access

_DATABASE, _ARTIFACTS, _ABOUT = "database.dump", "artifacts.tar", "backup.json"
_FORMAT = 1
_READY_SECONDS = 180
# As the database's own user, by the names that its container was given.
_DUMP = 'exec pg_dump --format=custom --username="$POSTGRES_USER" "$POSTGRES_DB"'
_RESTORE = (
    "exec pg_restore --clean --if-exists --no-owner --exit-on-error --single-transaction "
    '--username="$POSTGRES_USER" --dbname="$POSTGRES_DB"'
)
# Only what cluster-up itself makes is replaced unasked.
_OWN_RUNS = (
    "select count(*) from runs where not exists (select 1 from tags"  # noqa: S608
    f" where tags.run_uuid = runs.run_uuid and tags.key = '{SAMPLE_TAG}')"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the first word says. Returns 0, or 1 with a message on standard error."""
    command, *words = sys.argv[1:] if argv is None else argv
    options = _arguments(command, words)
    try:
        name = settings.load(options.inventory, options.set).cluster_name
        access(name)
        known = cluster.known(name)
        stores = _Stores(cluster_setup.kubectl(known))
        if command == "backup":
            _backup(stores, options.file)
        else:
            _restore(stores, options.file, replace=options.replace, known=known)
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    return 0


class _Stores:
    """The pods that hold the database and the artifacts."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl
        self.database = self._pod("postgresql")
        self.mlflow = self._pod("mlflow")

    def _pod(self, name: str) -> tuple[str, str]:
        pods = self.kubectl.items(
            "pods", "--all-namespaces",
            f"--selector=app.kubernetes.io/name={name},app.kubernetes.io/part-of=kindling",
        )  # fmt: skip
        for pod in pods:
            states = pod["status"].get("conditions", [])
            if any(one["type"] == "Ready" and one["status"] == "True" for one in states):
                return pod["metadata"]["namespace"], pod["metadata"]["name"]
        raise KindlingError(f"no pod of {name} is ready", next_step="nox -s status")

    def run(
        self,
        pod: tuple[str, str],
        *words: str,
        source: Path | None = None,
        target: Path | None = None,
    ) -> None:
        """Run ``words`` in ``pod`` with its input from, or its output to, a file."""
        namespace, name = pod
        stdin = ["--stdin"] if source else []
        command = self.kubectl.command(
            "exec", *stdin, f"--namespace={namespace}", name, "--", *words
        )
        with (
            (source or Path(os.devnull)).open("rb") as given,
            (target or Path(os.devnull)).open("wb") as taken,
        ):
            done = subprocess.run(command, stdin=given, stdout=taken, stderr=subprocess.PIPE)
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
            raise KindlingError(f"pod {name}: {' '.join(last)}", next_step="nox -s status")

    def has_own_runs(self) -> bool:
        """Whether there are runs beside those of the sample models."""
        count = (
            f'exec psql --tuples-only --username="$POSTGRES_USER" "$POSTGRES_DB" -c "{_OWN_RUNS}"'
        )
        namespace, name = self.database
        said = self.kubectl.check("exec", f"--namespace={namespace}", name, "--", "sh", "-c", count)
        return int(said) > 0


def _backup(stores: _Stores, file: Path | None) -> None:
    file = file or Path(f"kindling-backup-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar")
    if file.exists():
        raise KindlingError(f"{file} is there already", next_step="name another file")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".backup-") as scratch:
            folder = Path(scratch)
            stores.run(stores.database, "sh", "-c", _DUMP, target=folder / _DATABASE)
            stores.run(stores.mlflow, "python", "artifacts.py", "pack", target=folder / _ARTIFACTS)
            hashes = {part: _sha256(folder / part) for part in (_DATABASE, _ARTIFACTS)}
            about = {"format": _FORMAT, "made": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                     "sha256": hashes}  # fmt: skip
            (folder / _ABOUT).write_text(json.dumps(about, indent=2) + "\n")
            whole = folder / "whole.tar"
            # Hashes of passwords are in the database.
            whole.touch(mode=0o600)
            with tarfile.open(whole, "w") as archive:
                for part in (_ABOUT, _DATABASE, _ARTIFACTS):
                    archive.add(folder / part, part)
            whole.replace(file)
    except OSError as error:
        raise KindlingError(f"{file} cannot be written: {error.strerror}") from error
    size = file.stat().st_size / 2**20
    print(f"wrote {file} ({size:.1f} MiB)\n\nnext: nox -s restore -- {file}")


def _restore(stores: _Stores, file: Path, *, replace: bool, known: dict[str, Any]) -> None:
    if stores.has_own_runs() and not replace:
        raise KindlingError(
            "MLflow holds runs of yours, which a restore replaces",
            next_step=f"nox -s backup, then nox -s restore -- {file} --replace",
        )
    with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=".restore-") as scratch:
        folder = Path(scratch)
        _unpack(file, folder)
        stores.run(stores.mlflow, "python", "artifacts.py", "unpack", source=folder / _ARTIFACTS)
        stores.run(stores.database, "sh", "-c", _RESTORE, source=folder / _DATABASE)
    # Its start brings an older database up to date and sets this cluster's passwords.
    namespace, pod = stores.mlflow
    stores.kubectl.check("delete", "pod", pod, f"--namespace={namespace}", "--wait=true")
    workloads.wait(
        stores.kubectl,
        [
            workloads.Workload("Deployment", "mlflow", namespace),
            workloads.Workload("URL", f"http://127.0.0.1:{known['ports']['mlflow']}/health"),
        ],
        _READY_SECONDS,
    )
    print(f"restored {file}\n\nnext: nox -s models")


def _unpack(file: Path, folder: Path) -> None:
    """Extract the three parts of ``file``, and no others, once their hashes are right."""
    broken = KindlingError(f"{file} is not a backup of Kindling's, or is damaged")
    try:
        with tarfile.open(file) as archive:
            for part in (_ABOUT, _DATABASE, _ARTIFACTS):
                _extract(archive, part, folder)
        about = json.loads((folder / _ABOUT).read_text())
        intact = about["format"] == _FORMAT and all(
            _sha256(folder / part) == about["sha256"][part] for part in (_DATABASE, _ARTIFACTS)
        )
    except FileNotFoundError:
        raise KindlingError(f"there is no file {file}") from None
    except (tarfile.TarError, OSError, ValueError, KeyError, TypeError):
        raise broken from None
    if not intact:
        raise broken


def _extract(archive: tarfile.TarFile, part: str, folder: Path) -> None:
    """Write the content of one part, whatever else the archive says of it."""
    content = archive.extractfile(part)
    if content is None:
        raise tarfile.TarError(f"{part} is no file")
    with content, (folder / part).open("wb") as out:
        shutil.copyfileobj(content, out)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _arguments(command: str, words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"nox -s {command} --", allow_abbrev=False)
    settings.add_arguments(parser)
    if command == "backup":
        parser.add_argument("file", type=Path, nargs="?", help="by default named after the time")
    else:
        parser.add_argument("file", type=Path, help="what `nox -s backup` wrote")
        parser.add_argument(
            "--replace", action="store_true", help="also if MLflow holds runs of yours"
        )
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
