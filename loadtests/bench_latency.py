"""How true the latencies are while the service stalls, beside arithmetic and a compiled generator.

The service is stopped for some seconds in the middle of an open loop. What was to be sent in those
waited for the rest of them: of 60 s with a stall of 6 s, one request in a hundred waited for 5.4 s
or longer, if none was left out. Whoever sends nothing while it waits sees a p99 of milliseconds.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kindling import paths
from kindling.bench_observability import Service, keep_model, serving
from kindling.errors import KindlingError
from kindling.supply import golang
from kindling.supply.store import Store, build_all
from loadtests import clock
from loadtests.load import Generator, Mix, Stage, sustained
from loadtests.timeline import Timeline

_LEAST_OF_ARITHMETIC, _MOST_OF_COMPILED = 0.95, 1.1
_USERS = 256
_BODY = paths.REPOSITORY / "service" / "example.json"
_VEGETA = golang.Program("vegeta", "bench", {"vegeta": "github.com/tsenart/vegeta/v12"})


@dataclass(frozen=True)
class Load:
    """What both generators are asked for."""

    rate: float
    seconds: float
    stall: float


@dataclass(frozen=True)
class Measured:
    """Latencies in seconds, how long the stall really was, and processor time in seconds."""

    latencies: NDArray[np.float64]
    stall: float
    cpu: float

    @property
    def p99(self) -> float:
        return float(np.percentile(self.latencies, 99))

    def tell(self, name: str) -> None:
        median = float(np.median(self.latencies))
        each = self.cpu / len(self.latencies)
        print(
            f"{name:<10}{len(self.latencies)} requests, stalled for {self.stall:.3f} s:"
            f" p50 {median * 1e3:.2f} ms, p99 {self.p99:.3f} s;"
            f" {each * 1e6:.0f} us of processor time for each"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 1 if the latencies are not true."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_latency", allow_abbrev=False)
    parser.add_argument("--rate", type=float, default=50, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60, help="how long it is driven")
    parser.add_argument("--stall", type=float, default=6, help="how long of it the service stalls")
    parser.add_argument("--alone", action="store_true", help="without a compiled generator")
    arguments = parser.parse_args(argv)
    load = Load(arguments.rate, arguments.seconds, arguments.stall)
    try:
        return _compare(load, None if arguments.alone else _vegeta())
    except (KindlingError, OSError) as error:
        shown = error.for_people() if isinstance(error, KindlingError) else error
        print(f"error: {shown}", file=sys.stderr)
        return 1


def _compare(load: Load, vegeta: Path | None) -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # All that waited come at once, and are to be served and not refused.
        settings = {"MAX_IN_FLIGHT": "100000", "LOG_LEVEL": "error"}
        log, cache = folder / "service.log", keep_model(folder)
        with serving(log, cache, ["-m", "service"], settings) as service:
            ours = _ours(service, load, folder)
            theirs = _theirs(service, load, folder, vegeta) if vegeta else None
    floor = ours.stall - load.seconds / 100
    ratio = ours.p99 / floor
    print(f"p99 / arithmetic {ratio:.3f}, at least {_LEAST_OF_ARITHMETIC} wanted")
    fair = ratio >= _LEAST_OF_ARITHMETIC
    if theirs:
        theirs.tell("vegeta")
        # Each by its own stall, which no two runs have of the same length.
        ratio = (ours.p99 / ours.stall) / (theirs.p99 / theirs.stall)
        print(f"p99 / p99 of vegeta {ratio:.3f}, at most {_MOST_OF_COMPILED} wanted")
        fair = fair and ratio <= _MOST_OF_COMPILED
    return 0 if fair else 1


def _ours(service: Service, load: Load, folder: Path) -> Measured:
    timeline = Timeline()
    stages = [Stage("stalled", load.seconds, load.rate, _USERS)]
    mix = Mix(predict=1, chat=0, batches=((1, 1),))
    url = f"http://127.0.0.1:{service.port}"
    with Generator.start(url, stages, mix, folder / "ours", timeline) as generator:
        stalled = _stall(service, load, generator.begin)
        generator.wait()
    cpu = sum(m.fields["cpu"] * m.fields["seconds"] for m in timeline.of("load"))
    samples = generator.samples()
    if wrong := len(samples) - int((samples.outcome == "ok").sum()):
        raise KindlingError(f"{wrong} of {len(samples)} requests had no right answer")
    measured = Measured(samples.latency, stalled, cpu)
    measured.tell("ours")
    for problem in sustained(timeline):
        print(f"not what was asked for: {problem}")
    return measured


def _theirs(service: Service, load: Load, folder: Path, vegeta: Path) -> Measured:
    targets, results = folder / "targets", folder / "results"
    targets.write_text(
        f"POST http://127.0.0.1:{service.port}/predict\nContent-Type: application/json\n@{_BODY}\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Without a bound on its workers, it sends on time whatever is answered.
    with subprocess.Popen(
        [
            vegeta, "attack", f"-targets={targets}", f"-output={results}", "-timeout=30s",
            f"-rate={load.rate:g}/1s", f"-duration={load.seconds:g}s",
        ],
        stdout=subprocess.DEVNULL,
    ) as attack:  # fmt: skip
        stalled = _stall(service, load, clock.now())
        attack.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    encoded = subprocess.run(
        [vegeta, "encode", "-to=csv", results], check=True, capture_output=True, text=True
    )
    # Of a line: when, the status, the latency in nanoseconds.
    rows = [line for line in csv.reader(encoded.stdout.splitlines()) if line]
    if refused := sum(row[1] != "200" for row in rows):
        raise KindlingError(f"{refused} of {len(rows)} requests of vegeta were not answered by 200")
    return Measured(np.array([int(row[2]) / 1e9 for row in rows]), stalled, cpu)


def _stall(service: Service, load: Load, begin: float) -> float:
    """Stop the service a third of the way; how many seconds it was for."""
    time.sleep(max(0.0, begin + load.seconds / 3 - clock.now()))
    os.kill(service.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        time.sleep(load.stall)
    finally:
        os.kill(service.pid, signal.SIGCONT)
    return time.monotonic() - stopped


def _vegeta() -> Path | None:
    """The compiled generator, built if need be."""
    store, toolchain = Store(paths.store_dir()), golang.toolchain()
    step = golang.program(_VEGETA, toolchain)
    try:
        build_all([step], store, workers=1)
    except KindlingError as error:
        print(f"no compiled generator to compare with: {error.for_people()}")
        return None
    return store.path(step) / "vegeta"


if __name__ == "__main__":
    sys.exit(main())
