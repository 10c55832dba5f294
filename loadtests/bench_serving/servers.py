"""Servers that run on a core of their own: started, halted while others are asked, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from kindling import paths
from kindling.errors import KindlingError
from kindling.processes import alive, parent_of
from loadtests.bench_serving.models import Model
from loadtests.bench_serving.peers import Peer, Site, Start

_START_SECONDS = 120.0
_END_SECONDS = 10.0
# One thread for each server's arithmetic, whichever library does it.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Server:
    """A server that runs; ``first_answer`` is seconds from its start to its first right answer."""

    peer: Peer
    model: Model
    port: int
    pid: int
    first_answer: float

    def pause(self) -> None:
        """Halt all its processes, so that it takes nothing from another's turn."""
        _signal(family(self.pid), signal.SIGSTOP)

    def resume(self) -> None:
        _signal(family(self.pid), signal.SIGCONT)

    def memory(self) -> float:
        """MB of all its processes; what several of them share counts once (PSS)."""
        return sum(map(_proportional_kib, family(self.pid))) * 1024 / 1e6


@contextmanager
def running(
    peer: Peer, model: Model, python: Path, folder: Path, core: int, helpers: Helpers
) -> Iterator[Server]:
    """``peer`` with ``model`` on ``core``, until it is left. Raises KindlingError."""
    folder.mkdir(parents=True)
    port, *spare = _free_ports(3)
    site = Site(model, port, folder, python, (spare[0], spare[1]), helpers.registry, helpers.traces)
    log = folder / "log"
    began = time.monotonic()
    process = _spawn(peer.start(site), folder, log, core)
    try:
        _first_answer(peer, model, port, process, log)
        yield Server(peer, model, port, process.pid, time.monotonic() - began)
    finally:
        _end(process)


@dataclass(frozen=True)
class Helpers:
    """The ports of what our service speaks to: a registry, and what takes traces."""

    registry: int
    traces: int


@contextmanager
def helpers(model: Model, python: Path, folder: Path, core: int) -> Iterator[Helpers]:
    """A registry with ``model`` and a collector of traces, until they are left."""
    folder.mkdir(parents=True)
    package = str(model.folder / "package")
    commands = {
        "registry": [str(python), "-m", "loadtests.bench_serving.registry", package],
        "traces": [str(python), "-m", "kindling.bench_sink"],
    }
    with ExitStack() as stack:
        ports = {}
        for name, words in commands.items():
            log = folder / f"{name}.log"
            start = Start(words, {"PYTHONPATH": str(paths.REPOSITORY)})
            process = _spawn(start, folder, log, core)
            stack.callback(_end, process)
            ports[name] = _said_port(name, process, log)
        yield Helpers(**ports)


def family(pid: int) -> list[int]:
    """``pid`` and all that it and its children started, itself first."""
    parents = {
        int(entry.name): parent_of(int(entry.name))
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
    }
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _spawn(start: Start, folder: Path, log: Path, core: int) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # What they keep for the user goes with all else that they write.
    home = {"HOME": str(folder), "ORT_DISABLE_TELEMETRY": "1"}
    variables = {**kept, **home, **dict.fromkeys(_THREADS, "1"), **start.variables}
    with log.open("wb") as out:
        return subprocess.Popen(
            start.words, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )  # fmt: skip


def _first_answer(
    peer: Peer, model: Model, port: int, process: subprocess.Popen[bytes], log: Path
) -> None:
    """Ask until the answer is there."""
    deadline, body, said = time.monotonic() + _START_SECONDS, peer.request(model.rows[0]), ""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise KindlingError(f"it ended with code {process.returncode}: {_tail(log)}")
        with contextlib.suppress(OSError, HTTPException):
            connection = HTTPConnection("127.0.0.1", port, timeout=_START_SECONDS)
            with contextlib.closing(connection):
                connection.request(
                    "POST", peer.path(model), body, {"Content-Type": "application/json"}
                )
                response = connection.getresponse()
                said = f"{response.status}: {response.read().decode(errors='replace')[:300]}"
                if response.status == 200:
                    return
                # 404 may pass: some listen before they have their model.
                if 400 <= response.status < 500 and response.status != 404:
                    raise KindlingError(f"it answers {said}")
        time.sleep(0.02)
    raise KindlingError(f"no answer within {_START_SECONDS:g} s; {said} {_tail(log)}")


def _said_port(name: str, process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if (said := log.read_text()).endswith("\n"):
            return int(said)
        time.sleep(0.05)
    raise KindlingError(f"the benchmark's {name} did not start: {_tail(log)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it started; the rest is not asked twice."""
    # Once it has ended, those that it started are not its children any more.
    members = family(process.pid)
    _signal(members, signal.SIGCONT)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    _signal([pid for pid in members if alive(pid)], signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + _END_SECONDS
    while any(map(alive, members)) and time.monotonic() < deadline:
        time.sleep(0.02)


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _proportional_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _free_ports(many: int) -> list[int]:
    with ExitStack() as stack:
        taken = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(many)
        ]  # fmt: skip
        return [one.getsockname()[1] for one in taken]


def _tail(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-1500:]
