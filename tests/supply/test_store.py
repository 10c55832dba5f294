"""The content-addressed store: what is built again, what is not, and what a kill leaves."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from kindling.errors import KindlingError
from kindling.supply.store import Step, Store, build_all, hash_files, wanted


def writes(text: str, log: list[str]) -> object:
    def build(out: Path, _: Mapping[str, Path]) -> None:
        log.append(text)
        (out / "file").write_text(text)

    return build


def step(name: str, log: list[str], *needs: Step, inputs: str = "1") -> Step:
    return Step(name, (inputs,), writes(name, log), needs=needs)  # type: ignore[arg-type]


def test_an_unchanged_step_is_never_built_twice(tmp_path: Path) -> None:
    log: list[str] = []
    store = Store(tmp_path)
    first = step("a", log)
    assert build_all([step("b", log, first)], store, workers=2) == ["a", "b"]
    assert build_all([step("b", log, first)], store, workers=2) == []
    assert log == ["a", "b"]


def test_a_changed_input_builds_the_step_and_what_needs_it(tmp_path: Path) -> None:
    log: list[str] = []
    store = Store(tmp_path)
    build_all([step("b", log, step("a", log))], store, workers=2)
    changed = step("b", log, step("a", log, inputs="2"))
    assert build_all([changed], store, workers=2) == ["a", "b"]


def test_a_result_whose_image_is_gone_is_built_again(tmp_path: Path) -> None:
    log: list[str] = []
    gone = Step("image", ("1",), writes("image", log), present=lambda _: False)  # type: ignore[arg-type]
    store = Store(tmp_path)
    build_all([gone], store, workers=1)
    assert [s.name for s in wanted([gone], store)] == ["image"]


def test_a_failed_step_leaves_no_result_and_keeps_those_that_ended(tmp_path: Path) -> None:
    log: list[str] = []
    store = Store(tmp_path)

    def breaks(out: Path, _: Mapping[str, Path]) -> None:
        (out / "half").write_text("")
        raise KindlingError("the disk is full")

    good = step("good", log)
    bad = Step("bad", ("1",), breaks, needs=(good,))
    with pytest.raises(KindlingError, match="disk is full"):
        build_all([bad], store, workers=2)
    assert store.has(good)
    assert not store.has(bad)
    store.clean_work()
    assert [p.name for p in tmp_path.iterdir()] == [store.path(good).name]


def test_work_of_a_process_that_has_ended_is_removed_and_of_one_that_lives_is_not(
    tmp_path: Path,
) -> None:
    living = subprocess.Popen(["sleep", "60"])
    try:
        left, under_way = (
            tmp_path / ".work" / f"a-0123456789abcdef.{pid}" for pid in (2**22 + 1, living.pid)
        )
        for folder in (left, under_way):
            (folder / "part").mkdir(parents=True)
        Store(tmp_path).clean_work()
        assert not left.exists()
        assert under_way.joinpath("part").exists()
    finally:
        living.kill()
        living.wait()
    Store(tmp_path).clean_work()
    assert not under_way.exists()


def test_two_heavy_steps_at_most_run_at_the_same_time_and_others_beside_them(
    tmp_path: Path,
) -> None:
    heavy_now, most_heavy = 0, 0
    beside = threading.Event()
    lock = threading.Lock()

    def heavy(_: Path, __: Mapping[str, Path]) -> None:
        nonlocal heavy_now, most_heavy
        with lock:
            heavy_now += 1
            most_heavy = max(most_heavy, heavy_now)
        assert beside.wait(10), "the light step did not run beside the heavy one"
        with lock:
            heavy_now -= 1

    def light(_: Path, __: Mapping[str, Path]) -> None:
        beside.set()

    steps = [Step(f"heavy-{i}", (), heavy, heavy=True) for i in range(4)]
    build_all([*steps, Step("light", (), light)], Store(tmp_path), workers=4)
    assert most_heavy == 2


def test_after_orders_without_being_an_input() -> None:
    log: list[str] = []
    early = step("early", log)
    plain = Step("late", ("1",), writes("late", log))  # type: ignore[arg-type]
    ordered = Step("late", ("1",), writes("late", log), after=(early,))  # type: ignore[arg-type]
    assert plain.key == ordered.key


def test_the_hash_of_files_tells_names_and_contents_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    assert hash_files(tmp_path / "a") != hash_files(tmp_path / "b")
    before = hash_files(tmp_path)
    (tmp_path / "b").write_text("2")
    assert hash_files(tmp_path) != before
