"""The container engine: a working one is used as it is; otherwise one of our own is run.

Our own keeps its data, log and pid under ``paths.engine_dir()`` and is the only one that is
ever stopped here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kindling import paths
from kindling.errors import KindlingError
from kindling.processes import alive

SOCKET = Path("/var/run/docker.sock")
_START_SECONDS = 300
_STOP_SECONDS = 30
# Of a run of the engine; after a reboot the pids in them are those of strangers.
_RUN_FILES = ("dockerd.pid", "exec")
# Not `data`: that was written by a newer engine, which earlier versions of Kindling built.
_DATA, _OLD_DATA = "docker", "data"
_BRIDGE = "docker0"
_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# containerd's image store: images have the digests that a registry will know them by, and can
# be written as OCI archives, byte for byte the same ones each time.
_CONFIGURATION = {"features": {"containerd-snapshotter": True}}
# Apart from a system engine's, should both share the system's containerd.
NAMESPACE = "kindling"
_TRACES = (*_RUN_FILES, "dockerd.log", "daemon.json")
_PROGRAMS = ("dockerd", "containerd", "docker-proxy")


@dataclass(frozen=True)
class Running:
    """An engine that answers."""

    docker: Path
    host: str
    owned: bool


def default_host() -> str:
    """The address that the user's own client would use."""
    return os.environ.get("DOCKER_HOST") or f"unix://{SOCKET}"


def own_host() -> str:
    """The address of our engine, running or not: the usual socket if that is free."""
    if running := _processes("--data-root="):
        return next(w for w in running[0][1] if w.startswith("--host="))[len("--host=") :]
    return f"unix://{SOCKET}" if not SOCKET.exists() or _is_stale(SOCKET) else _own_socket()


def answers(docker: Path, host: str, seconds: float = 0) -> bool:
    """Whether an engine answers at ``host``, now or within about ``seconds``."""
    deadline = time.monotonic() + seconds
    while not _answers_now(docker, host):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.5)
    return True


def _answers_now(docker: Path, host: str) -> bool:
    try:
        done = subprocess.run(
            [docker, "info", "--format", "{{.ServerVersion}}"],
            env={**os.environ, "DOCKER_HOST": host},
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())


def missing_capabilities(status: Path = Path("/proc/self/status")) -> list[int]:
    """Numbers of the capabilities that this machine withholds even from root."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    bounding = next(
        int(line.split()[1], 16)
        for line in status.read_text().splitlines()
        if line.startswith("CapBnd")
    )
    return [number for number in range(last + 1) if not bounding >> number & 1]


def start(docker: Path, binaries: Sequence[Path]) -> str:
    """Start our engine, whose programs lie in ``binaries``, and return its address.

    Raises KindlingError with the log's last lines when it does not answer in some minutes.
    """
    folder = paths.engine_dir()
    folder.mkdir(parents=True, exist_ok=True)
    _end_processes()
    _unmount_below(folder)
    _remove(folder / name for name in _RUN_FILES)
    if not any((folder / _OLD_DATA / "containers").glob("*")):
        _remove([folder / _OLD_DATA])
    host = own_host()
    # Nothing of a system engine's configuration, which may name other folders and sockets.
    (folder / "daemon.json").write_text(json.dumps(_CONFIGURATION))
    path = os.pathsep.join([*map(str, binaries), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    names = ("HOME", "SSL_CERT_FILE", *proxies, *(name.lower() for name in proxies))
    kept = {name: os.environ[name] for name in names if os.environ.get(name)}
    dockerd = shutil.which("dockerd", path=path)
    if dockerd is None:
        raise KindlingError("dockerd is missing", next_step="nox -s doctor")
    # An engine that finds forwarding off turns it on, and drops what the host forwards itself.
    if _IP_FORWARD.read_text().strip() == "0":
        _IP_FORWARD.write_text("1")
    log = folder / "dockerd.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                dockerd,
                f"--host={host}",
                f"--data-root={folder / _DATA}",
                f"--exec-root={folder / 'exec'}",
                f"--pidfile={folder / 'dockerd.pid'}",
                f"--config-file={folder / 'daemon.json'}",
                f"--containerd-namespace={NAMESPACE}",
                f"--containerd-plugins-namespace={NAMESPACE}-plugins",
                "--group=root",
            ],
            # Nothing of this run's environment: the engine outlives the run that started it.
            env={**kept, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if answers(docker, host):
            return host
        if process.poll() is not None:
            break
        time.sleep(0.1)
    words = "\n  ".join(log.read_text(errors="replace").splitlines()[-8:])
    stop()
    raise KindlingError(
        f"the container engine did not start:\n  {words}", next_step="nox -s doctor"
    )


def own_containerd() -> Path:
    """The socket of the containerd that our engine runs, unless it uses the system's."""
    return paths.engine_dir() / "exec" / "containerd" / "containerd.sock"


def own_pid() -> int | None:
    """The pid of our engine if it runs."""
    running = _processes("--data-root=")
    return running[0][0] if running else None


def own_program() -> Path | None:
    """The dockerd that our engine runs of, if it runs."""
    running = _processes("--data-root=")
    return Path(running[0][1][0]) if running else None


def has_bridge() -> bool:
    """Whether the bridge of the default network is there: another daemon may have removed it."""
    return (Path("/sys/class/net") / _BRIDGE).exists()


def stop() -> bool:
    """Stop our engine and remove its traces but for its data; whether there was anything."""
    folder = paths.engine_dir()
    host = own_host()
    _end_processes()
    # A killed dockerd leaves its data mounted on itself, which the next one would not undo.
    _unmount_below(folder)
    there = [folder / name for name in _TRACES if (folder / name).exists()]
    if not there:
        return False
    if not _another_engine():
        _remove_host_traces()
    socket_file = Path(host.removeprefix("unix://"))
    if socket_file.exists() and _is_stale(socket_file):
        socket_file.unlink()
    # Last: what is there tells the next call that there is something to do.
    _remove(there)
    return True


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        if file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)


def _another_engine() -> bool:
    """Whether an engine that is not ours runs on this machine."""
    for name in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if name.read_text().strip() == "dockerd" and alive(int(name.parent.name)):
                return True
    return SOCKET.exists() and not _is_stale(SOCKET)


def remove_data() -> bool:
    """Remove what our stopped engine stored; whether there was anything."""
    folder = paths.engine_dir()
    if not folder.exists():
        return False
    _unmount_below(folder)
    shutil.rmtree(folder)
    return True


def _unmount_below(folder: Path) -> None:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted(mounts, reverse=True):
        if Path(mount).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", mount], capture_output=True)


def _remove_host_traces() -> None:
    """A stopped engine leaves a bridge, rules and empty folders. No other engine may run here."""
    for folder in ("containerd/s", "containerd", "docker/plugins", "docker"):
        with contextlib.suppress(OSError):
            (Path("/run") / folder).rmdir()
    subprocess.run(["ip", "link", "delete", _BRIDGE], capture_output=True)
    for tool in ("iptables", "ip6tables"):
        for table in ("nat", "filter"):
            listed = subprocess.run(
                [tool, "--table", table, "--list-rules"], capture_output=True, text=True
            )
            rules = [line.split() for line in listed.stdout.splitlines()]
            own = [words[1] for words in rules if words[0] == "-N" and "DOCKER" in words[1]]
            jumps = [words[1:] for words in rules if words[0] == "-A" and words[1] not in own
                     and (words[-1] in own or _BRIDGE in words)]  # fmt: skip
            changes = [["--delete", *words] for words in jumps]
            changes += [
                [action, chain] for action in ("--flush", "--delete-chain") for chain in own
            ]
            for change in changes:
                subprocess.run([tool, "--table", table, *change], capture_output=True)


def _own_socket() -> str:
    return f"unix://{paths.engine_dir() / 'docker.sock'}"


def _is_stale(path: Path) -> bool:
    """Whether a socket is there with nobody behind it."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _processes(own: str = "") -> list[tuple[int, list[str]]]:
    """Pids and words of an engine's programs that name our folder.

    ``own`` is the option whose value must be in the folder; by default any word will do.
    """
    prefix, found = f"{own}{paths.engine_dir()}/", []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        is_engine = Path(words[0]).name.startswith(_PROGRAMS)
        if is_engine and any(word.startswith(prefix) for word in words[1:]):
            found.append((int(entry.name), words))
    return found


def _end_processes() -> None:
    # First dockerd, which ends its containerd; then whatever a killed dockerd left.
    _end([pid for pid, _ in _processes("--data-root=")])
    _end([pid for pid, _ in _processes()])


def _end(pids: list[int]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.05)
