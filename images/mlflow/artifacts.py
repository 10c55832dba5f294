"""The artifacts as a tar stream, and their exchange for others in step with the database.

``pack`` writes them to standard output. ``stage ID SHA256`` unpacks that stream from standard input
beside them, where nothing reads it. The next start of the server takes what was staged, once the
database names the same ``ID``: whatever ends half-way, database and artifacts are both the old ones
or both the new ones. ``discard ID`` removes what was staged for nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tarfile
from pathlib import Path
from typing import BinaryIO

FOLDER = Path("/var/lib/mlflow/artifacts")
# What the database is called after a restore: a comment, which takes part in its transaction.
MARK = "restore "
_ID = re.compile("[0-9a-f]{32}")


def pack(folder: Path = FOLDER) -> None:
    """Write everything below ``folder``, but for what is deleted meanwhile."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        archive.add(folder, folder.name, recursive=False)
        for parent, folders, files in os.walk(folder):
            for name in sorted([*folders, *files]):
                _add(archive, Path(parent) / name, folder)


def _add(archive: tarfile.TarFile, path: Path, folder: Path) -> None:
    name = Path(folder.name) / path.relative_to(folder)
    try:
        # Opened first: a file that is deleted later can still be read.
        if path.is_symlink() or not path.is_file():
            archive.add(path, name, recursive=False)
            return
        with path.open("rb") as content:
            archive.addfile(archive.gettarinfo(arcname=str(name), fileobj=content), content)
    except FileNotFoundError:
        return


class _Hashed:
    """Reads a stream and hashes it: where it is cut off between two files, tar would not tell."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._digest = stream, hashlib.sha256()

    def read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self._digest.update(chunk)
        return chunk

    def whole(self) -> str:
        """The hash of all of it, once the rest is read."""
        while self.read(65_536):
            pass
        return self._digest.hexdigest()


def stage(identity: str, sha256: str, folder: Path = FOLDER) -> None:
    """Unpack a stream of ``pack`` for the restore ``identity``; all of it, or nothing is left."""
    stream = _Hashed(sys.stdin.buffer)
    staged, partial = _staged(identity, folder), folder.with_name("staging")
    for left in (partial, *folder.parent.glob("restored-*")):
        shutil.rmtree(left, ignore_errors=True)
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            archive.extractall(partial, filter="data")
        if stream.whole() != sha256:
            raise tarfile.TarError("they did not arrive as they were sent")
        (partial / folder.name).rename(staged)
    except (OSError, tarfile.TarError) as error:
        sys.exit(f"the artifacts cannot be unpacked: {getattr(error, 'strerror', None) or error}")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def discard(identity: str, folder: Path = FOLDER) -> None:
    """Remove what was staged for the restore ``identity``."""
    shutil.rmtree(_staged(identity, folder), ignore_errors=True)


def adopt(comment: str, folder: Path = FOLDER) -> bool:
    """Exchange ``folder`` for what was staged under the ID in the database's ``comment``.

    Returns whether there was such. An exchange that was killed goes on from there.
    """
    identity = comment.removeprefix(MARK)
    if not comment.startswith(MARK) or not _ID.fullmatch(identity):
        return False
    staged, replaced = _staged(identity, folder), folder.with_name("replaced")
    if not staged.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        return False
    if folder.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        folder.rename(replaced)
    staged.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
    return True


def _staged(identity: str, folder: Path) -> Path:
    if not _ID.fullmatch(identity):
        sys.exit(f"no id of a restore: {identity[:40]!r}")
    return folder.with_name(f"restored-{identity}")


if __name__ == "__main__":
    {"pack": pack, "stage": stage, "discard": discard}[sys.argv[1]](*sys.argv[2:])
