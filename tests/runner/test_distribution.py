"""Which worker runs which tests, and when: on lists of names, and with pytest as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import distribution
import pytest
from cluster_order import ACTIVE, LOADED, ORDER, PASSIVE
from distribution import CLUSTER, LONGEST_FIRST, QUICK, TOGETHER, Scheduling

from kindling import paths

QUICK_FILE = f"{QUICK[0]}test_quick.py"
FAST_FILES = ["tests/charts/test_a.py", LONGEST_FIRST[0], QUICK_FILE]
CLUSTER_FILES = [f"{CLUSTER}{name}" for name in (LOADED[0], ACTIVE[0], PASSIVE[1], PASSIVE[0])]
IN_ORDER = [CLUSTER_FILES[3], CLUSTER_FILES[2], CLUSTER_FILES[1], CLUSTER_FILES[0]]


class Node:
    """A worker, as far as the scheduler sees one: it writes down what it is sent."""

    def __init__(self, name: str, *, fast_only: bool) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.workerinput = {"fast_only": fast_only}
        self.waiting: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: Iterable[int]) -> None:
        assert not self.shutting_down
        self.waiting += indices

    def shutdown(self) -> None:
        self.shutting_down = True


class Run:
    """Workers that run ``tests`` in turn, one test each, as the scheduler of ours lets them."""

    def __init__(self, tests: list[str], workers: int) -> None:
        self.tests = tests
        self.ran: dict[str, list[str]] = {}
        option = SimpleNamespace(loadscopereorder=True)
        config: Any = SimpleNamespace(
            option=option, getvalue=lambda _: ["popen"] * workers, hook=None
        )
        self.scheduler = Scheduling(config, SimpleNamespace(loadscopesched=lambda *_: None))
        self.nodes = [Node(f"gw{n}", fast_only=n > 0) for n in range(workers)]
        # In the order in which they are ready, which is any.
        for node in reversed(self.nodes):
            self.join(node)
        self.scheduler.schedule()

    def join(self, node: Node) -> None:
        self.ran[node.gateway.id] = []
        self.scheduler.add_node(node)
        self.scheduler.add_node_collection(node, self.tests)

    def step(self, node: Node) -> bool:
        """Let ``node`` run a test, if it knows what comes after; says whether it did."""
        if len(node.waiting) < (1 if node.shutting_down else 2):
            return False
        index = node.waiting.pop(0)
        self.ran[node.gateway.id].append(self.tests[index])
        self.scheduler.mark_test_complete(node, index)
        return True

    def to_the_end(self, nodes: list[Node] | None = None) -> None:
        nodes = nodes or self.nodes
        while sum(map(self.step, nodes)):
            pass

    def all_ran(self) -> list[str]:
        return [test for tests in self.ran.values() for test in tests]

    def files(self, worker: str) -> list[str]:
        """The files that a worker ran, in order; one torn apart is there twice."""
        files: list[str] = []
        for test in self.ran[worker]:
            if test.split("::")[0] not in files[-1:]:
                files.append(test.split("::")[0])
        return files


def in_files(files: list[str], each: int = 3) -> list[str]:
    return [f"{file}::test_{number}" for file in files for number in range(each)]


def test_one_worker_takes_the_tests_of_the_cluster_in_order_and_the_others_the_fast_ones() -> None:
    run = Run(in_files(CLUSTER_FILES + FAST_FILES), workers=3)
    run.to_the_end()
    assert run.files("gw0") == IN_ORDER
    assert sorted(run.files("gw1") + run.files("gw2")) == sorted(FAST_FILES)
    assert {run.files("gw1")[0], run.files("gw2")[0]} == {QUICK_FILE, LONGEST_FIRST[0]}
    assert sorted(run.all_ran()) == sorted(run.tests)


def test_who_is_ready_with_the_cluster_helps_before_the_load_test() -> None:
    run = Run(in_files(CLUSTER_FILES + FAST_FILES), workers=2)
    run.to_the_end(run.nodes[:1])
    assert run.files("gw0")[:3] == IN_ORDER[:3]
    assert run.files("gw0")[-1] == IN_ORDER[3]
    assert len(run.files("gw0")) > 4
    run.to_the_end()
    assert sorted(run.all_ran()) == sorted(run.tests)
    assert all(node.shutting_down for node in run.nodes)


def test_files_of_one_test_each_are_lost_by_no_worker() -> None:
    run = Run(in_files(CLUSTER_FILES + FAST_FILES, each=1), workers=3)
    run.to_the_end()
    assert sorted(run.all_ran()) == sorted(run.tests)
    assert all(node.shutting_down for node in run.nodes)


def test_there_may_be_fewer_files_than_workers() -> None:
    run = Run(in_files(FAST_FILES[:1], each=1), workers=4)
    run.to_the_end()
    assert run.all_ran() == run.tests


def test_what_ends_a_worker_is_not_run_again_and_the_rest_is() -> None:
    run = Run(in_files(CLUSTER_FILES + FAST_FILES), workers=2)
    first = run.nodes[0]
    assert run.step(first)
    assert run.scheduler.remove_node(first) == f"{IN_ORDER[0]}::test_1"
    another = Node("gw2", fast_only=False)
    run.nodes[0] = another
    run.join(another)
    run.scheduler.schedule()
    run.to_the_end()
    assert run.files("gw2")[:3] == IN_ORDER[:3]
    ran = run.all_ran()
    assert sorted([*ran, f"{IN_ORDER[0]}::test_1"]) == sorted(run.tests)


def test_a_replaced_fast_worker_takes_no_tests_of_the_cluster_while_another_has_some() -> None:
    run = Run(in_files(CLUSTER_FILES + FAST_FILES), workers=2)
    assert run.scheduler.remove_node(run.nodes[1])
    another = Node("gw2", fast_only=False)
    run.nodes[1] = another
    run.join(another)
    run.scheduler.schedule()
    assert run.step(another)
    assert not run.ran["gw2"][0].startswith(CLUSTER)


def test_files_that_build_the_same_program_are_run_by_the_same_worker() -> None:
    files = [f"{TOGETHER[0]}test_b.py", FAST_FILES[0], f"{TOGETHER[0]}test_a.py"]
    run = Run(in_files(files), workers=2)
    run.to_the_end()
    assert sorted(map(run.files, run.ran)) == sorted([[files[0], files[2]], [files[1]]])


def test_the_named_files_and_folders_are_there() -> None:
    names = [*(f"{CLUSTER}{name}" for name in ORDER), *LONGEST_FIRST, *QUICK, *TOGETHER]
    assert [name for name in names if not (paths.REPOSITORY / name).exists()] == []


@pytest.mark.parametrize(
    ("asked", "options", "cluster", "workers"),
    [
        (["tests"], {}, False, 2),
        (["tests"], {}, True, 3),
        (["tests/service"], {}, True, 2),
        (["tests/cluster"], {}, True, 3),
        (["tests/service/conftest.py", "tests/conftest.py"], {}, False, 2),
        (["tests/conftest.py::test_a", "tests/conftest.py::test_b"], {}, True, 0),
        (["tests"], {"markexpr": "sabotage"}, True, 0),
        (["tests"], {"capture": "no"}, False, 0),
    ],
)
def test_there_are_as_many_workers_as_help(
    asked: list[str], options: dict[str, str], cluster: bool, workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(paths.REPOSITORY)
    option = SimpleNamespace(**{"markexpr": "not sabotage", "capture": "fd"} | options)
    config: Any = SimpleNamespace(args=asked, option=option, rootpath=paths.REPOSITORY)
    assert distribution.number_of_workers(config, 2, cluster=cluster) == workers


CONFTEST = """
import distribution, pytest

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    distribution.install(config, cluster=True)
"""
INI = """
[pytest]
addopts = --disable-plugin-autoload -p xdist -ra
filterwarnings = error
"""
TIMED = """
import json, os, time
from pathlib import Path

def test_it(request):
    began = time.monotonic()
    time.sleep({seconds})
    note = {{"began": began, "ended": time.monotonic(), "nice": os.nice(0)}}
    Path({notes!r}, Path(__file__).stem).write_text(json.dumps(note))
"""
FAILING = """
import os, warnings

def test_passes():
    pass

def test_fails():
    assert 1 == 2

def test_warns():
    warnings.warn("odd")

def test_dies():
    os._exit(3)

def test_comes_after():
    pass
"""


def pytest_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What pytest says of the tests in ``folder``, run by two workers."""
    (folder / "tests" / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text(INI)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", *words], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(paths.REPOSITORY / "tests")},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_the_load_test_begins_when_all_else_has_ended(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    alone, beside = Path(LOADED[0]).stem, Path(ACTIVE[0]).stem
    for folder in (notes, tmp_path / "tests" / "cluster", tmp_path / "tests" / "service"):
        folder.mkdir(parents=True)
    for name, seconds in (
        (f"cluster/{alone}", 0), (f"cluster/{beside}", 0), ("service/test_a", 0),
        ("service/test_b", 2),
    ):  # fmt: skip
        code = TIMED.format(seconds=seconds, notes=str(notes))
        (tmp_path / "tests" / f"{name}.py").write_text(code)
    done = pytest_in(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    read = {file.name: json.loads(file.read_text()) for file in notes.iterdir()}
    last = read.pop(alone)
    assert last["began"] > max(note["ended"] for note in read.values())
    # A fast one leaves the processors to the pods under test.
    assert last["nice"] == os.nice(0) < max(read[f"test_{name}"]["nice"] for name in "ab")


def test_failures_are_named_at_once_and_in_one_summary(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_failing.py").write_text(FAILING)
    done = pytest_in(tmp_path, "--junitxml", str(tmp_path / "report.xml"))
    assert done.returncode == 1, done.stdout + done.stderr
    early, _, summary = done.stdout.partition("short test summary info")
    for name in ("test_fails", "test_warns", "test_dies"):
        assert early.count(f"\nFAILED tests/test_failing.py::{name}\n") == 1
        assert summary.count(f"FAILED tests/test_failing.py::{name} ") == 1
    assert "3 failed, 2 passed" in summary
    assert '<testcase classname="tests.test_failing" name="test_comes_after"' in (
        (tmp_path / "report.xml").read_text()
    )
