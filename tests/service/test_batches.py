"""Requests that share runs of their model: who is with whom, and what becomes of each."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import model_graphs as graphs
import numpy as np
import pytest
from fastapi.testclient import TestClient

from service import lane
from service.batch import Answers
from service.classifier import Classifier, Labels, Probabilities, Rows
from service.errors import PredictionFailedError, TimedOutError
from service.metrics import Metrics
from service.models import Served
from service.observed import CURRENT, Observed
from service.package import parse_descriptor
from service.predictor import Predictor
from service.quick import Estimate

FEATURES = graphs.FEATURES
BAD = 13.0


class Recording:
    """Says the first number of each row as its label; keeps the runs, and where they were."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.runs: list[int] = []
        self.threads: list[str] = []
        self._seconds = seconds

    def predict(self, rows: Rows, _: Any) -> tuple[Labels, Probabilities]:
        self.runs.append(len(rows))
        self.threads.append(threading.current_thread().name)
        time.sleep(self._seconds)
        if (rows[:, 0] == BAD).any():
            raise RuntimeError("one of them is bad")
        labels = rows[:, 0].astype(np.int64)
        return labels, np.repeat(rows[:, :1] / 3, 10, axis=1).astype(np.float32)


@pytest.fixture
def all_short_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is that the tests run on."""
    monkeypatch.setattr("service.quick._QUICK_SECONDS", 0.02)


@pytest.fixture
def predictor() -> Iterator[Callable[..., Predictor]]:
    """Makes predictors with any bounds."""
    with ThreadPoolExecutor(4, thread_name_prefix="inference") as pool:

        def make(**bounds: Any) -> Predictor:
            usual = {"workers": 1, "max_rows": 100, "max_in_flight": 64, "request_seconds": 5.0}
            return Predictor(pool, Metrics(), **usual | bounds)

        yield make


def model(runner: Any) -> Served:
    descriptor = parse_descriptor(graphs.describe(), "digits")
    return Served("digits", "1", descriptor, runner)


def rows_of(*numbers: float) -> Rows:
    return np.tile(np.array(numbers, np.float32)[:, None], (1, FEATURES))


async def together(
    predictor: Predictor, served: Served, *requests: Rows
) -> list[list[int] | BaseException]:
    """The labels of each request, or its error; all come in one turn of the event loop."""

    async def ask(rows: Rows) -> list[int]:
        answers, first = await predictor.predict(served, rows)
        return answers.outputs[0][first : first + len(rows)].tolist()

    return await asyncio.gather(*map(ask, requests), return_exceptions=True)


def test_what_comes_together_is_one_run_and_each_gets_its_own(
    predictor: Callable[..., Predictor],
) -> None:
    runner = Recording()
    asked = [rows_of(1), rows_of(2, 3), rows_of(4)]
    found = asyncio.run(together(predictor(), model(runner), *asked))
    assert found == [[1], [2, 3], [4]]
    assert runner.runs == [4]


def test_what_comes_while_a_run_is_under_way_is_the_next_one(
    predictor: Callable[..., Predictor],
) -> None:
    runner = Recording(seconds=0.2)

    async def ask() -> None:
        shared, served = predictor(), model(runner)
        first = asyncio.create_task(together(shared, served, rows_of(1)))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(together(shared, served, rows_of(n))) for n in (2, 3)]
        await asyncio.gather(first, *others)

    asyncio.run(ask())
    assert runner.runs == [1, 2]


def test_a_run_has_no_more_rows_than_it_may(predictor: Callable[..., Predictor]) -> None:
    runner = Recording()
    asked = [rows_of(*range(size)) for size in (3, 1, 2, 5, 4)]
    found = asyncio.run(together(predictor(max_rows=5), model(runner), *asked))
    assert found == [list(range(size)) for size in (3, 1, 2, 5, 4)]
    # A request is not divided, and none overtakes another.
    assert runner.runs == [4, 2, 5, 4]


def test_only_the_request_that_is_to_blame_fails(predictor: Callable[..., Predictor]) -> None:
    runner = Recording()
    asked = [rows_of(1), rows_of(2, BAD), rows_of(3)]
    good, bad, other = asyncio.run(together(predictor(), model(runner), *asked))
    assert (good, other) == ([1], [3])
    assert isinstance(bad, PredictionFailedError)
    assert "bad" not in bad.message
    # The whole, a half of it, what that half is made of, the other half.
    assert runner.runs == [4, 3, 1, 2, 1]


def test_one_bad_request_among_many_costs_few_runs(predictor: Callable[..., Predictor]) -> None:
    runner = Recording()
    asked = [rows_of(BAD if number == 37 else 1.0) for number in range(64)]
    found = asyncio.run(together(predictor(), model(runner), *asked))
    assert [number for number, one in enumerate(found) if one != [1]] == [37]
    # In six halvings each half runs, beside the whole.
    assert len(runner.runs) == 1 + 2 * 6


def test_after_a_failure_the_requests_of_a_connection_do_not_spoil_the_runs_of_others(
    predictor: Callable[..., Predictor],
) -> None:
    runner = Recording()

    async def ask() -> list[Any]:
        shared, served = predictor(), model(runner)

        async def request(client: object, *numbers: float) -> Any:
            CURRENT.set(Observed("an id", "POST", "/predict", client))
            return (await together(shared, served, rows_of(*numbers)))[0]

        async def round_of_requests() -> list[Any]:
            bad = request(("10.0.0.9", 1), BAD)
            good = [request(("10.0.0.1", port), 1.0, 2.0) for port in range(4)]
            return await asyncio.gather(bad, *good)

        await round_of_requests()
        runner.runs.clear()
        return await round_of_requests()

    bad, *good = asyncio.run(ask())
    assert isinstance(bad, PredictionFailedError)
    assert good == [[1, 2]] * 4
    assert runner.runs == [1, 8]


def test_a_run_that_nobody_waits_for_any_more_costs_the_event_loop_nothing(
    predictor: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    expire = lane.Lane._expire

    def counted(self: lane.Lane) -> None:
        looks.append(None)
        expire(self)

    monkeypatch.setattr(lane.Lane, "_expire", counted)
    runner = Recording(seconds=0.4)
    (late,) = asyncio.run(together(predictor(request_seconds=0.1), model(runner), rows_of(1)))
    assert isinstance(late, TimedOutError)
    assert len(looks) == 1


@pytest.mark.usefixtures("all_short_are_quick")
def test_quick_models_run_where_they_are_asked_and_slow_ones_in_the_pool(
    predictor: Callable[..., Predictor],
) -> None:
    for seconds, expected in ((0.0, "MainThread"), (0.15, "inference")):
        runner = Recording(seconds)

        async def ask(served: Served) -> None:
            shared = predictor()
            for number in range(3):
                await together(shared, served, rows_of(number))

        asyncio.run(ask(model(runner)))
        # Nothing is known of the first one.
        assert runner.threads[0].startswith("inference")
        assert all(name.startswith(expected) for name in runner.threads[1:]), runner.threads


@pytest.mark.usefixtures("all_short_are_quick")
def test_what_was_taken_for_quick_and_is_not_is_ended(
    predictor: Callable[..., Predictor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.quick._MOST_SECONDS", 0.2)
    for name, content in (graphs.package() | {"model.onnx": graphs.endless()}).items():
        (tmp_path / name).write_bytes(content)
    descriptor = parse_descriptor((tmp_path / "model.json").read_bytes(), "digits")
    endless = Classifier(tmp_path, descriptor, intra_op_threads=1)
    endless.load()
    quick, threads = Recording(), []

    class Turned:
        def predict(self, rows: Rows, options: Any) -> Any:
            threads.append(threading.current_thread().name)
            return (endless if rows[0, 0] == BAD else quick).predict(rows, options)

    async def ask() -> list[Any]:
        shared, served = predictor(request_seconds=1.0), model(Turned())
        asked = [rows_of(number) for number in (1, 2, BAD, BAD, 3)]
        return [(await together(shared, served, rows))[0] for rows in asked]

    one, two, ended, late, three = asyncio.run(ask())
    assert (one, two, three) == ([1], [2], [3])
    # Once it is known to be slow it has a thread, and the time of a request.
    assert isinstance(ended, TimedOutError)
    assert isinstance(late, TimedOutError)
    assert [name[:4] for name in threads] == ["infe", "Main", "Main", "infe", "infe", "infe"]


@pytest.mark.usefixtures("all_short_are_quick")
def test_a_request_whose_quick_run_was_ended_is_answered_by_another(
    predictor: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.quick._MOST_SECONDS", 0.2)
    threads: list[str] = []

    class StoodStill:
        def predict(self, rows: Rows, options: Any) -> Any:
            threads.append(threading.current_thread().name)
            if len(threads) == 2:
                while not options.terminate:
                    time.sleep(0.01)
                raise RuntimeError("ended")
            return Recording().predict(rows, options)

    async def ask() -> list[Any]:
        shared, served = predictor(), model(StoodStill())
        return [await together(shared, served, rows_of(number)) for number in (1, 2)]

    assert asyncio.run(ask()) == [[[1]], [[2]]]
    assert [name[:4] for name in threads] == ["infe", "Main", "infe"]


def test_who_waits_too_long_is_told_so_and_the_others_are_answered(
    predictor: Callable[..., Predictor],
) -> None:
    # So long that a machine which is slow for a moment changes nothing.
    runner = Recording(seconds=1.6)

    async def ask() -> list[Any]:
        shared, served = predictor(request_seconds=2.4), model(runner)
        first = asyncio.create_task(together(shared, served, rows_of(1)))
        await asyncio.sleep(0.2)
        # It waits for the first one's run, and its own then takes too long.
        late = asyncio.create_task(together(shared, served, rows_of(2)))
        await asyncio.sleep(1.2)
        last = asyncio.create_task(together(shared, served, rows_of(3)))
        return [(await task)[0] for task in (first, late, last)]

    one, late, three = asyncio.run(ask())
    assert (one, three) == ([1], [3])
    assert isinstance(late, TimedOutError)


def test_versions_do_not_share_runs(predictor: Callable[..., Predictor]) -> None:
    old, new = Recording(), Recording()

    async def ask() -> None:
        shared = predictor()
        before, after = model(old), replace(model(new), version="2")
        await asyncio.gather(
            together(shared, before, rows_of(1)), together(shared, after, rows_of(2))
        )

    asyncio.run(ask())
    assert (old.runs, new.runs) == ([1], [1])


@pytest.mark.usefixtures("all_short_are_quick")
def test_a_canary_and_its_champion_keep_what_is_known_of_how_quick_they_are(
    predictor: Callable[..., Predictor],
) -> None:
    champion, canary = Recording(), Recording()

    loaded = replace(model(canary), version="2")

    async def ask_in_turn() -> None:
        shared, served = predictor(), model(champion)
        for number in range(3):
            await together(shared, served, rows_of(number))
            await together(shared, loaded, rows_of(number))

    asyncio.run(ask_in_turn())
    for runner in (champion, canary):
        assert [name[:4] for name in runner.threads] == ["infe", "Main", "Main"]


def test_a_model_of_which_nobody_asks_any_more_is_let_go(
    predictor: Callable[..., Predictor],
) -> None:
    served = model(Recording())
    gone = weakref.ref(served.runner)

    async def ask(served: list[Served]) -> None:
        shared = predictor(request_seconds=0.1)
        await together(shared, served.pop(), rows_of(1))
        await asyncio.sleep(0.15)
        await together(shared, replace(model(Recording()), name="other"), rows_of(1))
        gc.collect()
        assert gone() is None

    asking = [served]
    del served
    asyncio.run(ask(asking))


def test_a_model_that_is_asked_no_more_is_let_go_without_another_being_asked(
    predictor: Callable[..., Predictor],
) -> None:
    served = model(Recording())
    gone = weakref.ref(served.runner)

    async def ask(served: list[Served]) -> None:
        shared = predictor(request_seconds=0.1)
        await together(shared, served.pop(), rows_of(1))
        async with asyncio.timeout(20):
            while gone() is not None:
                await asyncio.sleep(0.05)
                gc.collect()

    asking = [served]
    del served
    asyncio.run(ask(asking))


def test_where_requests_come_together_those_just_behind_are_in_the_run(
    predictor: Callable[..., Predictor],
) -> None:
    async def ask() -> None:
        shared, served = predictor(), model(Recording())

        async def behind() -> None:
            await asyncio.sleep(0)
            await shared.predict(served, rows_of(2))

        await asyncio.gather(shared.predict(served, rows_of(1)), behind())
        await together(shared, served, rows_of(1), rows_of(2))
        await asyncio.gather(shared.predict(served, rows_of(1)), behind())
        assert served.runner.runs == [1, 1, 2, 2]

    asyncio.run(ask())


def test_requests_for_whose_run_there_is_no_memory_are_told_so(
    predictor: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object) -> object:
        raise MemoryError

    async def ask() -> None:
        shared, served = predictor(), model(Recording())
        with monkeypatch.context() as patch:
            patch.setattr(lane, "Run", no_memory)
            with pytest.raises(PredictionFailedError):
                await shared.predict(served, rows_of(1))
        await shared.predict(served, rows_of(1))

    asyncio.run(ask())


def test_runs_that_fail_do_not_make_a_model_quick(predictor: Callable[..., Predictor]) -> None:
    async def ask() -> None:
        shared, served = predictor(), model(Recording())
        for _ in range(5):
            with pytest.raises(PredictionFailedError):
                await shared.predict(served, rows_of(BAD))
        assert all(name.startswith("inference") for name in served.runner.threads)

    asyncio.run(ask())


def test_probabilities_for_people_are_rounded() -> None:
    answers = Answers(rows_of(1), (np.array([0]), np.array([[1 / 3, 2 / 3]], np.float32)))
    assert answers.rounded == [[0.333333, 0.666667]]


@pytest.mark.parametrize(
    ("runs", "quick", "slow"),
    [
        ([], 0, 1),
        ([(1, 0.0001, 0.0001)], 7, 8),
        # A busy service waits for the interpreter, and the model is quick all the same.
        ([(1, 0.0001, 0.02)], 7, 8),
        # Waiting for something else is not quick.
        ([(1, 0.0001, 0.2)], 0, 1),
        ([(100, 0.0005, 0.0005)], 127, 128),
        # Two sizes: what a run costs however few its rows are is not that of each row.
        ([(1, 0.0001, 0.0001), (8, 0.0002, 0.0002)], 31, 32),
    ],
)
def test_an_estimate_is_what_the_last_runs_took(
    runs: Sequence[tuple[int, float, float]], quick: int, slow: int
) -> None:
    estimate = Estimate()
    for rows, cpu, wall in runs:
        estimate.learn(rows, cpu, wall)
    assert not quick or estimate.is_quick(quick)
    assert not estimate.is_quick(slow)


def test_a_model_that_becomes_slow_is_soon_known_to_be() -> None:
    estimate = Estimate()
    for _ in range(50):
        estimate.learn(1, 0.00002, 0.00002)
    estimate.learn(1, 0.01, 0.01)
    assert not estimate.is_quick(1)


def test_requests_at_once_over_http_get_the_same_as_alone(
    client: TestClient, holdout: dict[str, Any]
) -> None:
    rows = holdout["request"]["instances"]
    asked = [rows[:1], rows[1:4], rows[2:3], rows[:2]] * 4

    def post(instances: Any) -> Any:
        return client.post("/predict", json={"instances": instances}).json()["predictions"]

    alone = [post(instances) for instances in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        assert list(pool.map(post, asked)) == alone
    text = client.get("/metrics").text
    rows_seen = 2 * sum(map(len, asked))
    assert f'inference_batch_size_sum{{model="digits"}} {rows_seen}.0' in text
    assert f'inference_queue_seconds_count{{model="digits"}} {2 * len(asked)}.0' in text
