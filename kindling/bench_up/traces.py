"""What a build leaves on the machine: processes, mounts, interfaces, rules and files."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kindling import engine
from kindling.bench_up import machine
from kindling.errors import KindlingError
from kindling.processes import alive

_INTERFACES = ("docker", "br-", "veth", "cni", "kube", "flannel")
_ENGINE_PROGRAMS = ("dockerd", "containerd", "docker-proxy", "runc", "buildkitd")
_ENGINE_PATHS = (str(engine.SOCKET), "/run/docker", "/run/containerd", "/var/lib/docker",
                 "/var/lib/containerd", "/etc/docker")  # fmt: skip
_SETTLE_SECONDS = 10.0
# `cluster-down -- --all` runs in one of these environments and keeps them all.
_KEPT_CACHES = ("venvs",)


@dataclass(frozen=True)
class Traces:
    """What of an engine is on the machine."""

    interfaces: frozenset[str]
    mounts: frozenset[str]
    rules: frozenset[str]
    paths: frozenset[str]

    @classmethod
    def now(cls) -> Traces:
        return cls(
            frozenset(
                entry.name
                for entry in Path("/sys/class/net").iterdir()
                if entry.name.startswith(_INTERFACES)
            ),
            frozenset(_mounts()),
            frozenset(_rules()),
            frozenset(path for path in _ENGINE_PATHS if Path(path).exists()),
        )

    def added(self, folder: Path) -> list[str]:
        """What is there now, was not then, and belongs to an engine or to ``folder``."""
        now = Traces.now()
        words = ("docker", "containerd", "kubelet", f"{folder}/")
        mounts = [m for m in now.mounts - self.mounts if any(word in f"{m}/" for word in words)]
        added = [f"process {name} (pid {pid})" for pid, name in processes_of(folder)]
        added += [f"mount {mount}" for mount in sorted(mounts)]
        added += [f"interface {name}" for name in sorted(now.interfaces - self.interfaces)]
        added += [f"iptables rule ({rule})" for rule in sorted(now.rules - self.rules)]
        added += [f"path {path}" for path in sorted(now.paths - self.paths)]
        return added

    def settled(self, folder: Path) -> list[str]:
        """``added`` once it is empty or some seconds have passed: the kernel removes lazily."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while (added := self.added(folder)) and time.monotonic() < deadline:
            time.sleep(0.5)
        return added

    def clear(self, folder: Path) -> None:
        """End and remove by force what ``added`` names, and ``folder`` with it.

        Raises KindlingError naming what could not be removed.
        """
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + _SETTLE_SECONDS
            for pid, _ in processes_of(folder):
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
            while processes_of(folder) and time.monotonic() < deadline:
                time.sleep(0.1)
        for mount in sorted(_mounts(), reverse=True):
            if Path(mount).is_relative_to(folder):
                subprocess.run(["umount", "--lazy", mount], capture_output=True)
        # An engine that still runs is somebody else's, and so are its interfaces.
        if not machine.answering_engine():
            for name in Traces.now().interfaces - self.interfaces:
                subprocess.run(["ip", "link", "delete", name], capture_output=True)
        if str(engine.SOCKET) not in self.paths and not machine.accepts(engine.SOCKET):
            engine.SOCKET.unlink(missing_ok=True)
        if folder.exists() and not any(Path(m).is_relative_to(folder) for m in _mounts()):
            # Go makes its module cache read-only. A mount, such as /dev in a half-made root file
            # system, must never be entered.
            subprocess.run(["chmod", "--recursive", "u+w", str(folder)], capture_output=True)
            subprocess.run(
                ["rm", "--recursive", "--force", "--one-file-system", str(folder)],
                capture_output=True,
            )
        # Rules and folders of an engine that is gone hinder no other one.
        harmless = ("iptables", "path")
        left = [trace for trace in self.settled(folder) if not trace.startswith(harmless)]
        left += [f"folder {folder}"] if folder.exists() else []
        if left:
            raise KindlingError(
                f"could not be removed: {', '.join(left)}",
                next_step="end and remove them by hand, or restart the machine",
            )


def files_left(cache: Path, state: Path) -> list[str]:
    """Entries of ``cache`` that ``cluster-down -- --all`` should have removed, and of ``state``."""
    entries = [entry for entry in _entries(cache) if entry.name not in _KEPT_CACHES]
    entries += [entry for entry in state.rglob("*") if not entry.is_dir()]
    return [f"file {entry}" for entry in sorted(entries)]


def processes_of(folder: Path) -> list[tuple[int, str]]:
    """Pids and names of processes that ``folder`` is part of: started for it, or out of it.

    A container's own processes have its mounts; a pager that shows a log there is not meant.
    """
    below, own_mounts = f"{folder}/".encode(), _mount_namespace("self")
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            name = (entry / "comm").read_text().strip()
            belongs = below in (entry / "environ").read_bytes() or _program(entry, below)
            if not belongs and _mount_namespace(entry.name) != own_mounts:
                belongs = below in (entry / "mountinfo").read_bytes()
            if belongs and alive(int(entry.name)):
                found.append((int(entry.name), name))
    return found


def _program(process: Path, below: bytes) -> bool:
    arguments = (process / "cmdline").read_bytes()
    if Path(os.fsdecode(arguments.split(b"\0")[0])).name.startswith(_ENGINE_PROGRAMS):
        return below in arguments
    # A thread of the kernel has no program.
    with contextlib.suppress(OSError):
        return os.fsencode((process / "exe").readlink()).startswith(below)
    return False


def _mount_namespace(pid: str) -> str:
    return str(Path(f"/proc/{pid}/ns/mnt").readlink())


def _mounts() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4].replace("\\040", " ") for line in lines]


def _rules() -> Iterator[str]:
    for tool in ("iptables", "ip6tables"):
        for table in ("nat", "filter") if shutil.which(tool) else ():
            listed = subprocess.run(
                [tool, "--table", table, "--list-rules"], capture_output=True, text=True
            )
            for rule in listed.stdout.splitlines():
                if "docker" in rule.lower():
                    yield f"{tool} {table} {rule}"


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
