"""Debian packages of another release, unpacked and not installed.

apt runs with lists and caches of its own, so the host's package database stays as it is. The
host's own sources say where the archive is, and its configuration (proxies, authorities) counts.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kindling import retry
from kindling.errors import KindlingError
from kindling.supply import command

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SUITES = ("", "-updates", "-security")


@dataclass(frozen=True)
class Package:
    """A Debian package as it is pinned; ``sha256`` has the digest of its file by architecture."""

    name: str
    version: str
    sha256: Mapping[str, str]


def host_release(os_release: Path = Path("/etc/os-release")) -> str:
    """The codename of this host's Debian release; empty on any other system."""
    lines = os_release.read_text().splitlines() if os_release.exists() else []
    words = dict(line.split("=", 1) for line in lines if "=" in line)
    return words.get("VERSION_CODENAME", "").strip('"') if words.get("ID") == "debian" else ""


class Archive:
    """One release of Debian, out of the archive that this host's apt is configured with.

    ``work`` is a folder for lists and downloads. Raises KindlingError where this host has no
    such archive.
    """

    def __init__(self, release: str, work: Path) -> None:
        self._release = release
        sources = work / "sources.list"
        for folder in ("lists/partial", "cache/archives/partial"):
            (work / folder).mkdir(parents=True)
        sources.write_text("".join(f"{line}\n" for line in self._sources()))
        self._options = [
            f"-o=Dir::Etc::sourcelist={sources}",
            "-o=Dir::Etc::sourceparts=/dev/null",
            f"-o=Dir::State::Lists={work / 'lists'}",
            f"-o=Dir::Cache={work / 'cache'}",
            # Images of Debian switch it off, and each call would read all lists again.
            "-o=Dir::Cache::pkgcache=pkgcache.bin",
            "-o=Acquire::Languages=none",
            "-o=Acquire::Retries=3",
            # apt takes lists that it could not fetch for a warning, and packages for missing then.
            "-o=APT::Update::Error-Mode=any",
            # apt's own user may not enter a cache below somebody's home.
            "-o=APT::Sandbox::User=",
        ]
        self._apt("update", what=f"reading Debian's package lists of {release}")

    def _sources(self) -> Iterable[str]:
        host = host_release()
        listed = command.run(
            ["apt-get", "indextargets", "--format=$(CREATED_BY) $(CODENAME) $(REPO_URI)"],
            what="reading the sources of apt",
        )
        words = [line.split() for line in listed.splitlines()]
        found = {line[1]: line[2] for line in words if line[0] == "Packages"}
        if not host or host not in found:
            raise KindlingError(
                "apt has no source of this host's Debian release, whose archive is to be used",
                next_step="start a container engine yourself, or mend /etc/apt/sources.list",
            )
        for suite in _SUITES:
            if place := found.get(host + suite):
                yield f"deb [signed-by={_KEYRING}] {place} {self._release}{suite} main"

    def download(self, packages: Sequence[Package], folder: Path) -> list[str]:
        """Put the files of ``packages`` into ``folder``; returns notes on versions not pinned.

        The archive drops a version when the next one comes: then the current one is taken, whose
        signature apt checks as it does for any. Raises KindlingError when a package cannot be had,
        or has the pinned version and another digest.
        """
        pinned = [package for package in packages if package.version and self._has(package)]
        words = [_exactly(package) if package in pinned else package.name for package in packages]
        self._apt("download", *words, cwd=folder, what=f"downloading {', '.join(words)}")
        for package in pinned:
            (file,) = folder.glob(f"{package.name}_*.deb")
            _compare(file, package.sha256)
        return [
            f"{package.name} {package.version} is gone from the archive: took the current one"
            for package in packages
            if package.version and package not in pinned
        ]

    def _has(self, package: Package) -> bool:
        try:
            self._apt("--print-uris", "download", _exactly(package))
        except KindlingError:
            return False
        return True

    def _apt(self, *words: str, cwd: Path | None = None, what: str = "") -> str:
        return command.run(
            ["apt-get", *self._options, "--quiet", *words], cwd=cwd, what=what, again=retry.NETWORK
        )


def _exactly(package: Package) -> str:
    return f"{package.name}={package.version}"


def _compare(file: Path, sha256: Mapping[str, str]) -> None:
    architecture = file.stem.rpartition("_")[2]
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if sha256.get(architecture, found) != found:
        raise KindlingError(
            f"{file.name} does not have its pinned SHA-256 {sha256[architecture]}",
            next_step="git log images/versions.yml; ask who runs the archive that apt is set to",
        )


def unpack_programs(folder: Path, programs: Iterable[str], target: Path) -> None:
    """Unpack the packages in ``folder``, and move ``programs`` out of them into ``target``."""
    root = folder / "root"
    for file in sorted(folder.glob("*.deb")):
        command.run(["dpkg-deb", "--extract", file, root], what=f"unpacking {file.name}")
    for program in programs:
        found = [path for path in root.rglob(program) if not path.is_symlink() and _is_elf(path)]
        if len(found) != 1:
            raise KindlingError(
                f"the packages hold {len(found)} programs named {program} for {platform.machine()}",
                next_step="nox -s doctor",
            )
        shutil.move(found[0], target / program)


def _is_elf(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as content:
        return content.read(4) == b"\x7fELF"
