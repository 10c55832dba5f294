"""A restore with a real database and real artifacts: all of it, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import postgres
import pytest

from kindling import backup, paths, stores, workloads
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.stores import Stores

pytestmark = pytest.mark.skipif(postgres.programs() is None, reason="there is no PostgreSQL here")
_KUBECTL = """#!{python}
import json, os, subprocess, sys
words = sys.argv[3:]
with open({log!r}, "a") as log:
    log.write(" ".join(words[:3]) + "\\n")
if words[0] == "get":
    name = "mlflow" if "name=mlflow" in " ".join(words) else "postgresql"
    about = {{"name": name, "namespace": "kindling"}}
    ready = {{"conditions": [{{"type": "Ready", "status": "True"}}]}}
    scaled = [line for line in open({log!r}) if line.startswith("scale")]
    stopped = name == "mlflow" and scaled[-1:] == ["scale deployment/mlflow --replicas=0\\n"]
    # A pod takes its time to end.
    if stopped and not os.path.exists({log!r} + ".ending"):
        stopped = False
        open({log!r} + ".ending", "w").close()
    found = [] if stopped else [{{"metadata": about, "status": ready}}]
    print(json.dumps({{"items": found}}))
elif words[0] == "exec":
    command = words[words.index("--") + 1:]
    if command[0] == "python":
        code = (
            "import artifacts, pathlib, sys; _, name, *words, folder = sys.argv\\n"
            "getattr(artifacts, name)(*words, pathlib.Path(folder))"
        )
        words = [sys.executable, "-c", code, *command[2:], {artifacts!r}]
        sys.exit(subprocess.run(words, cwd={image!r}).returncode)
    sys.exit(subprocess.run([*{prefix!r}, *command], env={environment!r}, cwd="/").returncode)
"""
OLD = (
    "CREATE TABLE runs (run_uuid text PRIMARY KEY, name text);"
    "CREATE TABLE tags (run_uuid text, key text)"
)
NEWER = "CREATE TABLE later (run_uuid text REFERENCES runs); CREATE TYPE state AS ENUM ('a', 'b')"


class World:
    """A database, artifacts, and the cluster that they seem to be in."""

    def __init__(self, folder: Path, database: postgres.Postgres) -> None:
        self.database = database
        self.artifacts = folder / "volume" / "artifacts"
        self.artifacts.mkdir(parents=True)
        self.log = folder / "log"
        program = folder / "kubectl"
        program.write_text(
            _KUBECTL.format(
                python=sys.executable, log=str(self.log), artifacts=str(self.artifacts),
                image=str(paths.REPOSITORY / "images" / "mlflow"),
                prefix=postgres._words(), environment=database.environment,
            )
        )  # fmt: skip
        program.chmod(0o755)
        self.stores = Stores(Kubectl(program, folder, "c"), "kindling", "kindling", "http://x")

    def fill(self, version: str) -> None:
        self.database.sql(f"TRUNCATE runs CASCADE; INSERT INTO runs VALUES ('{version}', 'a run')")
        (self.artifacts / "model").write_text(version)

    def state(self) -> tuple[str, str]:
        """What the database and what the artifacts are of, once the server has started."""
        comment = (
            "select shobj_description(oid, 'pg_database') from pg_database where datname='mlflow'"
        )
        sys.path.insert(0, str(paths.REPOSITORY / "images" / "mlflow"))
        try:
            import artifacts
        finally:
            sys.path.pop(0)
        artifacts.adopt(self.database.sql(comment), self.artifacts)
        return self.database.sql("SELECT run_uuid FROM runs"), (
            self.artifacts / "model"
        ).read_text()

    @property
    def volume(self) -> list[str]:
        return sorted(path.name for path in self.artifacts.parent.iterdir())


@pytest.fixture(scope="module")
def database() -> Iterator[postgres.Postgres]:
    with postgres.postgres() as made:
        made.make()
        with made.started():
            made.sql("CREATE ROLE mlflow LOGIN; ALTER DATABASE mlflow OWNER TO mlflow", "postgres")
            yield made


@pytest.fixture
def world(tmp_path: Path, database: postgres.Postgres, monkeypatch: pytest.MonkeyPatch) -> World:
    """Filled with ``old``, of which there is a backup; then with ``new``, in a newer schema."""
    database.sql(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {OLD}")
    monkeypatch.setattr(workloads, "wait", lambda *_: {})
    made = World(tmp_path, database)
    made.fill("old")
    made.stores.dump(tmp_path / "database.dump")
    made.stores.pack(tmp_path / "artifacts.tar")
    made.fill("new")
    database.sql(f"{NEWER}; INSERT INTO later VALUES ('new')")
    return made


def restore(world: World, tmp_path: Path) -> None:
    world.stores.replace("0" * 32, tmp_path / "database.dump", tmp_path / "artifacts.tar")


def test_a_newer_schema_is_replaced_as_a_whole(world: World, tmp_path: Path) -> None:
    restore(world, tmp_path)
    assert world.state() == ("old", "old")
    tables = "SELECT string_agg(tablename, ' ' ORDER BY 1) FROM pg_tables WHERE schemaname='public'"
    assert world.database.sql(tables) == "runs tags"
    assert world.volume == ["artifacts"]


def test_artifacts_are_exchanged_once_the_database_is_in(world: World, tmp_path: Path) -> None:
    world.log.write_text("")
    restore(world, tmp_path)
    calls = [line for line in world.log.read_text().splitlines() if not line.startswith("get")]
    assert calls == [
        "exec --stdin --namespace=kindling",
        "scale deployment/mlflow --replicas=0",
        "exec --stdin --namespace=kindling",
        "scale deployment/mlflow --replicas=1",
    ]
    # Not by the command: a server that starts late finds both, or neither.
    assert (world.artifacts / "model").read_text() == "new"
    assert world.state() == ("old", "old")


def test_a_backup_of_what_was_restored_is_restored_too(world: World, tmp_path: Path) -> None:
    restore(world, tmp_path)
    world.state()
    world.stores.dump(tmp_path / "database.dump")
    world.stores.pack(tmp_path / "artifacts.tar")
    world.fill("new")
    world.stores.replace("1" * 32, tmp_path / "database.dump", tmp_path / "artifacts.tar")
    assert world.state() == ("old", "old")


@pytest.mark.parametrize("part", ["database.dump", "artifacts.tar"])
@pytest.mark.parametrize("kept", [0, 0.1])
def test_what_is_cut_off_changes_nothing(
    world: World, tmp_path: Path, part: str, kept: float
) -> None:
    whole = (tmp_path / part).read_bytes()
    (tmp_path / part).write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(KindlingError, match=r"pod (mlflow|postgresql): "):
        restore(world, tmp_path)
    assert world.state() == ("new", "new")
    assert world.volume == ["artifacts"]
    scaled = [line for line in world.log.read_text().splitlines() if "scale" in line]
    assert scaled[-1:] in ([], ["scale deployment/mlflow --replicas=1"])


def test_a_command_that_ends_half_way_lets_mlflow_run_with_what_was_there(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Stores._run

    def interrupted(self: Stores, workload: str, *words: str, **files: Any) -> None:
        if stores._RESTORE in words:
            raise KeyboardInterrupt
        run(self, workload, *words, **files)

    monkeypatch.setattr(Stores, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restore(world, tmp_path)
    assert "scale deployment/mlflow --replicas=1" in world.log.read_text()
    assert world.state() == ("new", "new")
    assert world.volume == ["artifacts"]


def test_a_transfer_that_stalls_is_ended(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_STALL_SECONDS", 0.3)
    monkeypatch.setattr(stores, "_DUMP", "exec sleep 60")
    with pytest.raises(KindlingError, match=r"no byte was transferred for 0\.3 s"):
        world.stores.dump(tmp_path / "dump")


def test_mlflow_that_does_not_end_is_left_with_what_it_has(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_GONE_SECONDS", -1)
    with pytest.raises(KindlingError, match="pod mlflow has not ended"):
        restore(world, tmp_path)
    assert world.state() == ("new", "new")
    assert world.volume == ["artifacts"]


def test_own_runs_are_counted(world: World) -> None:
    assert world.stores.has_own_runs()
    world.database.sql("INSERT INTO tags VALUES ('new', 'kindling.sample')")
    assert not world.stores.has_own_runs()


def test_runs_of_ones_own_are_replaced_only_if_that_is_said(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(Stores, "connect", lambda _: world.stores)
    world.fill("old")
    file = tmp_path / "b.tar"
    assert backup.main(["backup", str(file)]) == 0
    assert file.stat().st_mode & 0o077 == 0
    world.fill("new")
    assert backup.main(["restore", str(file)]) == 1
    assert "MLflow holds runs of yours" in capsys.readouterr().err
    assert world.state() == ("new", "new")
    assert backup.main(["restore", str(file), "--replace"]) == 0
    assert world.state() == ("old", "old")
