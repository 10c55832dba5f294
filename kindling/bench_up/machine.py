"""The machine that is measured: what must be free before, and what it spent."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from kindling import engine
from kindling.doctor.machine import Machine
from kindling.doctor.ports import bind_error, holder_of
from kindling.errors import KindlingError
from kindling.processes import alive

GIB = 1024**3
_SAMPLE_SECONDS = 5.0
# A cold run of the oldest baseline leaves 28 GiB.
_FREE_GIB = 32
# What containerd makes below a cache, and the longest path that a socket may have.
_DEEPEST_SOCKET = "engine/exec/containerd/containerd-debug.sock"
_MAX_SOCKET_PATH = 107


def busy_seconds() -> float:
    """Processor seconds that this machine has spent working since it started."""
    user, nice, system, _idle, _wait, *rest = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + sum(rest[:2])) / os.sysconf("SC_CLK_TCK")


def foreign_load() -> float:
    """The share of all cores that other work takes, sampled for some seconds."""
    busy = busy_seconds()
    time.sleep(_SAMPLE_SECONDS)
    return (busy_seconds() - busy) / _SAMPLE_SECONDS / (os.cpu_count() or 1)


def facts() -> dict[str, object]:
    """What a reader needs to compare figures of two machines."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB, 1),
        "kernel": os.uname().release,
    }


def refuse_engine() -> None:
    """Raise KindlingError while a container engine answers, whoever started it."""
    answering = answering_engine()
    if not answering:
        return
    if engine.own_pid() is not None:
        next_step = "nox -s cluster-down, then the same command again"
    else:
        next_step = "stop it (sudo systemctl stop docker), then the same command again"
    raise KindlingError(
        f"a container engine answers ({answering}): a cold start includes setting one up",
        next_step=next_step,
    )


def answering_engine() -> str:
    """The container engine that runs or answers, or nothing."""
    if running := _engine_process():
        return running
    host = engine.default_host()
    if host.startswith("unix://"):
        return host if accepts(Path(host.removeprefix("unix://"))) else ""
    docker = shutil.which("docker")
    return host if docker and engine.answers(Path(docker), host) else ""


def _engine_process() -> str:
    for name in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if name.read_text().strip() == "dockerd" and alive(int(name.parent.name)):
                return f"dockerd, pid {name.parent.name}"
    return ""


def accepts(path: Path) -> bool:
    """Whether a server accepts connections on the Unix socket ``path``."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def refuse_ports(ports: Iterable[int]) -> None:
    """Raise KindlingError naming each port of 127.0.0.1 that is in use."""
    taken = []
    for port in ports:
        if bind_error(port):
            holder = holder_of(Machine(), port)
            taken.append(f"{port}{f' by {holder}' if holder else ''}")
    if taken:
        raise KindlingError(
            f"ports of the inventory are in use: {', '.join(taken)}",
            next_step="stop what listens there, then the same command again",
        )


def refuse_folder(folder: Path, longest_cache: Path) -> None:
    """Raise KindlingError where ``folder`` has too little room, or too long a path for sockets.

    ``longest_cache`` is the deepest cache folder that the benchmark will make in it.
    """
    free = shutil.disk_usage(folder).free / GIB
    if free < _FREE_GIB:
        raise KindlingError(
            f"{free:.0f} GiB are free in {folder}; a cold start may take {_FREE_GIB} GiB",
            next_step="make room, or name a folder on another disk: --folder FOLDER",
        )
    if len(str(longest_cache / _DEEPEST_SOCKET)) > _MAX_SOCKET_PATH:
        raise KindlingError(
            f"the path {folder} is too long for the engine's sockets below it",
            next_step="name a folder with a shorter path: --folder /var/tmp",
        )


def disk_usage(*folders: Path) -> dict[str, int]:
    """Bytes on disk: of all ``folders`` under ``""``, and of each folder in them.

    Mounts are left out; files that vanish meanwhile, as those of a running cluster do, too.
    """
    # One call, which counts a file once that is linked from several places.
    listed = subprocess.run(
        ["du", "--one-file-system", "--block-size=1", "--max-depth=1", *map(str, folders)],
        capture_output=True, text=True,
    )  # fmt: skip
    sizes = {"": 0}
    for line in listed.stdout.splitlines():
        size, _, path = line.partition("\t")
        if Path(path) in folders:
            sizes[""] += int(size)
        else:
            sizes[str(Path(path).relative_to(folders[0].parent))] = int(size)
    if not sizes[""]:
        raise KindlingError(f"du says no size: {listed.stderr.strip()[-200:]}")
    return sizes
