"""Rounds of turns: every server is asked in each, beside the others and never at their time."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path

from kindling import paths
from kindling.errors import KindlingError
from loadtests.bench_serving.figures import CONCURRENCIES, Figures, Turn
from loadtests.bench_serving.models import Model
from loadtests.bench_serving.peers import BASELINE, OURS, PEERS
from loadtests.bench_serving.servers import Server, helpers, running
from loadtests.bench_serving.traffic import Found, Plan

# So that its connections and its batches are what they will be.
_WARMUP_SECONDS = 0.4
_CHECKED_AT_ONCE = 16


@dataclass(frozen=True)
class Effort:
    """How much is measured, and on which cores: the servers on one, the load on another."""

    rounds: int
    seconds: float
    server_core: int
    load_core: int


Say = Callable[[str], None]


def measure(
    model: Model,
    pythons: dict[str, Path],
    folder: Path,
    effort: Effort,
    say: Say,
    baseline: Path = paths.REPOSITORY,
) -> dict[str, Figures]:
    """Measure each of ``pythons``, which says what runs each server, in ``effort.rounds`` rounds.

    A server that does not start, answers wrongly or fails under load is told, and measured no more.
    """
    found = {name: Figures(name) for name in pythons}
    with ExitStack() as stack:
        beside = stack.enter_context(
            helpers(model, pythons[OURS], folder / "helpers", effort.load_core)
        )
        servers: dict[str, Server] = {}
        for name, python in pythons.items():
            with _told(found[name], say):
                server = stack.enter_context(
                    running(
                        PEERS[name],
                        model,
                        python,
                        folder / name,
                        effort.server_core,
                        beside,
                        baseline,
                    )
                )
                found[name].first_answer = server.first_answer
                try:
                    check(server, effort)
                finally:
                    server.pause()
                servers[name] = server
                say(f"{name}: first answer after {server.first_answer:.2f} s")
        for turn in range(effort.rounds):
            say(f"round {turn + 1} of {effort.rounds}")
            for concurrency in CONCURRENCIES:
                # None is always the one that comes first.
                for name in _rotated(list(servers), turn):
                    with _told(found[name], say):
                        result = _turn(servers[name], concurrency, effort)
                        found[name].turns.setdefault(concurrency, []).append(result)
                    if found[name].wrong:
                        del servers[name]
        for name, server in servers.items():
            found[name].memory = server.memory()
    return found


def check(server: Server, effort: Effort) -> None:
    """Ask for every row once. Raises KindlingError unless each has scikit-learn's label."""
    rows = len(server.model.rows)
    plan = _plan(server, _CHECKED_AT_ONCE, effort.load_core, most=rows, keep=rows)
    answers = _send(plan).answers
    if len(answers) < rows:
        raise KindlingError(f"{len(answers)} answers to {rows} requests")
    _compare(server, answers)


def _turn(server: Server, concurrency: int, effort: Effort) -> Turn:
    server.resume()
    try:
        plan = _plan(
            server, concurrency, effort.load_core, warmup=_WARMUP_SECONDS, seconds=effort.seconds
        )
        with _scraped(server) if server.peer.name in (OURS, BASELINE) else contextlib.nullcontext():
            found = _send(plan)
    finally:
        server.pause()
    _compare(server, found.answers)
    if not found.latencies:
        raise KindlingError(f"no answer within {effort.seconds:g} s")
    return Turn.of(found.latencies, found.seconds, found.cpu)


def _plan(server: Server, connections: int, core: int, **more: float) -> Plan:
    peer, model = server.peer, server.model
    bodies = [peer.request(row) for row in model.rows]
    return Plan(server.port, peer.path(model), bodies, connections, core, **more)  # type: ignore[arg-type]


def _send(plan: Plan) -> Found:
    """Carry out ``plan`` in a process of its own. Raises KindlingError."""
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.bench_serving.traffic"], cwd=paths.REPOSITORY,
        input=json.dumps(asdict(plan)), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise KindlingError(done.stderr.strip()[-500:])
    return Found(**json.loads(done.stdout))


def _compare(server: Server, answers: Sequence[tuple[int, str]]) -> None:
    for which, answer in answers:
        label, right = server.peer.read(answer), server.model.labels[which]
        if label != right:
            raise KindlingError(f"row {which} is a {right}, and the answer is {answer[:200]}")


@contextmanager
def _scraped(server: Server) -> Iterator[None]:
    """As one scrapes it that watches it: once in a turn."""

    def scrape() -> None:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        # What fails here fails for those who ask for predictions too, and is told there.
        with contextlib.suppress(OSError), contextlib.closing(connection) as asked:
            asked.request("GET", "/metrics")
            asked.getresponse().read()

    timer = threading.Timer(2 * _WARMUP_SECONDS, scrape)
    timer.start()
    try:
        yield
    finally:
        timer.join()


@contextmanager
def _told(figures: Figures, say: Say) -> Iterator[None]:
    """Note why a server is measured no more."""
    try:
        yield
    except (KindlingError, OSError) as error:
        figures.wrong = str(error)
        say(f"{figures.name} is not ranked: {error}")


def _rotated(names: Sequence[str], by: int) -> list[str]:
    at = by % len(names) if names else 0
    return [*names[at:], *names[:at]]
