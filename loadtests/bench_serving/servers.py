"""Servers that run on a core of their own: started, halted while others are asked, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from kindling import paths
from kindling.errors import KindlingError
from loadtests.bench_serving import family
from loadtests.bench_serving.models import Model
from loadtests.bench_serving.peers import Peer, Site, Start

_START_SECONDS = 120.0
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
        family.tell(family.members(self.pid), signal.SIGSTOP)

    def resume(self) -> None:
        family.tell(family.members(self.pid), signal.SIGCONT)

    def memory(self) -> float:
        """MB of all its processes; what several of them share counts once (PSS)."""
        return family.memory(family.members(self.pid)) / 1e6


@contextmanager
def running(
    peer: Peer,
    model: Model,
    python: Path,
    folder: Path,
    core: int,
    helpers: Helpers,
    baseline: Path = paths.REPOSITORY,
) -> Iterator[Server]:
    """``peer`` with ``model`` on ``core``, until it is left. Raises KindlingError."""
    folder.mkdir(parents=True)
    port, *spare = _free_ports(3)
    site = Site(
        model,
        port,
        folder,
        python,
        (spare[0], spare[1]),
        helpers.registry,
        helpers.traces,
        baseline,
    )
    log, start = folder / "log", peer.start(site)
    began = time.monotonic()
    process = _spawn(start, folder, log, core)
    try:
        _first_answer(peer, model, port, process, log)
        yield Server(peer, model, port, process.pid, time.monotonic() - began)
    finally:
        family.end(process)


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
            stack.callback(family.end, process)
            ports[name] = _said_port(name, process, log)
        yield Helpers(**ports)


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
    """Ask until the right answer is there. Raises KindlingError if another comes, or none."""
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
                answer = response.read().decode(errors="replace")
                said = f"{response.status}: {answer[:300]}"
                if response.status == 200 and peer.read(answer) == model.labels[0]:
                    return
                # 404 and 5xx may pass: some listen before they have their model.
                if response.status < 500 and response.status != 404:
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


def _free_ports(many: int) -> list[int]:
    with ExitStack() as stack:
        taken = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(many)
        ]  # fmt: skip
        return [one.getsockname()[1] for one in taken]


def _tail(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-1500:]
