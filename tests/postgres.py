"""A PostgreSQL of a test's own, on a socket of its own, where the machine has its programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# It refuses to run as root.
_AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``: Debian keeps them out of the path."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return Path(found).resolve().parent if found else next(reversed(folders), None)


@dataclass(frozen=True)
class Postgres:
    """A folder for one database cluster, and how its programs are run."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def environment(self) -> dict[str, str]:
        """What a container of the chart has, and where the socket is."""
        folder = programs()
        assert folder is not None
        return {
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "PGHOST": str(self.folder),
            "PGDATA": str(self.data),
            "POSTGRES_USER": "postgres",
            "POSTGRES_DB": "mlflow",
            "DATABASE_OWNER": "mlflow",
        }

    def run(
        self, *words: str, stdin: str = "", check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*_words(), *words], input=stdin, capture_output=True, text=True, check=check,
            env={**self.environment, **environment}, cwd=self.folder, timeout=60,
        )  # fmt: skip

    def sql(self, query: str, user: str = "mlflow") -> str:
        """What a query says, in the database that the chart makes."""
        words = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")
        return self.run("psql", *words, f"--username={user}", "mlflow", stdin=query).stdout.strip()

    def make(self, superuser: str = "postgres") -> None:
        self.run(
            "initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
            f"--username={superuser}", f"--pgdata={self.data}",
        )  # fmt: skip
        make = 'CREATE DATABASE "mlflow"\n'
        self.run("postgres", "--single", "-F", "-D", str(self.data), "postgres", stdin=make)

    @contextmanager
    def started(self, port: int = 0) -> Iterator[None]:
        """A server at the socket, and at ``port`` of loopback if one is given."""
        address = f"-p {port} -c listen_addresses=127.0.0.1" if port else "-c listen_addresses=''"
        options = f"-F {address} -k {self.folder}"
        log = f"--log={self.folder / 'log'}"
        self.run("pg_ctl", "start", "--wait", log, f"--options={options}")
        try:
            yield
        finally:
            self.run("pg_ctl", "stop", "--mode=immediate")


@contextmanager
def postgres() -> Iterator[Postgres]:
    """An empty folder for one, short enough for a socket's path."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
        yield Postgres(Path(folder))


def _words() -> Sequence[str]:
    return _AS_NOBODY if os.geteuid() == 0 else ()
