"""The generator against a server that really listens: what it sends, when, and what it records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_service import FakeService, Stall, known, right
from waiting import LONGEST, until

from kindling import paths, processes
from kindling.errors import KindlingError
from loadtests import clock
from loadtests.child import HERE
from loadtests.load import Generator, Mix, Stage
from loadtests.timeline import Timeline

ONLY_PREDICT = Mix(predict=1, chat=0, batches=((1, 1), (3, 1)))


def _run(
    server: FakeService, folder: Path, *stages: Stage, mix: Mix = ONLY_PREDICT, number: int = 1
) -> tuple[Generator, Timeline]:
    timeline = Timeline()
    with Generator.start(
        server.url, stages, mix, folder, timeline, commands=[HERE] * number, data=known()
    ) as generator:
        assert generator.wait(LONGEST)
    return generator, timeline


def _total(timeline: Timeline, field: str) -> float:
    return sum(float(moment.fields[field]) for moment in timeline.of("load"))


def test_every_request_is_sent_once_when_it_was_to_be_and_answered_right(tmp_path: Path) -> None:
    with FakeService() as server:
        plan = Stage("low", 0.5, 20, 8), Stage("high", 0.5, 60, 8)
        generator, timeline = _run(server, tmp_path, *plan, mix=Mix(predict=1, chat=1), number=2)
    samples = generator.samples()
    expected = [turn / 20 for turn in range(10)] + [0.5 + turn / 60 for turn in range(30)]
    # Both processes together, to the microsecond that the files have.
    assert samples.intended - generator.begin == pytest.approx(expected, abs=2e-6)
    assert server.requests == len(samples) == 40
    assert set(samples.outcome.tolist()) == {"ok"}
    assert set(samples.name.tolist()) == {"predict", "chat"}
    assert set(samples.status.tolist()) == {200}
    assert (samples.started >= samples.intended - 1e-5).all()
    assert (samples.ended > samples.started).all()
    assert _total(timeline, "started") == _total(timeline, "finished") == 40
    asked = sum(m.fields["asked"] * m.fields["seconds"] for m in timeline.of("load"))
    assert asked == pytest.approx(40)
    assert {moment.name for moment in timeline.of("load")} == {"load-0", "load-1"}


def test_the_timeline_has_the_stages_by_the_clock_of_all_processes(tmp_path: Path) -> None:
    with FakeService() as server:
        generator, timeline = _run(
            server, tmp_path, Stage("a", 0.3, 20, 4), Stage("b", 0.2, None, 3), number=2
        )
    found = [(m.name, round(m.time - generator.begin, 3), m.fields) for m in timeline.of("stage")]
    assert found == [
        ("a", 0.0, {"phase": "begin", "rate": 20}),
        ("a", 0.3, {"phase": "end", "rate": 20}),
        ("b", 0.3, {"phase": "begin", "users": 3}),
        ("b", 0.5, {"phase": "end", "users": 3}),
    ]


def test_a_stall_is_in_the_latency_of_all_that_was_to_be_sent_meanwhile(tmp_path: Path) -> None:
    # Two users: most of what is asked for during the stall cannot even be sent.
    stall = Stall(at=20, seconds=1.0)
    with FakeService(gate=stall) as server:
        generator, timeline = _run(server, tmp_path, Stage("s", 2, 50, 2))
    samples = generator.samples()
    assert len(samples) == 100
    assert samples.intended - generator.begin == pytest.approx(np.arange(100) / 50, abs=2e-6)
    during = samples.between(stall.begin, stall.end)
    # Of the second of the stall, as the server measured it, nearly all at 50 a second.
    assert len(during) >= 45
    assert (during.ended >= stall.end).all()
    assert (during.latency >= stall.end - during.intended - 1e-5).all()
    # It was the server's doing, and is told so.
    assert _total(timeline, "held") >= 45


def test_a_closed_loop_has_so_many_users_and_each_waits_for_its_answer(tmp_path: Path) -> None:
    with FakeService(gate=lambda: time.sleep(0.02)) as server:
        generator, timeline = _run(
            server, tmp_path, Stage("three", 0.5, None, 3), Stage("one", 0.3, None, 1)
        )
    samples = generator.samples()
    assert server.most_in_flight == 3
    assert len(samples) == server.requests > 10
    assert (samples.intended == samples.started).all()
    alone = np.flatnonzero(samples.started >= generator.begin + 0.5)
    # The three may still be under way when the one begins.
    starts, ends = samples.started[alone][3:], samples.ended[alone][3:]
    assert (starts[1:] >= ends[:-1] - 1e-5).all()
    assert {moment.fields["asked"] for moment in timeline.of("load")} == {0}


def test_a_request_without_a_right_answer_says_why_and_is_not_sent_again(tmp_path: Path) -> None:
    kinds = [
        (503, b'{"error":{"code":"overloaded","message":"m"}}'), (500, b"<html>"), (302, b""),
        (0, b""), (200, b"{}"), None,
    ]  # fmt: skip

    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        return kinds[server.requests % len(kinds)] or right(body)

    with FakeService(answer=answer) as server:
        # One user: the server has no two requests at once.
        generator, timeline = _run(server, tmp_path, Stage("s", 1, 30, 1))
    samples = generator.samples()
    assert server.requests == len(samples) == 30
    found = zip(samples.status, samples.outcome, samples.reason, strict=True)
    assert Counter((int(code), str(outcome), str(reason)) for code, outcome, reason in found) == {
        (503, "failed", "503 overloaded"): 5,
        (500, "failed", "500"): 5,
        (302, "failed", "302"): 5,
        (0, "failed", "closed"): 5,
        (200, "wrong", "model"): 5,
        (200, "ok", ""): 5,
    }
    assert [_total(timeline, field) for field in ("finished", "failed", "wrong")] == [30, 20, 5]


def test_nobody_there_is_a_failure_of_each_request(tmp_path: Path) -> None:
    with FakeService() as server:
        pass
    generator, _ = _run(server, tmp_path, Stage("s", 0.5, 20, 4))
    samples = generator.samples()
    assert Counter(samples.reason.tolist()) == {"refused": 10}


def test_connections_are_renewed_so_that_new_pods_get_their_share(tmp_path: Path) -> None:
    ports: set[int] = set()
    with FakeService() as server:
        handler = server._server.RequestHandlerClass
        setup = handler.setup

        def counted(self: Any) -> None:
            ports.add(self.client_address[1])
            setup(self)

        handler.setup = counted  # type: ignore[method-assign]
        mix = Mix(predict=1, chat=0, connection_seconds=0.2)
        _run(server, tmp_path, Stage("s", 1.5, 20, 1), mix=mix)
    # Each lasts 0.1 to 0.3 s of these 1.5, and the 30 requests share them.
    assert 3 <= len(ports) < 30


def test_stopped_it_leaves_whole_files_and_does_not_count_what_is_under_way(
    tmp_path: Path,
) -> None:
    opened = threading.Event()

    def shut() -> None:
        with server.lock:
            number = server.requests
        if number > 10:
            opened.wait(LONGEST)

    timeline = Timeline()
    with FakeService(gate=shut) as server:
        try:
            generator = Generator.start(
                server.url, [Stage("s", 600, 50, 4)], ONLY_PREDICT, tmp_path, timeline, data=known()
            )
            until(lambda: server.in_flight == 4, "four requests hang")
            assert not generator.wait(0)
            assert generator.running
            generator.stop()
            assert not generator.running
            assert generator.wait(0)
        finally:
            opened.set()
    (file,) = tmp_path.glob("requests-*.tsv")
    text = file.read_text()
    assert text.endswith("\n")
    assert {line.count("\t") for line in text.splitlines()} == {6}
    samples = generator.samples()
    assert len(samples) == _total(timeline, "finished") >= 10
    assert set(samples.outcome.tolist()) == {"ok"}
    assert _total(timeline, "started") == len(samples) + 4
    assert [moment.fields["phase"] for moment in timeline.of("stage")] == ["begin", "end"]


_PARENT = """
import sys, time
from pathlib import Path
from fake_service import known
from loadtests import clock
from loadtests.child import HERE
from loadtests.load import Generator, Mix, Stage
from loadtests.timeline import Timeline

url, folder = sys.argv[1:]
generator = Generator.start(
    url, [Stage("s", 600, 20, 4)], Mix(1, 0), Path(folder), Timeline(), commands=[HERE] * 2,
    data=known(),
)
print(*(child.process.pid for child in generator._children), flush=True)
time.sleep(600)
"""


def test_the_load_ends_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    path = os.pathsep.join([str(paths.REPOSITORY), here, str(Path(here).parent)])
    with (
        FakeService() as server,
        subprocess.Popen(
            [sys.executable, "-c", _PARENT, server.url, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True,
        ) as parent,
    ):  # fmt: skip
        assert parent.stdout
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(processes.alive, pids))
        parent.send_signal(signal.SIGKILL)
        until(lambda: not any(map(processes.alive, pids)), "the processes of the load ended")


def test_a_process_that_cannot_start_is_an_error_that_says_why(tmp_path: Path) -> None:
    stages, command = [Stage("s", 1, 1, 1)], (sys.executable, "-c", "raise SystemExit('no way')")
    with pytest.raises(KindlingError, match="ended with 1: no way") as caught:
        Generator.start(
            "http://127.0.0.1:9", stages, Mix(), tmp_path, Timeline(), commands=[command],
            data=known(),
        )  # fmt: skip
    assert str(tmp_path / "load-0.log") in caught.value.next_step


def test_a_process_with_another_clock_is_an_error(tmp_path: Path) -> None:
    program = "import time; print(f'{{\"at\": {time.time() + 90}}}', flush=True); time.sleep(600)"
    command = (sys.executable, "-c", program)
    with pytest.raises(KindlingError, match=r"a clock that is \+\d\d\.\d s off ours"):
        Generator.start(
            "http://127.0.0.1:9", [Stage("s", 1, 1, 1)], Mix(), tmp_path, Timeline(),
            commands=[command], data=known(),
        )  # fmt: skip


STEPPING = """
import itertools, runpy, time
import loadtests.clock
real, calls = time.time, itertools.count()
time.time = lambda: real() + (50 if next(calls) % 2 else -50)
runpy.run_module("loadtests.runner", run_name="__main__")
"""


def test_a_clock_that_is_set_during_the_load_changes_no_latency(tmp_path: Path) -> None:
    timeline, plan = Timeline(), (Stage("steady", 0.5, 20, 8), Stage("closed", 0.5, None, 2))
    with (
        FakeService() as server,
        Generator.start(
            server.url, plan, ONLY_PREDICT, tmp_path, timeline,
            commands=[(sys.executable, "-c", STEPPING)], data=known(),
        ) as generator,
    ):  # fmt: skip
        assert generator.wait(LONGEST)
    samples = generator.samples()
    assert set(samples.outcome.tolist()) == {"ok"}
    assert len(samples.where(samples.intended < generator.begin + 0.5)) == 10
    # Far less than a step, and far more than any request takes.
    assert (samples.latency >= 0).all()
    assert (samples.latency < 40).all()
    moments = [moment.time - generator.begin for moment in timeline]
    assert min(moments) > -40
    assert max(moments) < 40


def test_a_process_of_this_machine_goes_by_the_clock_of_who_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set between the starts of both, the wall clock would part them."""
    monkeypatch.setattr(clock, "_offset", clock.offset() - 7200)
    with FakeService() as server:
        generator, _ = _run(server, tmp_path, Stage("steady", 0.5, 20, 8))
    samples = generator.samples()
    assert len(samples) == 10
    assert (np.abs(samples.intended - generator.begin) < 60).all()


def test_a_process_that_is_killed_is_an_error(tmp_path: Path) -> None:
    with FakeService() as server:
        generator = Generator.start(
            server.url, [Stage("s", 600, 20, 4)], ONLY_PREDICT, tmp_path, Timeline(), data=known()
        )
        generator._children[0].process.kill()
        with pytest.raises(KindlingError, match="ended with -9"):
            generator.wait(LONGEST)


_UNSENT = """
import io
from contextlib import suppress
from gevent import GreenletExit
from loadtests.stages import Stage
from loadtests.turns import Turns

rows = io.StringIO()
turns = Turns([Stage("s", 1, 30, 4)], rows, process=0, processes=1, think=0)
turns.begin(1000.0)
for number, turn in zip(range(3), turns.of_user(0)):
    with suppress(GreenletExit), turn:
        # The time of all is up; at the third one, somebody stops the run.
        turns.stopped = number == 2
        raise GreenletExit
turns.unsent()
print(rows.getvalue(), end="")
"""


def test_what_came_to_nothing_by_the_end_has_failed_unless_it_was_stopped() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _UNSENT], cwd=paths.REPOSITORY, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [float(row[0]) for row in rows] == pytest.approx(
        [1000 + turn / 30 for turn in range(30) if turn != 2], abs=2e-6
    )
    nothing = ["unknown", "0", "failed"]
    assert [row[3:] for row in rows] == [[*nothing, "no answer"]] * 2 + [
        [*nothing, "not sent"]
    ] * 27


def test_neither_gevent_nor_locust_is_in_this_process() -> None:
    program = "import loadtests.load, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=paths.REPOSITORY, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert not {"gevent", "locust", "geventhttpclient"} & set(json.loads(done.stdout))
