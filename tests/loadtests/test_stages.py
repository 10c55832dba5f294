"""Stages as arithmetic: how much is asked for, and when."""

from __future__ import annotations

from collections import Counter

import pytest

from kindling.errors import KindlingError
from loadtests import stages
from loadtests.mix import Draws, Mix, problems
from loadtests.stages import SHAPES, Stage, shape


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_takes_its_time_and_reaches_its_rate(name: str) -> None:
    made = shape(name, seconds=120, rate=40, users=64)
    assert sum(stage.seconds for stage in made) == pytest.approx(120)
    assert max(stage.rate or 0 for stage in made) == pytest.approx(40)
    assert {stage.users for stage in made} == {64}


def test_of_a_closed_loop_the_users_follow_the_shape() -> None:
    users = [stage.users for stage in shape("ramp", seconds=10, rate=None, users=20)]
    assert users == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]


def test_there_is_no_other_shape() -> None:
    with pytest.raises(KindlingError, match="'wave'") as caught:
        shape("wave", seconds=1, rate=1, users=1)
    assert "spike" in caught.value.next_step


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("rate", [0.3, 7, 100, 333.3])
def test_processes_send_in_turn_at_even_distances(processes: int, rate: float) -> None:
    stage = Stage("s", 11, rate, 50)
    each = [list(stages.arrivals(stage, number, processes)) for number in range(processes)]
    together = sorted(time for times in each for time in times)
    assert together == pytest.approx([turn / rate for turn in range(len(together))])
    assert len(together) / rate >= 11 > (len(together) - 1) / rate
    for number, times in enumerate(each):
        assert len(times) == stages.count(stage, number, processes)
        halfway = sum(time < 5.5 for time in times)
        assert stages.count(stage, number, processes, 5.5) == halfway


def test_a_rate_that_is_meant_to_be_whole_is() -> None:
    assert len(list(stages.arrivals(Stage("s", 30, 0.1, 1), 0, 1))) == 3
    assert len(list(stages.arrivals(Stage("s", 0.7, 10, 1), 0, 1))) == 7


def test_what_was_asked_counts_the_stages_so_far() -> None:
    plan = [Stage("a", 2, 10, 9), Stage("b", 3, None, 9), Stage("c", 2, 5, 9)]
    asked = [stages.asked(plan, 0, 1, elapsed) for elapsed in (-1, 0, 1, 2, 4.9, 6, 99)]
    assert asked == [0, 0, 10, 20, 20, 25, 30]


def test_users_are_shared_out_to_the_last() -> None:
    stage = Stage("s", 1, None, 8)
    assert [stages.users_of(stage, number, 3) for number in range(3)] == [3, 3, 2]


@pytest.mark.parametrize(
    "stage",
    [Stage("s", 0, 1, 1), Stage("s", 1, 0, 1), Stage("s", 1, float("nan"), 1), Stage("s", 1, 1, 0)],
)
def test_what_makes_no_sense_is_refused(stage: Stage) -> None:
    with pytest.raises(KindlingError, match="the stage s"):
        stages.check([stage], 1)


def test_requests_are_what_the_mix_says() -> None:
    draws = Draws(Mix(predict=3, chat=1, batches=((1, 2), (4, 1))), 5, rows=10, prompts=3)
    chats = Counter(draws.is_chat() for _ in range(4000))
    assert chats[True] == pytest.approx(1000, rel=0.15)
    sizes = Counter(len(draws.rows()) for _ in range(3000))
    assert sizes[1] == pytest.approx(2000, rel=0.1)
    assert set(sizes) == {1, 4}


def test_every_row_comes_before_one_comes_again() -> None:
    draws = Draws(Mix(batches=((5, 1),)), 5, rows=10, prompts=3)
    first, second = draws.rows() + draws.rows(), draws.rows() + draws.rows()
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


@pytest.mark.parametrize(
    "mix", [Mix(0, 0), Mix(-1, 2), Mix(batches=()), Mix(batches=((0, 1),)), Mix(think=-1)]
)
def test_a_mix_of_nothing_is_refused(mix: Mix) -> None:
    assert len(problems(mix)) == 1
