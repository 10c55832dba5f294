"""The load as the rest of the load test sees it: started, watched and stopped from outside.

Locust patches the whole process that imports it; so nobody does but the processes of the load.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from kindling import paths
from kindling.errors import KindlingError
from loadtests import clock, learning
from loadtests import data as held_out
from loadtests import mix as mixes
from loadtests import stages as arithmetic
from loadtests.child import HERE, Child
from loadtests.data import Data
from loadtests.mix import Mix
from loadtests.samples import Samples
from loadtests.stages import SHAPES, Stage, shape
from loadtests.sustained import sustained
from loadtests.timeline import Timeline

__all__ = ["SHAPES", "Generator", "Mix", "Stage", "shape", "sustained", "ui"]

_READY_SECONDS = 90.0
# All processes must have the word before the time that it names.
_NOTICE_SECONDS = 0.5
_STOP_SECONDS = 1.5
# Of what is seen of it from here, more than this would not be the way it came.
_CLOCK_SECONDS = 1.0
UI_PORT = 8089


class Generator:
    """A load that runs in processes of its own, which end when this one does.

    It ends by itself when all stages have passed and what was under way then has its answer.
    """

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._stopped = False
        # When the first stage begins, in Unix seconds.
        self.begin = 0.0

    @classmethod
    def start(
        cls,
        target_url: str,
        stages: Sequence[Stage],
        mix: Mix,
        folder: Path,
        timeline: Timeline,
        *,
        commands: Sequence[Sequence[str]] = (HERE,),
        data: Data | None = None,
    ) -> Self:
        """Let ``stages`` begin; they have, within a second, when this returns.

        Each of the ``commands`` is one process of it. The generator's files are in ``folder``:
        ``requests-N.tsv`` and what a process logged.
        Without ``data``, the service is asked first what it says at rest about held-out data.
        Raises KindlingError.
        """
        arithmetic.check(stages, len(commands))
        if wrong := mixes.problems(mix):
            raise KindlingError(f"this is no mix of requests: {'; '.join(wrong)}")
        if data is None:
            data = learning.learn(held_out.load(chat=mix.chat > 0), target_url)
        folder.mkdir(parents=True, exist_ok=True)
        order = {
            "target": target_url.rstrip("/"),
            "stages": [asdict(stage) for stage in stages],
            "mix": asdict(mix),
            "data": asdict(data),
            "processes": len(commands),
        }
        generator = cls()
        try:
            for number, command in enumerate(commands):
                own = {**order, "process": number}
                generator._children.append(Child(number, own, folder, timeline, command))
            generator._begin()
        except BaseException:
            generator.stop()
            raise
        return generator

    @property
    def running(self) -> bool:
        """Whether a process of it runs."""
        return any(child.process.poll() is None for child in self._children)

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it has ended, at the latest after ``timeout`` seconds.

        Raises KindlingError if a process of it failed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for child in self._children:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                child.process.wait(left)
            except subprocess.TimeoutExpired:
                return False
        for child in self._children:
            child.join()
        for child in self._children:
            if child.process.returncode and not self._stopped:
                raise child.failure()
        return True

    def stop(self) -> None:
        """End the load now, within two seconds; the files are whole then.

        What has no answer yet is not counted.
        """
        self._stopped = self._stopped or self.running
        for child in self._children:
            child.tell("stop")
        deadline = time.monotonic() + _STOP_SECONDS
        for child in self._children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            child.join()

    def samples(self) -> Samples:
        """All requests that have an answer by now, give or take a second."""
        files = [child.requests for child in self._children]
        return Samples.read([file for file in files if file.exists()])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _begin(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        for child in self._children:
            while not child.ready.wait(0.2):
                if child.process.poll() is not None:
                    raise child.failure()
                if time.monotonic() > deadline:
                    raise KindlingError(
                        f"a process of the load was not ready within {_READY_SECONDS:g} s",
                        next_step=f"see {child.log}",
                    )
            if abs(child.ahead) > _CLOCK_SECONDS:
                raise KindlingError(
                    f"a process of the load has a clock that is {child.ahead:+.1f} s off ours",
                    next_step="have the nodes and this machine keep their time by NTP",
                )
        self.begin = clock.now() + _NOTICE_SECONDS
        for child in self._children:
            child.tell(f"begin {self.begin!r}")


def ui(target_url: str, folder: Path, *, port: int = UI_PORT, data: Data | None = None) -> NoReturn:
    """Become Locust with its own page, on 127.0.0.1 alone; people start and stop the load there."""
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / "data.json"
    (data or learning.learn(held_out.load(), target_url)).write(known)
    locustfile = paths.REPOSITORY / "loadtests" / "locustfile.py"
    os.execv(sys.executable, [  # noqa: S606
        sys.executable, "-m", "locust", "--locustfile", str(locustfile), "--host", target_url,
        "--web-host", "127.0.0.1", "--web-port", str(port), "--data", str(known.absolute()),
    ])  # fmt: skip
