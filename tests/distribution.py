"""Which worker of pytest-xdist runs which test files, and in which order.

The tests of the cluster run one after another in one worker, the fast ones beside them in the
others. A file, or a folder of ``TOGETHER``, is never divided between two workers.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from cluster_order import LOADED, ORDER
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

CLUSTER = "tests/cluster/"
# What takes seconds comes first, so that a broken unit test shows at once.
QUICK = ("tests/kindling/", "tests/plugins/", "tests/roles/", "tests/supply/")
LONGEST_FIRST = (
    "tests/images/test_go_programs.py", "tests/rules/", "tests/importer/",
    "tests/charts/test_every_chart.py", "tests/service/test_refused.py",
    "tests/service/test_follow.py", "tests/service/test_canary.py", "tests/service/test_fuzz.py",
    "tests/service/test_tracing.py",
)  # fmt: skip
# They need the same program, and build it where there is none.
TOGETHER = ("tests/rules/",)

_LOW_PRIORITY = 10


def unit_of(test: str) -> str:
    """The files that one worker runs together: the file of ``test``, or a folder of them."""
    return next((folder for folder in TOGETHER if test.startswith(folder)), test.split("::")[0])


def is_exclusive(unit: str) -> bool:
    """Whether ``unit`` runs when everything else has ended, for it measures under load."""
    return unit.startswith(CLUSTER) and Path(unit).name in LOADED


def place(unit: str) -> tuple[int, int, str]:
    """Sorts units of the cluster, and fast ones, into the order in which they begin."""
    if unit.startswith(CLUSTER):
        name = Path(unit).name
        return (0, ORDER.index(name) if name in ORDER else len(ORDER), unit)
    if unit.startswith(QUICK):
        return (0, 0, unit)
    if unit in LONGEST_FIRST:
        return (1, LONGEST_FIRST.index(unit), unit)
    return (2, 0, unit)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each worker the next unit that it may run when it has one test left."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def schedule(self) -> None:
        """Begin when every worker has collected; later, take in one that replaces another."""
        if self.collection is None:
            if not self._check_nodes_have_same_collection():
                return
            self.collection = list(next(iter(self.registered_collections.values())))
            for test in self.collection:
                self.workqueue.setdefault(unit_of(test), {})[test] = False
        for node in self.nodes:
            self._reschedule(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Take back what a worker has not run; returns the test that ended its process."""
        left = {
            unit: {test: False for test, done in tests.items() if not done}
            for unit, tests in self.assigned_work.pop(node).items()
        }
        left = {unit: tests for unit, tests in left.items() if tests}
        if not left:
            return None
        first = next(iter(left))
        crashed = next(iter(left[first]))
        # Run again, it would end the next worker too.
        del left[first][crashed]
        self.workqueue.update({unit: tests for unit, tests in left.items() if tests})
        for other in self.nodes:
            self._reschedule(other)
        return crashed

    def _reschedule(self, node: WorkerController) -> None:
        # A worker begins a test only when it knows the one after it, or that there is none.
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            unit = self._next(node)
            if unit is None:
                node.shutdown()
            else:
                self.workqueue.move_to_end(unit, last=False)
                self._assign_work_unit(node)

    def _next(self, node: WorkerController) -> str | None:
        fast = [unit for unit in self.workqueue if not unit.startswith(CLUSTER)]
        cluster = [unit for unit in self.workqueue if unit.startswith(CLUSTER)]
        if not cluster or node.workerinput["fast_only"] or self._has_cluster_tests_beside(node):
            return min(fast, key=place, default=None)
        first = min(cluster, key=place)
        return min(fast, key=place) if fast and is_exclusive(first) else first

    def _has_cluster_tests_beside(self, node: WorkerController) -> bool:
        return any(
            unit.startswith(CLUSTER) and not all(tests.values())
            for other, work in self.assigned_work.items()
            if other is not node
            for unit, tests in work.items()
        )


class Controller:
    """The process that hands tests out; ``cluster`` says whether there is one to be spared."""

    def __init__(self, *, cluster: bool) -> None:
        self._cluster = cluster
        self._workers = 0

    @pytest.hookimpl
    def pytest_configure_node(self, node: WorkerController) -> None:
        # Whatever replaces a worker that crashed may have to go on with the cluster's tests.
        fast_only = 0 < self._workers < node.workerinput["workercount"]
        self._workers += 1
        folder = node.config._tmp_path_factory.getbasetemp()
        node.workerinput |= {
            "fast_only": fast_only,
            "low_priority": fast_only and self._cluster,
            "running": str(folder / "running"),
        }

    @pytest.hookimpl
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Scheduling:
        return Scheduling(config, log)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            print(f"\nFAILED {report.nodeid}", flush=True)


class Worker:
    """One of the processes that run tests."""

    def __init__(self, given: dict[str, Any]) -> None:
        # Held by all, until one that must be alone asks for it.
        self._running = Path(given["running"]).open("w")  # noqa: SIM115
        fcntl.flock(self._running, fcntl.LOCK_SH)
        if given["low_priority"]:
            # The pods under test keep the processors.
            os.nice(_LOW_PRIORITY)

    @pytest.hookimpl
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if is_exclusive(unit_of(item.nodeid)):
            fcntl.flock(self._running, fcntl.LOCK_EX)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        # Closing is not enough where a process that a test forked still has it open.
        fcntl.flock(self._running, fcntl.LOCK_UN)
        self._running.close()


def number_of_workers(config: pytest.Config, cores: int, *, cluster: bool) -> int:
    """How many workers ``-n auto`` means; 0 runs the tests in this process."""
    asked = [Path(argument.split("::")[0]).absolute() for argument in config.args]
    one_file = len(set(asked)) == 1 and asked[0].is_file()
    breaks = "sabotage" in config.option.markexpr.replace("not sabotage", "")
    if one_file or breaks or config.option.capture == "no":
        return 0
    folder = config.rootpath / CLUSTER
    passive = cluster and any(
        path == folder or path in folder.parents or folder in path.parents for path in asked
    )
    return min(cores, 4) + passive


def install(config: pytest.Config, *, cluster: bool) -> None:
    """Register what this process needs; to be called by ``pytest_configure``."""
    if given := getattr(config, "workerinput", None):
        config.pluginmanager.register(Worker(given))
    elif config.pluginmanager.has_plugin("dsession"):
        config.pluginmanager.register(Controller(cluster=cluster))
