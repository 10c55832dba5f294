"""``mlflow server`` on PostgreSQL: brings the database up to this version and sets passwords first.

The environment says where the database is (``DATABASE_HOST``, ``_PORT``, ``_NAME``, ``_USER``,
``_PASSWORD``), which passwords hold (``ADMIN_PASSWORD``; ``READER_USERNAME`` and
``READER_PASSWORD`` for an account without rights of its own) and what others may do by default
(``DEFAULT_PERMISSION``). Arguments go to ``mlflow server``. Metrics of all its workers are on a
port of their own (``METRICS_PORT``), without authentication.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, MutableMapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import quote

import artifacts
import logs

_log = logging.getLogger("mlflow.serve")
_METRICS = Path(tempfile.gettempdir()) / "metrics"
_LOG_CONFIG = Path(tempfile.gettempdir()) / "uvicorn.json"
# As long as the chart's startup probe: a database that makes itself on a slow disk takes minutes.
_WAIT_SECONDS = 900.0
_CACHE_SECONDS = 60


def main(arguments: list[str]) -> int:
    """Prepare the database, then serve until told to stop."""
    env = os.environ
    logs.configure()
    _serve_metrics(int(env["METRICS_PORT"]), env)
    url = database_url(env)
    env["MLFLOW_AUTH_CONFIG_PATH"] = str(_auth_config(url, env["DEFAULT_PERMISSION"]))
    # Only now: the authentication module reads its configuration when it is imported.
    from mlflow.cli import cli
    from mlflow.db import upgrade
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    logs.configure()
    if not _answers(url):
        return 1
    if artifacts.adopt(_comment(url)):
        _log.info("the artifacts of a restored backup are in place")
    # First, and in this order: it takes a database that has any table for one that has all.
    upgrade.main([url], standalone_mode=False)
    users = SqlAlchemyStore()
    users.init_db(url)
    _user(users, "admin", env["ADMIN_PASSWORD"], admin=True)
    _user(users, env["READER_USERNAME"], env["READER_PASSWORD"], admin=False)
    _LOG_CONFIG.write_text(json.dumps(logs.UVICORN))
    uvicorn = f"--log-config={_LOG_CONFIG} --no-access-log"
    words = ["--app-name=observed", f"--uvicorn-opts={uvicorn}", f"--backend-store-uri={url}"]
    with redirect_stdout(logs.Lines(_log)), redirect_stderr(logs.Lines(_log)):
        # Within this process: an argument of another one could be read by whoever lists processes.
        cli.main(["server", *words, *arguments], standalone_mode=False)
    return 0


def database_url(env: Mapping[str, str]) -> str:
    """Where the database is, with the password."""
    user, password = quote(env["DATABASE_USER"]), quote(env["DATABASE_PASSWORD"], safe="")
    where = f"{env['DATABASE_HOST']}:{env['DATABASE_PORT']}/{env['DATABASE_NAME']}"
    return f"postgresql://{user}:{password}@{where}"


def _serve_metrics(port: int, env: MutableMapping[str, str]) -> None:
    """Answer scrapes from what the workers leave in a folder; this process handles no requests."""
    # What a container before this one left in the pod's volume.
    shutil.rmtree(_METRICS, ignore_errors=True)
    _METRICS.mkdir()
    # Only now: the library reads it when it is imported.
    env["PROMETHEUS_MULTIPROC_DIR"] = str(_METRICS)
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    start_http_server(port, registry=registry)


def _answers(url: str) -> bool:
    import psycopg

    deadline, said = time.monotonic() + _WAIT_SECONDS, ""
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                _log.error("no database after %g s: %s", _WAIT_SECONDS, error)
                return False
            if str(error) != said:
                said = str(error)
                _log.warning("waiting for the database: %s", said)
            time.sleep(0.5)
        else:
            return True


def _comment(url: str) -> str:
    """What the database is called: a restore leaves its id there."""
    import psycopg

    query = (
        "select shobj_description(oid, 'pg_database') from pg_database"
        " where datname = current_database()"
    )
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return (row[0] if row else None) or ""


def _user(users: Any, name: str, password: str, *, admin: bool) -> None:
    """Make the account, or give it this password: a restored database has others."""
    if not users.has_user(name):
        users.create_user(name, password, is_admin=admin)
    elif not users.authenticate_user(name, password):
        users.update_user(name, password=password)


def _auth_config(url: str, default_permission: str) -> Path:
    descriptor, name = tempfile.mkstemp(suffix=".ini")
    with os.fdopen(descriptor, "w") as file:
        file.write(
            f"[mlflow]\ndatabase_uri = {url.replace('%', '%%')}\n"
            f"default_permission = {default_permission}\nadmin_username = admin\n"
            # Hashing a password takes fifty times as long as what most requests ask for.
            f"auth_cache_ttl_seconds = {_CACHE_SECONDS}\n"
        )
    return Path(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
