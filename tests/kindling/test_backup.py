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


def test_what_is_no_archive_or_not_there_is_named(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("notes")
    with pytest.raises(KindlingError, match=r"notes\.txt is not a backup"):
        backup._unpack(other, tmp_path)
    with pytest.raises(KindlingError, match=r"there is no file .*none\.tar"):
        backup._unpack(tmp_path / "none.tar", tmp_path)
