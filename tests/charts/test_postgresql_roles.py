"""The roles and passwords of the database, by the chart's own script, in a real PostgreSQL."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import postgres
import pytest
from postgres import Postgres

from kindling import paths

pytestmark = pytest.mark.skipif(postgres.programs() is None, reason="there is no PostgreSQL here")
SCRIPT = (
    (paths.REPOSITORY / "charts" / "postgresql" / "files" / "roles.sh")
    .read_text()
    # As Kubernetes does in a container's command.
    .replace("$$", "$")
)
TABLES = """
CREATE TYPE state AS ENUM ('a');
CREATE TABLE runs (id serial PRIMARY KEY, state state);
CREATE SEQUENCE own;
CREATE VIEW seen AS SELECT id FROM runs;
INSERT INTO runs (state) VALUES ('a');
"""


@pytest.fixture
def database() -> Iterator[Postgres]:
    """An empty volume, and the entrypoint that our image has."""
    with postgres.postgres() as made:
        dockerfile = (paths.REPOSITORY / "images" / "postgres" / "Dockerfile").read_text()
        (entrypoint,) = re.findall(r"docker-entrypoint\.sh\n(#!.*?)\nEND\n", dockerfile, re.S)
        # The locale of this machine's PostgreSQL, and no wait for its disk.
        entrypoint = entrypoint.replace("initdb ", "initdb --no-sync ")
        program = made.folder / "docker-entrypoint.sh"
        program.write_text(entrypoint)
        program.chmod(0o755)
        (made.folder / "passwords").mkdir()
        yield made


def start(database: Postgres, **passwords: str) -> None:
    """What the container before the server does; ``exporter`` is none without its password."""
    folder = database.folder / "passwords"
    for name, value in passwords.items():
        (folder / name).write_text(value)
    path = f"{database.folder}:{database.environment['PATH']}"
    done = database.run(
        "sh", "-c", SCRIPT, check=False, PATH=path, PASSWORDS=str(folder),
        POSTGRES_PASSWORD_FILE=str(folder / "superuser"),
        EXPORTER="exporter" if "exporter" in passwords else "",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@contextmanager
def served(database: Postgres) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with database.started(port):
        yield port


def query(database: Postgres, port: int, user: str, password: str, sql: str) -> str:
    """As another pod does it, over TCP."""
    done = database.run(
        "psql", "--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1",
        f"--username={user}", f"--port={port}", "--host=127.0.0.1", "mlflow",
        stdin=sql, check=False, PGPASSWORD=password,
    )  # fmt: skip
    return (done.stdout + done.stderr).strip()


ROLES = (
    "SELECT string_agg(rolname || ' ' || rolsuper, ', ' ORDER BY rolname)"
    " FROM pg_roles WHERE rolcanlogin"
)


def test_a_new_volume_gets_an_owner_who_is_no_superuser(database: Postgres) -> None:
    start(database, superuser="s", password="it's $1", exporter="e")
    with served(database) as port:
        assert query(database, port, "mlflow", "it's $1", TABLES).endswith("INSERT 0 1")
        assert query(database, port, "mlflow", "it's $1", ROLES) == (
            "exporter false, mlflow false, postgres true"
        )
        assert "permission denied" in query(database, port, "exporter", "e", "TABLE runs")
        activity = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%insufficient%'"
        assert query(database, port, "exporter", "e", activity) == "1"
        assert "authentication failed" in query(database, port, "postgres", "it's $1", ROLES)
        assert "external program" in query(
            database, port, "mlflow", "it's $1", "COPY (SELECT 1) TO PROGRAM 'true'"
        )


def test_each_start_takes_the_passwords_of_the_secret(database: Postgres) -> None:
    start(database, superuser="s", password="first", exporter="e")
    start(database, superuser="s2", password="second", exporter="e2")
    with served(database) as port:
        assert "authentication failed" in query(database, port, "mlflow", "first", "SELECT 1")
        for user, password in {"mlflow": "second", "exporter": "e2", "postgres": "s2"}.items():
            assert query(database, port, user, password, "SELECT 1") == "1"


def test_a_volume_whose_owner_was_the_superuser_is_brought_up_to_date(
    database: Postgres, tmp_path: Path
) -> None:
    database.make(superuser="mlflow")
    hba = database.data / "pg_hba.conf"
    hba.write_text("local all all trust\nhost all all all scram-sha-256\n")
    with database.started():
        database.sql(TABLES)
    for _ in range(2):
        start(database, superuser="s", password="p", exporter="e")
    with served(database) as port:
        assert query(database, port, "mlflow", "p", ROLES) == (
            "exporter false, mlflow false, postgres true"
        )
        change = "ALTER TABLE runs ADD note text; INSERT INTO runs (state) VALUES ('a');"
        drop = "SELECT count(*) FROM seen; SELECT nextval('own'); DROP SCHEMA public CASCADE;"
        said = query(database, port, "mlflow", "p", change + drop)
        assert "ERROR" not in said, said
        assert "2\n1" in said


def test_without_the_exporter_it_has_no_role(database: Postgres) -> None:
    start(database, superuser="s", password="p")
    with served(database) as port:
        assert query(database, port, "mlflow", "p", ROLES) == "mlflow false, postgres true"
