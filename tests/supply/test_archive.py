"""Debian packages of another release: pinned by digest, unpacked, never installed."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from kindling.errors import KindlingError
from kindling.supply import archive, versions
from kindling.supply.archive import Archive, Package, unpack_programs

VERSION = "26.1.5-1"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A real package that holds the program ``dockerd``, and a text of the same name."""
    root = tmp_path / "build" / "tree"
    for name, content in (("usr/sbin", b"\x7fELF program"), ("usr/share/doc", b"words")):
        (root / name).mkdir(parents=True)
        (root / name / "dockerd").write_bytes(content)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text(
        f"Package: docker.io\nVersion: {VERSION}\nArchitecture: amd64\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: a test\n"
    )
    file = tmp_path / "build" / f"docker.io_{VERSION}_amd64.deb"
    subprocess.run(["dpkg-deb", "--build", root, file], check=True, capture_output=True)
    return file


@pytest.fixture
def apt(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get whose archive holds that one package; returns the file of what it was asked."""
    asked = tmp_path / "asked"
    program = tmp_path / "bin" / "apt-get"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
echo "$@" >> {asked}
case "$*" in
  indextargets*)
    for suite in bookworm bookworm-security
    do echo "Packages $suite http://archive.example/$suite"; done ;;
  *update*) ;;
  *"docker.io={VERSION}"*) ;;
  *"docker.io="*) echo "E: gone" >&2; exit 100 ;;
esac
case "$*" in *print-uris*) ;; *" download "*) cp {package} . ;; esac
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(archive, "host_release", lambda: "bookworm")
    return asked


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_sources_are_those_of_this_host_for_the_other_release(tmp_path: Path, apt: Path) -> None:
    Archive("trixie", tmp_path / "apt")
    lines = (tmp_path / "apt" / "sources.list").read_text().splitlines()
    assert [line.split()[-3:] for line in lines] == [
        ["http://archive.example/bookworm", "trixie", "main"],
        ["http://archive.example/bookworm-security", "trixie-security", "main"],
    ]
    assert all("signed-by=/usr/share/keyrings/" in line for line in lines)


def test_lists_and_downloads_of_this_host_stay_as_they_are(tmp_path: Path, apt: Path) -> None:
    Archive("trixie", tmp_path / "apt")
    update = apt.read_text().splitlines()[-1]
    for folder in ("Dir::State::Lists", "Dir::Cache", "Dir::Etc::sourcelist"):
        assert f"-o={folder}={tmp_path / 'apt'}" in update


def test_pinned_version_is_taken_and_compared(tmp_path: Path, apt: Path, package: Path) -> None:
    (tmp_path / "files").mkdir()
    pinned = Package("docker.io", VERSION, {"amd64": sha256(package)})
    assert Archive("trixie", tmp_path / "apt").download([pinned], tmp_path / "files") == []
    assert f"download docker.io={VERSION}" in apt.read_text()


def test_other_bytes_of_the_pinned_version_are_refused(tmp_path: Path, apt: Path) -> None:
    (tmp_path / "files").mkdir()
    pinned = Package("docker.io", VERSION, {"amd64": "0" * 64})
    with pytest.raises(KindlingError, match="does not have its pinned SHA-256 0000"):
        Archive("trixie", tmp_path / "apt").download([pinned], tmp_path / "files")


def test_current_version_is_taken_and_told_where_the_pinned_one_is_gone(
    tmp_path: Path, apt: Path
) -> None:
    (tmp_path / "files").mkdir()
    pinned = Package("docker.io", "25.0-1", {"amd64": "0" * 64})
    (note,) = Archive("trixie", tmp_path / "apt").download([pinned], tmp_path / "files")
    assert "docker.io 25.0-1 is gone" in note
    assert apt.read_text().splitlines()[-1].endswith("download docker.io")


def test_host_without_a_source_of_its_release_is_told(
    tmp_path: Path, apt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "host_release", lambda: "bullseye")
    with pytest.raises(KindlingError, match="no source of this host's Debian release"):
        Archive("trixie", tmp_path / "apt")


def test_programs_are_moved_out_and_nothing_else(tmp_path: Path, package: Path) -> None:
    target = tmp_path / "programs"
    target.mkdir()
    unpack_programs(package.parent, ["dockerd"], target)
    assert [path.name for path in target.iterdir()] == ["dockerd"]
    assert (target / "dockerd").read_bytes().startswith(b"\x7fELF")


def test_program_that_no_package_holds_is_named(tmp_path: Path, package: Path) -> None:
    with pytest.raises(KindlingError, match="0 programs named runc"):
        unpack_programs(package.parent, ["runc"], tmp_path)


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ('ID=debian\nVERSION_CODENAME=bookworm\nNAME="Debian"\n', "bookworm"),
        ("ID=ubuntu\nVERSION_CODENAME=noble\n", ""),
        ("ID=alpine\n", ""),
    ],
)
def test_release_is_that_of_debian_only(tmp_path: Path, text: str, release: str) -> None:
    (tmp_path / "os-release").write_text(text)
    assert archive.host_release(tmp_path / "os-release") == release


def test_every_package_of_the_engine_has_a_digest_for_both_architectures() -> None:
    for package in versions.load().engine:
        assert set(package.sha256) == {"amd64", "arm64"}, package.name
        assert {len(digest) for digest in package.sha256.values()} == {64}
