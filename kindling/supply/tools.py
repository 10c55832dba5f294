"""kind, kubectl and helm: the user's own if it fits, else downloaded, else built."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kindling import paths, retry, web
from kindling.errors import KindlingError
from kindling.supply.recipes import machine

Version = tuple[int, int, int]
_SECONDS = 15.0
# What cannot be downloaded is built, which takes minutes.
_AGAIN = replace(retry.NETWORK, pauses=(2, 10))


@dataclass(frozen=True)
class Tool:
    """How to ask a tool for its version, which versions fit, and where releases lie.

    The checksum stands beside the release, under the same address with ``checksum`` appended. One
    without a ``url`` is not downloaded.
    """

    name: str
    ask: tuple[str, ...]
    wanted: str
    fits: Callable[[Version, Version], bool]
    url: str = ""
    checksum: str = ""
    member: str = ""

    def version_of(self, binary: str) -> Version | None:
        """The version that ``binary`` reports, or None where it reports none."""
        try:
            done = subprocess.run([binary, *self.ask], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return parse(done.stdout)

    def on_path(self) -> Path | None:
        """The user's own binary if its version fits."""
        found = shutil.which(self.name)
        version = self.version_of(found) if found else None
        wanted = parse(self.wanted)
        if found and version and wanted and self.fits(version, wanted):
            return Path(found)
        return None


def parse(text: str) -> Version | None:
    """The first ``X.Y.Z`` in ``text``."""
    match = re.search(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def catalogue(kubernetes: str, tools: dict[str, str]) -> dict[str, Tool]:
    """The three tools for these versions."""
    arch, kind, helm = machine(), tools["kind"], tools["helm"]
    return {
        "kind": Tool(
            "kind",
            ("version",),
            kind,
            # A node image is made for one kind: its entrypoint and manifests belong together.
            lambda has, want: has[:2] == want[:2] and has >= want,
            f"https://github.com/kubernetes-sigs/kind/releases/download/{kind}/kind-linux-{arch}",
            ".sha256sum",
        ),
        "kubectl": Tool(
            "kubectl",
            ("version", "--client"),
            kubernetes,
            lambda has, want: has[0] == want[0] and abs(has[1] - want[1]) <= 1,
            f"https://dl.k8s.io/release/{kubernetes}/bin/linux/{arch}/kubectl",
            ".sha256",
        ),
        "helm": Tool(
            "helm",
            ("version", "--short"),
            helm,
            lambda has, want: has[0] == want[0] and has[:2] >= (3, 17),
            f"https://get.helm.sh/helm-{helm}-linux-{arch}.tar.gz",
            ".sha256sum",
            f"linux-{arch}/helm",
        ),
    }


def cached(tool: Tool) -> Path:
    """Where a downloaded release of ``tool`` lies, or would lie."""
    return paths.cache_dir() / "tools" / f"{tool.name}-{tool.wanted}" / tool.name


def download(tool: Tool) -> Path | None:
    """The release of ``tool`` in the cache, or None where its address cannot be reached.

    Raises KindlingError when what came does not have the checksum published beside it.
    """
    target = cached(tool)
    if target.exists():
        return target
    try:
        published = retry.call(lambda: _get(tool.url + tool.checksum), _AGAIN).decode().split()[0]
        data = retry.call(lambda: _get(tool.url), _AGAIN)
    except (KindlingError, IndexError):
        return None
    if hashlib.sha256(data).hexdigest() != published:
        raise KindlingError(
            f"{tool.url} does not have its published SHA-256 {published}",
            next_step="nox -s cluster-up -- -e images_supply=packages",
        )
    if tool.member:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            file = archive.extractfile(tool.member)
            data = file.read() if file else b""
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_suffix(".new")
    new.write_bytes(data)
    new.chmod(0o755)
    new.replace(target)
    return target


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
            data: bytes = answer.read()
    except web.NO_ANSWER as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise KindlingError(f"{url}: {str(error) or type(error).__name__}") from None
    return data
