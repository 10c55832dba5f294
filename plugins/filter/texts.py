"""Ansible filter: the texts of files, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def texts(folder: str, pattern: str) -> dict[str, str]:
    """The content of each file of ``folder`` whose name matches ``pattern``."""
    return {file.name: file.read_text() for file in sorted(Path(folder).glob(pattern))}


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., dict[str, str]]]:
        """The filters by name."""
        return {"texts": texts}
