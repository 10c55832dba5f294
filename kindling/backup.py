"""``backup`` and ``restore`` of a cluster's MLflow: its database and its artifacts in one file.

The file is a tar archive of ``database.dump`` (PostgreSQL's custom format), ``artifacts.tar`` and
``backup.json``, which holds the SHA-256 of both. The database is dumped first: an artifact that
came later is then there without being known, but none that is known is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import signal
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from kindling import lock, paths, settings
from kindling.errors import KindlingError
from kindling.stores import Stores

_DATABASE, _ARTIFACTS, _ABOUT = "database.dump", "artifacts.tar", "backup.json"
_FORMAT = 1
_LOCK_TIMEOUT_SECONDS = 30.0


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the first word says. Returns 0, 1 with a message on standard error, or 130."""
    command, *words = sys.argv[1:] if argv is None else argv
    options = _arguments(command, words)
    # SIGTERM too, so that MLflow runs again; SIGINT is ignored where a script started this.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        if command == "backup":
            _check_absent(options.file)
            _backup(Stores.connect(options), options.file)
        else:
            _check_present(options.file)
            _restore(options)
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nox -s status tells whether MLflow runs", file=sys.stderr)
        return 130
    return 0


def _check_absent(file: Path) -> None:
    if file.exists():
        raise KindlingError(f"{file} is there already", next_step="name another file")


def _check_present(file: Path) -> None:
    if not file.is_file():
        raise KindlingError(
            f"there is no file {file}", next_step="name a file that `nox -s backup` wrote"
        )


def _backup(stores: Stores, file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".backup-") as scratch:
            folder = Path(scratch)
            stores.dump(folder / _DATABASE)
            stores.pack(folder / _ARTIFACTS)
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
        raise KindlingError(
            f"{file} cannot be written: {error.strerror}", next_step="name another file"
        ) from error
    size = file.stat().st_size / 2**20
    print(f"wrote {file} ({size:.1f} MiB)\n\nnext: nox -s restore -- {file}")


def _restore(options: argparse.Namespace) -> None:
    file = options.file
    with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=".restore-") as scratch:
        folder = Path(scratch)
        _unpack(file, folder)
        stores = Stores.connect(options)
        name = settings.load(options.inventory, options.set).cluster_name
        held = paths.state_dir(name) / "registry.lock"
        with lock.hold("restore", held, wait_seconds=_LOCK_TIMEOUT_SECONDS):
            # One that was killed may have left MLflow stopped.
            stores.start()
            if not options.replace and stores.has_own_runs():
                raise KindlingError(
                    "MLflow holds runs of yours, which a restore replaces",
                    next_step=f"nox -s backup -- OTHER, then nox -s restore -- {file} --replace",
                )
            stores.replace(uuid.uuid4().hex, folder / _DATABASE, folder / _ARTIFACTS)
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
    except (tarfile.TarError, ValueError, KeyError, TypeError):
        raise broken from None
    except OSError as error:
        raise KindlingError(
            f"{file} cannot be unpacked beside itself: {error.strerror}",
            next_step="move it to a disk with twice its size free",
        ) from None
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
        parser.add_argument("file", type=Path, metavar="FILE", help="what is to be written")
    else:
        parser.add_argument("file", type=Path, metavar="FILE", help="what `nox -s backup` wrote")
        parser.add_argument(
            "--replace", action="store_true", help="also if MLflow holds runs of yours"
        )
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
