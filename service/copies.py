"""Copies of the models on disk, so that a restart needs no registry."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from service.digests import Digests, folder_name, matches, parse_digests
from service.errors import ModelInvalidError, ModelRefusedError, ModelUnavailableError
from service.package import VERSION_PATTERN

_NOTE = "current.json"
_NEW = ".new-"


@dataclass(frozen=True)
class Copy:
    """A version whose files are in ``folder``, with the digests that they were checked against."""

    version: str
    digests: Digests
    folder: Path


class _Note(BaseModel):
    version: Annotated[str, Field(pattern=f"^{VERSION_PATTERN}$")]
    sha256: Digests


class Copies:
    """The folder ``root``: a folder for each model, in it one for each version kept. All blocks.

    They hold ``max_bytes`` together at most; 0 is no bound.
    """

    def __init__(self, root: Path, *, max_bytes: int = 0) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._used_bytes = 0
        self._lock = threading.Lock()
        # Of this process, until they are discarded.
        self._workspaces: set[Path] = set()

    def current(self, name: str) -> Copy | None:
        """The copy last noted, if any. Raises ModelInvalidError if it is not what it was."""
        try:
            note = _Note.model_validate_json((self._root / name / _NOTE).read_bytes())
            digests = parse_digests(json.dumps(note.sha256))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError, ModelRefusedError):
            raise ModelInvalidError(f"{_NOTE} of the copy cannot be read") from None
        copy = self.find(name, note.version, digests)
        if copy is None:
            raise ModelInvalidError(f"the copy of version {note.version} is damaged")
        return copy

    def find(self, name: str, version: str, digests: Digests) -> Copy | None:
        """The copy of this version, if there is one and its content is still right."""
        copy = self._copy(name, version, digests)
        return copy if matches(copy.folder, digests) else None

    def workspace(self, name: str) -> Path:
        """A new folder to download into. What an earlier process left of its own goes."""
        folder = self._root / name
        folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            for left in set(folder.glob(f"{_NEW}*")) - self._workspaces:
                shutil.rmtree(left, ignore_errors=True)
            workspace = Path(tempfile.mkdtemp(prefix=_NEW, dir=folder))
            self._workspaces.add(workspace)
            self._used_bytes = _size(self._root)
        return workspace

    def discard_workspace(self, workspace: Path) -> None:
        """Remove a workspace and what is left in it: nothing, if it was kept."""
        discard(workspace)
        with self._lock:
            self._workspaces.discard(workspace)

    def reserve(self, size: int) -> None:
        """Take ``size`` more bytes for a file in a workspace. Raises ModelUnavailableError.

        Where there is no room for them, spare copies of any model go, the oldest first.
        """
        if not self._max_bytes:
            return
        with self._lock:
            if self._used_bytes + size > self._max_bytes:
                self._make_room(size)
            self._used_bytes += size
            if self._used_bytes > self._max_bytes:
                raise ModelUnavailableError(
                    f"copies of models may take {self._max_bytes} bytes, and with it take more"
                )

    def _make_room(self, size: int) -> None:
        self._used_bytes = _size(self._root)
        spare = sorted(self._spare(), key=lambda path: path.stat().st_mtime)
        while spare and self._used_bytes + size > self._max_bytes:
            discard(spare.pop(0))
            self._used_bytes = _size(self._root)

    def _spare(self) -> Iterator[Path]:
        """The copies that no restart serves."""
        for note in self._root.glob(f"*/{_NOTE}"):
            current = json.loads(note.read_text())["folder"]
            yield from (one for one in note.parent.glob("[!.]*/") if one.name != current)

    def keep(self, name: str, version: str, digests: Digests, workspace: Path) -> Copy:
        """Make the checked content of ``workspace`` the copy of this version."""
        copy = self._copy(name, version, digests)
        discard(copy.folder)
        workspace.rename(copy.folder)
        return copy

    def note(self, name: str, copy: Copy) -> None:
        """Make ``copy`` the one that a restart serves, and keep just one more beside it."""
        folder = self._root / name
        note = {"version": copy.version, "folder": copy.folder.name, "sha256": copy.digests}
        new = folder / f"{_NEW}{_NOTE}"
        new.write_text(json.dumps(note), encoding="utf-8")
        new.replace(folder / _NOTE)
        self._prune(folder, copy.folder)

    def spare(self, name: str, copy: Copy) -> None:
        """Make ``copy`` the one that is kept beside that which a restart serves."""
        # The time of the folder is the time when it was last served.
        os.utime(copy.folder)
        folder = self._root / name
        note = json.loads((folder / _NOTE).read_text())
        self._prune(folder, folder / note["folder"])

    def drop(self, name: str) -> None:
        """Remove all copies of a model."""
        discard(self._root / name)

    def _prune(self, folder: Path, current: Path) -> None:
        os.utime(current)
        others = [path for path in folder.glob("[!.]*/") if path != current]
        for older in sorted(others, key=lambda path: path.stat().st_mtime)[:-1]:
            discard(older)

    def _copy(self, name: str, version: str, digests: Digests) -> Copy:
        return Copy(version, digests, self._root / name / folder_name(version, digests))


def _size(folder: Path) -> int:
    """Bytes that all below ``folder`` takes on disk, but for what goes meanwhile."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            size += path.lstat().st_blocks * 512
    return size


def discard(folder: Path) -> None:
    """Remove a folder, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)
