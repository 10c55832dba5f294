"""Build contexts whose modes are the same on every machine: ``COPY`` gives an image those it finds.

Neither a checkout's modes nor the umask of the process that builds may decide what an image's
unprivileged user can read: no key tells them, so a bad image would stay.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

_EXECUTABLE, _PLAIN = 0o755, 0o644


def stage(files: Iterable[Path], root: Path, target: Path) -> Path:
    """Copy ``files``, which are below ``root``, to the same places below ``target``; returns it.

    A hard link would do without the copy, and would change the modes of the checkout.
    """
    target.mkdir()
    for file in files:
        copy = target / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    normalize(target)
    return target


def normalize(folder: Path) -> None:
    """Give all that is below ``folder``, and itself, the modes that Git gives under umask 022."""
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = _EXECUTABLE if path.is_dir() or mode & stat.S_IXUSR else _PLAIN
        if mode != wanted:
            path.chmod(wanted)
