"""Models for tables that are loaded, for apps in the process of a test."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from service.loader import open_runner, read_descriptor
from service.models import Served


def load(files: dict[str, bytes], name: str, version: str = "1") -> Served:
    """The model of a package, loaded and warm. Raises ModelInvalidError."""
    with TemporaryDirectory() as folder:
        for file, content in files.items():
            (Path(folder) / file).write_bytes(content)
        descriptor = read_descriptor(Path(folder), name)
        runner = open_runner(Path(folder), descriptor, intra_op_threads=1)
    return Served(name, version, descriptor, runner)
