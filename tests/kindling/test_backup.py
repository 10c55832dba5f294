"""What a restore accepts as a backup."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from kindling import backup
from kindling.errors import KindlingError

PARTS = {"database.dump": b"rows", "artifacts.tar": b"files"}


def write(file: Path, parts: dict[str, bytes], **about: object) -> Path:
    import hashlib

    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in PARTS.items()}
    told = {"format": 1, "made": "now", "sha256": hashes, **about}
    with tarfile.open(file, "w") as archive:
        for name, content in {"backup.json": json.dumps(told).encode(), **parts}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def test_only_the_parts_of_a_backup_are_unpacked(tmp_path: Path) -> None:
    file = write(tmp_path / "b.tar", {**PARTS, "../outside": b"x", "more": b"x"})
    folder = tmp_path / "to"
    folder.mkdir()
    backup._unpack(file, folder)
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["artifacts.tar", "b.tar", "backup.json", "database.dump"]


@pytest.mark.parametrize(
    ("parts", "about"),
    [
        ({**PARTS, "database.dump": b"other"}, {}),
        ({**PARTS, "artifacts.tar": b"cut"}, {}),
        ({"database.dump": b"rows"}, {}),
        (PARTS, {"format": 2}),
        (PARTS, {"sha256": {}}),
        (PARTS, {"sha256": None}),
    ],
)
def test_a_damaged_one_is_refused(
    tmp_path: Path, parts: dict[str, bytes], about: dict[str, object]
) -> None:
    with pytest.raises(KindlingError, match=r"b\.tar is not a backup of Kindling's, or is damaged"):
        backup._unpack(write(tmp_path / "b.tar", parts, **about), tmp_path)


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("notes")
    with pytest.raises(KindlingError, match=r"notes\.txt is not a backup"):
        backup._unpack(other, tmp_path)


def test_a_full_disk_is_not_a_damaged_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup.shutil, "copyfileobj", full)
    with pytest.raises(KindlingError, match="unpacked beside itself: No space left on device"):
        backup._unpack(write(tmp_path / "b.tar", PARTS), tmp_path)


def test_files_are_looked_at_before_anything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there.tar"
    there.touch()
    assert backup.main(["restore", str(tmp_path / "none.tar")]) == 1
    assert f"there is no file {tmp_path / 'none.tar'}" in capsys.readouterr().err
    assert backup.main(["backup", str(there)]) == 1
    assert f"{there} is there already" in capsys.readouterr().err


def test_a_backup_is_not_written_where_nobody_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        backup.main(["backup"])
    assert "the following arguments are required: FILE" in capsys.readouterr().err
