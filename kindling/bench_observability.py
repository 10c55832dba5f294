"""What being observed costs the model service, in requests per second.

Services with the same model stand side by side on one core, and are driven from another in turn,
one request after the other on each of a few connections, so that a slow moment of the machine slows
all. Each is started some times: how a process happens to lie in memory makes it faster or slower
for as long as it lives. They are


- on: every setting that observes, traces of the default ratio, as many a second as its bound
  allows, sent to a collector, a log line for each request, ids of predictions, and /metrics scraped
  every 5 seconds; it is what the limit is for;
- unbound: the same without a bound on traces, of which it then sends dozens of times as many;
- off: no traces, no ids, errors alone are logged, no scrapes, and the metrics of requests and runs
  count nothing: their calls are replaced, for no setting switches them off.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kindling import paths
from kindling.cores import two_cores
from kindling.errors import KindlingError

_LIMIT = 0.90
_SCRAPE_SECONDS = 5.0
_START_SECONDS = 60.0
_PREFIX = "KINDLING_SERVICE_"
_OFF = """
import sys
from service import __main__ as command, endings, metrics_inference, sketch

def nothing(*_, **__): pass

endings.Endings.add = metrics_inference.InferenceMetrics.ran = sketch.Sketch.rows = nothing
sys.exit(command.main())
"""
_MODEL = """
import hashlib, pathlib, sys
from pipeline import digits
from service.copies import Copies

package, cache = map(pathlib.Path, sys.argv[1:])
package.mkdir()
digits.write_package(package)
copies = Copies(cache)
workspace, digests = copies.workspace("digits"), {}
for name in digits.PACKAGE:
    content = (package / name).read_bytes()
    (workspace / name).write_bytes(content)
    digests[name] = hashlib.sha256(content).hexdigest()
copies.note("digits", copies.keep("digits", "1", digests, workspace))
"""


@dataclass(frozen=True)
class Service:
    """A service that runs: its port, and its process for what it costs."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def serves(self) -> bool:
        """Whether it serves a model."""
        try:
            return "model_info{" in self.metrics()
        except OSError:
            return False

    def metrics(self) -> str:
        """What it tells a scraper that asks for OpenMetrics."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
        with closing(connection):
            connection.request("GET", "/metrics", headers=accept)
            return connection.getresponse().read().decode()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 1 if being observed costs more than it may."""
    parser = argparse.ArgumentParser(prog="nox -s bench-observability --", allow_abbrev=False)
    parser.add_argument("--starts", type=int, default=4, help="how often each is started")
    parser.add_argument("--turns", type=int, default=24, help="how often each is driven then")
    parser.add_argument("--seconds", type=float, default=0.5, help="for how long each time")
    parser.add_argument("--connections", type=int, default=8, help="requests at once")
    arguments = parser.parse_args(argv)
    if arguments.starts < 1 or arguments.turns < 2 or arguments.turns % 2:
        parser.error("--starts is 1 at least, and --turns an even number")
    # So that no service is left.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _measure(arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (KindlingError, OSError) as error:
        shown = error.for_people() if isinstance(error, KindlingError) else error
        print(f"error: {shown}", file=sys.stderr)
        return 1


def _measure(arguments: argparse.Namespace) -> int:
    core, other = two_cores()
    # What this process does, and the collector, is not the services' affair.
    os.sched_setaffinity(0, {other})
    found = []
    for _ in range(arguments.starts):
        with ExitStack() as stack:
            found.append(_measure_once(stack, arguments, core))
    on, unbound, off = (
        [rate for rates in found for rate in rates[name]] for name in ("on", "unbound", "off")
    )
    print(f"unbound/off {ratio_of(unbound, off):.3f}, for comparison")
    ratio = ratio_of(on, off)
    print(f"on/off {ratio:.3f}, at least {_LIMIT:.2f} wanted")
    return 0 if ratio >= _LIMIT else 1


def _measure_once(
    stack: ExitStack, arguments: argparse.Namespace, core: int
) -> dict[str, list[float]]:
    """Requests per second of each of the services, turn by turn."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    cache = keep_model(folder)
    log = folder / "sink.log"
    stack.enter_context(_process(["-m", "kindling.bench_sink"], log, {}))
    _until(lambda: log.read_text().endswith("\n"), "the collector listens", log)
    sink = int(log.read_text())
    on = {
        "OTLP_ENDPOINT": f"http://127.0.0.1:{sink}/v1/traces",
        "FEEDBACK_KEY": "only-for-this-benchmark",
    }
    programs = {
        "on": (["-m", "service"], on),
        "unbound": (["-m", "service"], on | {"TRACE_MAX_PER_SECOND": "10000"}),
        "off": (["-c", _OFF], {"LOG_LEVEL": "error"}),
    }
    services = {
        name: stack.enter_context(
            serving(folder / f"{name}.log", cache, program, settings, core=core)
        )
        for name, (program, settings) in programs.items()
    }
    for name in ("on", "unbound"):
        stack.enter_context(_scraped(services[name]))
    _drive(services, 2, 1.0, arguments.connections)
    before = {name: service.cpu_seconds() for name, service in services.items()}
    rates = _drive(services, arguments.turns, arguments.seconds, arguments.connections)
    for name, service in services.items():
        answers = sum(rates[name]) * arguments.seconds
        cpu = (service.cpu_seconds() - before[name]) / answers * 1e6
        print(
            f"{name:<8}{statistics.median(rates[name]):7.0f} requests/s in the median of"
            f" {arguments.turns} turns, {cpu:4.0f} us of processor time for each"
        )
    # What is still waiting is sent within seconds.
    time.sleep(7)
    sent = [_spans(services[name]) for name in ("on", "unbound")]
    print(f"{sent[0]} and {sent[1]} spans were sent, none lost", flush=True)
    return rates


def ratio_of(on: Sequence[float], off: Sequence[float]) -> float:
    """What is left of the rate: the median over turns that stood beside each other.

    Means of two neighbours, of which each was first once: what came first had a quieter machine, or
    a busier one, while the other had not.
    """
    pairs = [
        (on[turn] + on[turn + 1]) / (off[turn] + off[turn + 1]) for turn in range(0, len(on) - 1, 2)
    ]
    return statistics.median(pairs)


def keep_model(folder: Path) -> Path:
    """Train the digits model in ``folder``; a cache of a service that has a copy of it."""
    cache = folder / "cache"
    _run([sys.executable, "-c", _MODEL, str(folder / "package"), str(cache)])
    return cache


def _drive(
    services: dict[str, Service], turns: int, seconds: float, connections: int
) -> dict[str, list[float]]:
    """Requests per second of each, turn by turn; the load comes from a process of its own."""
    ports = [str(service.port) for service in services.values()]
    words = [*ports, str(turns), str(seconds), str(connections)]
    said = _run([sys.executable, "-m", "kindling.bench_traffic", *words])
    return dict(zip(services, json.loads(said), strict=True))


@contextmanager
def serving(
    log: Path,
    cache: Path,
    program: Sequence[str],
    settings: dict[str, str],
    *,
    core: int | None = None,
) -> Iterator[Service]:
    """``program`` as a service of what is in ``cache``, with these settings, until it is left.

    It runs on ``core`` alone, if one is given.
    """
    # The line that says on which port it listens is none of those that "off" logs.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    values = {"CACHE_DIR": cache, "LISTEN_HOST": "127.0.0.1", "LISTEN_PORT": port, **settings}
    with _process(
        program, log, {_PREFIX + name: str(v) for name, v in values.items()}, core
    ) as pid:
        service = Service(port, pid)
        _until(service.serves, "the service serves its model", log)
        yield service


def _until(condition: Callable[[], bool], what: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise KindlingError(
                f"waited {_START_SECONDS:g} s until {what}: {log.read_text()[-2000:]}"
            )
        time.sleep(0.1)


def _spans(service: Service) -> int:
    """Spans that it sent. Raises KindlingError if it lost any."""
    counts = dict(re.findall(r"^(trace_spans_\S+) (\d+)", service.metrics(), re.MULTILINE))
    lost = sum(int(count) for name, count in counts.items() if "dropped" in name)
    if lost:
        raise KindlingError(f"{lost} spans were not sent")
    return int(counts["trace_spans_exported_total"])


@contextmanager
def _scraped(service: Service) -> Iterator[None]:
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(_SCRAPE_SECONDS):
            service.metrics()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _process(
    words: Sequence[str], log: Path, settings: dict[str, str], core: int | None = None
) -> Iterator[int]:
    """A process whose lines go to ``log`` by way of a pipe, as those of a container do."""
    process = subprocess.Popen(
        [sys.executable, *words], cwd=paths.REPOSITORY, env={**os.environ, **settings},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
    )  # fmt: skip
    log.touch()
    keeper = threading.Thread(target=_keep, args=(process, log))
    keeper.start()
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
        keeper.join()


def _keep(process: subprocess.Popen[bytes], log: Path) -> None:
    assert process.stdout is not None
    with process.stdout, log.open("wb", buffering=0) as kept:
        while lines := os.read(process.stdout.fileno(), 65_536):
            kept.write(lines)


def _run(words: Sequence[str]) -> str:
    done = subprocess.run(words, cwd=paths.REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        raise KindlingError(f"{words[2]} failed: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
