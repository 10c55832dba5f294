"""Root file systems of Debian packages, without what only configures these."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from scripted import ok, scripted

from kindling.supply import debian

STANZA = """Package: {}
Status: install ok installed
Architecture: all
Multi-Arch: foreign
Version: 999:1
Maintainer: Kindling
Description: taken for installed
"""


def test_apt_is_told_that_assumed_packages_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = scripted(tmp_path, "mmdebstrap", ok())
    monkeypatch.setenv("PATH", f"{program.path.parent}{os.pathsep}{os.environ['PATH']}")
    debian.root("a", "trixie", 1, ["postgresql"], assumed=["perl", "ucf"]).build(tmp_path, {})
    (hook,) = [word for word in program.calls[0] if word.startswith("--setup-hook=")]
    status = tmp_path / "root" / "var" / "lib" / "dpkg" / "status"
    status.parent.mkdir(parents=True)
    status.write_text("Package: first\n\n")
    shell = hook.partition("=")[2]
    subprocess.run(["sh", "-c", shell, "hook", tmp_path / "root"], check=True)
    assert status.read_text() == "\n".join(
        ["Package: first\n", STANZA.format("perl"), STANZA.format("ucf"), ""]
    )


def test_what_is_assumed_makes_another_root_and_nothing_else_does() -> None:
    def key(*assumed: str) -> str:
        return debian.root("a", "trixie", 1, ["postgresql"], assumed=assumed).key

    assert len({key(), key("perl"), key("perl", "ucf")}) == 3
    assert key() == debian.root("a", "trixie", 1, ["postgresql"]).key
