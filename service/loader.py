"""From a folder with a package to a model that runs."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from service.package import DESCRIPTOR_FILE, Descriptor, parse_descriptor, read_file


class Runner(Protocol):
    """What every kind of model has."""

    def load(self) -> None:
        """Open the files; blocks. Raises ModelInvalidError."""

    def warm(self) -> None:
        """Run once; blocks. Raises ModelInvalidError."""


def read_descriptor(folder: Path, name: str) -> Descriptor:
    """The descriptor in ``folder``. Raises ModelInvalidError."""
    return parse_descriptor(read_file(folder, DESCRIPTOR_FILE), name)


def open_runner(folder: Path, descriptor: Descriptor, *, intra_op_threads: int) -> Runner:
    """The model in ``folder``, loaded and warm; blocks. Raises ModelInvalidError."""
    runner = _runner(folder, descriptor, intra_op_threads)
    runner.load()
    runner.warm()
    _give_back()
    return runner


def _give_back() -> None:
    """Let the system have what reading and optimizing a graph took, which glibc would keep."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _runner(folder: Path, descriptor: Descriptor, threads: int) -> Runner:
    # Imported here: the check of a classifier has no use for the libraries of text.
    if descriptor.kind == "text-generator":
        from service.text import TextGenerator

        return TextGenerator(folder, descriptor, intra_op_threads=threads)
    if descriptor.kind == "tabular":
        from service.tabular import Tabular

        return Tabular(folder, descriptor, intra_op_threads=threads)
    from service.classifier import Classifier

    return Classifier(folder, descriptor, intra_op_threads=threads)
