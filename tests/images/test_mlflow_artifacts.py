"""MLflow's artifacts as a stream, while others delete, and their exchange in a restore."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from kindling import paths

ID = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def artifacts() -> Iterator[ModuleType]:
    sys.path.insert(0, str(paths.REPOSITORY / "images" / "mlflow"))
    yield importlib.import_module("artifacts")
    sys.path.pop(0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "volume" / "artifacts"
    (made / "1" / "empty").mkdir(parents=True)
    for name in ("a", "b", "c"):
        (made / "1" / name).write_text(f"of {name}")
    return made


def packed(artifacts: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=stream))
    artifacts.pack(folder)
    return stream.getvalue()


def stage(
    artifacts: ModuleType,
    content: bytes,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    sha256: str = "",
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    artifacts.stage(ID, sha256 or hashlib.sha256(content).hexdigest(), folder)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def volume(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir())


def test_what_is_packed_comes_back(
    artifacts: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, content = names(folder), packed(artifacts, folder, monkeypatch)
    (folder / "1" / "a").write_text("changed")
    (folder / "later").write_text("later")
    stage(artifacts, content, folder, monkeypatch)
    assert (folder / "later").exists(), "what was there must stay until the database is in"
    assert artifacts.adopt(f"restore {ID}", folder)
    assert names(folder) == before
    assert (folder / "1" / "a").read_text() == "of a"
    assert volume(folder) == ["artifacts"]


def test_what_is_deleted_meanwhile_is_left_out(
    artifacts: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a drift report is, whose time is over."""
    walk = os.walk

    def deleting(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        for parent, folders, files in walk(top):
            if "b" in files:
                (folder / "1" / "b").unlink()
                (folder / "1" / "empty").rmdir()
            yield parent, folders, files

    monkeypatch.setattr(artifacts.os, "walk", deleting)
    content = packed(artifacts, folder, monkeypatch)
    stage(artifacts, content, folder, monkeypatch)
    artifacts.adopt(f"restore {ID}", folder)
    assert names(folder) == ["1", "1/a", "1/c"]


@pytest.mark.parametrize("comment", ["", "mine", f"restore {'0' * 32}", "restore ../../etc"])
def test_without_its_mark_in_the_database_nothing_is_exchanged(
    artifacts: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, comment: str
) -> None:
    content = packed(artifacts, folder, monkeypatch)
    stage(artifacts, content, folder, monkeypatch)
    (folder / "1" / "a").write_text("newer")
    assert not artifacts.adopt(comment, folder)
    assert (folder / "1" / "a").read_text() == "newer"
    artifacts.discard(ID, folder)
    assert volume(folder) == ["artifacts"]


def test_an_exchange_that_was_killed_half_way_goes_on(
    artifacts: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = packed(artifacts, folder, monkeypatch)
    stage(artifacts, content, folder, monkeypatch)
    (folder / "1" / "a").write_text("newer")
    folder.rename(folder.with_name("replaced"))
    assert artifacts.adopt(f"restore {ID}", folder)
    assert (folder / "1" / "a").read_text() == "of a"
    assert not artifacts.adopt(f"restore {ID}", folder)
    assert volume(folder) == ["artifacts"]


def test_a_stream_that_is_cut_off_between_two_files_is_refused(
    artifacts: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = packed(artifacts, folder, monkeypatch)
    digest = hashlib.sha256(content).hexdigest()
    # Between two members tar itself sees nothing wrong.
    for cut in range(0, len(content), 512):
        with pytest.raises(SystemExit, match="the artifacts cannot be unpacked: "):
            stage(artifacts, content[:cut], folder, monkeypatch, digest)
        assert volume(folder) == ["artifacts"]


def test_a_full_disk_leaves_what_was_there(
    artifacts: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = packed(artifacts, folder, monkeypatch)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifacts.tarfile.TarFile, "extractall", full)
    with pytest.raises(SystemExit, match="No space left on device"):
        stage(artifacts, content, folder, monkeypatch)
    assert volume(folder) == ["artifacts"]


def test_the_server_takes_what_was_staged_before_it_looks_at_the_database() -> None:
    source = (paths.REPOSITORY / "images" / "mlflow" / "serve.py").read_text()
    assert source.index("artifacts.adopt(") < source.index("upgrade.main(")
