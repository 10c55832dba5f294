"""Python environments of the commands: made by uv from where pip would take packages."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import certificates
import pytest
from package_index import PASSWORD, PackageIndex, wheel

from kindling import environments, paths, retry, uv
from kindling.errors import KindlingError

pytestmark = pytest.mark.skipif(
    not paths.nox_python().with_name("uv").exists(), reason="not started by nox"
)


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with PackageIndex(first=wheel("first", requires="second"), second=wheel("second")) as index:
        yield index


@pytest.fixture
def lock(tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock file of the environment ``mine``; pip's configuration names ``index``."""
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {index.index}\nretries = 0\n")
    for name in ("PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(paths, "REPOSITORY", tmp_path)
    file = tmp_path / "requirements" / "mine.txt"
    file.parent.mkdir()
    file.write_text(index.lock("first", "second"))
    return file


def test_packages_come_from_the_index_that_pip_is_configured_with(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "true")
    python = environments.ensure("mine")
    asked = [python, "-c", "import sys, first, second; print(first.name, sys.version)"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    ours = subprocess.run([paths.nox_python(), "-VV"], capture_output=True, text=True).stdout
    assert done.stdout.split()[:2] == ["first", ours.split()[1]]


def test_where_pip_asks_no_index_a_folder_of_wheels_is_enough(
    lock: Path, index: PackageIndex, tmp_path: Path
) -> None:
    index.stop()
    for name, content in index.wheels.items():
        (tmp_path / f"{name}-1-py3-none-any.whl").write_bytes(content)
    (tmp_path / "pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {tmp_path}\n")
    environments.ensure("mine")
    index.start()


@pytest.mark.parametrize("trusted", [True, False])
def test_the_authority_that_pip_trusts_is_trusted(
    trusted: bool, lock: Path, index: PackageIndex, tmp_path: Path
) -> None:
    certificate, config = tmp_path / "certificate.pem", tmp_path / "pip.conf"
    certificates.write(certificate, "127.0.0.1")
    index.use_tls(certificate)
    options = f"index-url = {index.index}\nretries = 0\n"
    config.write_text(f"[global]\n{options}" + (f"cert = {certificate}\n" if trusted else ""))
    if trusted:
        environments.ensure("mine")
    else:
        refused(lock, "certificate")


def test_an_environment_is_made_once(lock: Path, index: PackageIndex) -> None:
    made = environments.ensure("mine")
    index.wheels.clear()
    assert environments.ensure("mine") == made


@pytest.mark.parametrize("variable", ["", "UV_NO_VERIFY_HASHES", "UV_NO_REQUIRE_HASHES"])
def test_another_hash_is_refused_whatever_uv_is_told(
    lock: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv(variable, "1")
    lock.write_text(lock.read_text().replace("sha256:", "sha256:0000")[:-5] + "\n")
    refused(lock, "hash")


def test_a_lock_without_hashes_is_refused(lock: Path) -> None:
    lock.write_text("first==1\nsecond==1\n")
    refused(lock, "hash")


def test_a_lock_that_lacks_a_dependency_is_refused(lock: Path, index: PackageIndex) -> None:
    lock.write_text(index.lock("first"))
    refused(lock, "second")


def test_an_index_that_is_down_is_named_and_its_password_is_not(
    lock: Path, index: PackageIndex, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "NETWORK", replace(retry.NETWORK, pauses=(2,)))
    index.stop()
    said = refused(lock, f"127.0.0.1:{index.port}")
    assert PASSWORD not in said
    assert "next: " in said
    assert pauses == [2]
    index.start()
    environments.ensure("mine")


def test_nothing_on_disk_has_the_password(lock: Path) -> None:
    environments.ensure("mine")
    files = [file for file in paths.cache_dir().rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if PASSWORD.encode() in file.read_bytes()]


def test_an_environment_takes_no_room_beside_the_cache(lock: Path) -> None:
    module = next(environments.ensure("mine").parent.parent.rglob("first.py"))
    assert module.stat().st_nlink > 1


def test_without_uv_the_next_command_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(paths.NOX_PYTHON, str(tmp_path / "python"))
    with pytest.raises(KindlingError) as raised:
        uv.run("--version", what="asking")
    assert f"{tmp_path}/python -m pip install --require-hashes" in raised.value.next_step


def refused(lock: Path, reason: str) -> str:
    """What is said where the environment of ``lock`` cannot be made, with ``reason``."""
    with pytest.raises(KindlingError) as raised:
        environments.ensure(lock.stem)
    said = raised.value.for_people()
    assert f"requirements/{lock.name}" in said
    assert reason in said
    assert not (environments.folder(lock.stem) / "finished").exists()
    return said
