"""The report's folder, which is the old one or the new one, never a part of either."""

from __future__ import annotations

import ctypes
import errno
import gzip
import json
import os
import shutil
import tempfile
from pathlib import Path

from loadtests.report import history, junit, page
from loadtests.report.document import FILE, Document, document
from loadtests.report.record import Record
from loadtests.samples import COLUMNS, Samples

_TIMELINE = "timeline.jsonl"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def write(record: Record, folder: Path) -> Path:
    """Write the report into ``folder``, which is made if needed; returns the page's path.

    All is written beside it first and then swapped with it, so that a run that is killed leaves
    the earlier report. Files of others in ``folder``, and the history, are carried over.
    """
    report = document(record)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        # `mkdtemp` is for secrets; a report is for everybody who may read the checkout.
        new.chmod(0o755)
        if folder.is_dir():
            shutil.copytree(folder, new, dirs_exist_ok=True, copy_function=_link)
        for path, content in _files(record, report, new).items():
            # What is linked is the old report's too, so it is never written into.
            (new / path).unlink(missing_ok=True)
            (new / path).write_bytes(content)
        (new / _TIMELINE).unlink(missing_ok=True)
        record.timeline.write(new / _TIMELINE)
        _swap(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder / "index.html"


def _files(record: Record, report: Document, new: Path) -> dict[str, bytes]:
    earlier = [one for one in history.load(new / history.FOLDER) if _is_other(one, report)]
    # Of a run that was cut short, no number can be compared.
    if not record.interrupted:
        history.add(new / history.FOLDER, report)
    return {
        "requests.tsv.gz": _requests(record.samples),
        # What is no text at all, half of a surrogate pair, is written as a question mark.
        "junit.xml": junit.render(report).encode(errors="replace"),
        "index.html": page.render(report, earlier).encode(errors="replace"),
        FILE: _json(report).encode(),
    }


def _json(report: Document) -> str:
    """A line for each key: `less` and `diff` can show it, unlike one line or one per number."""
    lines = [f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in report.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _is_other(one: Document, report: Document) -> bool:
    return bool(one["started"] != report["started"])


def _requests(samples: Samples) -> bytes:
    columns = [getattr(samples, column).tolist() for column in COLUMNS]
    lines = ["\t".join(COLUMNS)]
    for row in zip(*columns, strict=True):
        lines.append("\t".join(f"{c:.6f}" if isinstance(c, float) else _cell(c) for c in row))
    return gzip.compress("\n".join([*lines, ""]).encode(errors="replace"), mtime=0)


def _cell(value: object) -> str:
    return " ".join(str(value).splitlines()).replace("\t", " ")


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _swap(new: Path, folder: Path) -> None:
    """Put ``new`` in the place of ``folder``; afterwards ``new`` may be what was there."""
    try:
        if not folder.exists():
            new.rename(folder)
        else:
            _exchange(new, folder)
    except OSError:
        # A mounted folder cannot be exchanged: each file by itself then, the page last.
        for file in sorted(new.rglob("*"), key=lambda f: f.name == "index.html"):
            if file.is_file():
                target = folder / file.relative_to(new)
                target.parent.mkdir(parents=True, exist_ok=True)
                _replace(file, target)


def _replace(file: Path, target: Path) -> None:
    beside = target.with_name(f".{target.name}.new")
    shutil.copyfile(file, beside)
    beside.replace(target)


def _exchange(one: Path, other: Path) -> None:
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, "no renameat2")
    words = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if rename(*words) != 0:
        raise OSError(ctypes.get_errno(), "renameat2 failed")
