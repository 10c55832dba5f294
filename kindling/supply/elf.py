"""The smallest container there is: one program of a few instructions that exits with 0.

It lets an engine prove itself without an image to pull and without a compiler.
"""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

from kindling.errors import KindlingError

# exit(0) by system call: (ELF machine number, code).
_CODE = {
    "x86_64": (62, bytes.fromhex("31ffb83c0000000f05")),
    "aarch64": (183, struct.pack("<III", 0xD2800000, 0xD2800BA8, 0xD4000001)),
}
_BASE = 0x400000


def exit_zero(archive: Path, machine: str) -> None:
    """Write a tar archive for ``docker import`` that holds ``/probe``.

    Raises KindlingError for a ``machine`` (as ``platform.machine()`` says) that is not known.
    """
    if machine not in _CODE:
        raise KindlingError(f"Kindling does not know the architecture {machine}")
    number, code = _CODE[machine]
    size = 64 + 56 + len(code)
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 2, number, 1, _BASE + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )  # fmt: skip
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    program = header + segment + code
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo("probe")
        info.size, info.mode = len(program), 0o755
        tar.addfile(info, io.BytesIO(program))
