"""The load as the rest of the load test sees it: started, watched and stopped from outside.

Locust patches the whole process that imports it; so nobody does but the processes of the load.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, NoReturn, Self

from kindling import paths
from kindling.errors import KindlingError
from loadtests import data as held_out
from loadtests import learning
from loadtests import mix as mixes
from loadtests import stages as arithmetic
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
UI_PORT = 8089


class Generator:
    """A load that runs in processes of its own, which end when this one does.

    It ends by itself when all stages have passed and what was under way then has its answer.
    """

    def __init__(self, folder: Path, timeline: Timeline, processes: int) -> None:
        self._folder, self._timeline = folder, timeline
        self._processes: list[subprocess.Popen[str]] = []
        self._threads: list[threading.Thread] = []
        self._ready: SimpleQueue[int] = SimpleQueue()
        self._files = [folder / f"requests-{number}.tsv" for number in range(processes)]
        self._stopped = False
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
        processes: int = 1,
        data: Data | None = None,
    ) -> Self:
        """Let ``stages`` begin; they have, within a second, when this returns.

        The generator's files are in ``folder``: ``requests-N.tsv`` and what a process logged.
        Without ``data``, the service is asked first what it says at rest about held-out data.
        Raises KindlingError.
        """
        arithmetic.check(stages, processes)
        if wrong := mixes.problems(mix):
            raise KindlingError(f"this is no mix of requests: {'; '.join(wrong)}")
        if data is None:
            data = learning.learn(held_out.load(chat=mix.chat > 0), target_url)
        folder.mkdir(parents=True, exist_ok=True)
        known = folder / "data.json"
        data.write(known)
        generator = cls(folder, timeline, processes)
        try:
            for number in range(processes):
                generator._spawn(number, {
                    "target": target_url.rstrip("/"),
                    "stages": [asdict(stage) for stage in stages],
                    "mix": asdict(mix),
                    "data": str(known),
                    "requests": str(generator._files[number]),
                    "process": number,
                    "processes": processes,
                })  # fmt: skip
            generator._begin()
        except BaseException:
            generator.stop()
            raise
        return generator

    @property
    def running(self) -> bool:
        """Whether a process of it runs."""
        return any(process.poll() is None for process in self._processes)

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it has ended, at the latest after ``timeout`` seconds.

        Raises KindlingError if a process of it failed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for process in self._processes:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                process.wait(left)
            except subprocess.TimeoutExpired:
                return False
        self._join()
        for number, process in enumerate(self._processes):
            if process.returncode and not self._stopped:
                raise self._failed(number)
        return True

    def stop(self) -> None:
        """End the load now, within two seconds; the files are whole then.

        What has no answer yet is not counted.
        """
        self._stopped = self._stopped or self.running
        for process in self._processes:
            _tell(process, "stop")
        deadline = time.monotonic() + _STOP_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._join()

    def samples(self) -> Samples:
        """All requests that have an answer by now, give or take a second."""
        return Samples.read([file for file in self._files if file.exists()])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _spawn(self, number: int, order: dict[str, Any]) -> None:
        file = self._folder / f"order-{number}.json"
        file.write_text(json.dumps(order))
        with self._log(number).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "loadtests.runner", str(file)],
                cwd=paths.REPOSITORY,
                # A session of its own: what interrupts us must not cut the load's files short.
                start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self._processes.append(process)
        thread = threading.Thread(target=self._follow, args=(number, process), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _begin(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        waiting = set(range(len(self._processes)))
        while waiting:
            try:
                waiting.discard(self._ready.get(timeout=0.2))
            except Empty:
                for number in waiting:
                    if self._processes[number].poll() is not None:
                        raise self._failed(number) from None
                if time.monotonic() > deadline:
                    raise KindlingError(
                        f"{len(waiting)} of {len(self._processes)} processes of the load were not"
                        f" ready within {_READY_SECONDS:g} s",
                        next_step=f"see {self._log(min(waiting))}",
                    ) from None
        self.begin = time.time() + _NOTICE_SECONDS
        for process in self._processes:
            _tell(process, f"begin {self.begin!r}")

    def _follow(self, number: int, process: subprocess.Popen[str]) -> None:
        """Put what a process says onto the timeline."""
        assert process.stdout
        for line in process.stdout:
            said = json.loads(line)
            if "load" in said:
                self._timeline.add("load", f"load-{number}", at=said["at"], **said["load"])
            elif "stage" in said:
                fields = {key: said[key] for key in ("phase", "rate", "users") if key in said}
                self._timeline.add("stage", said["stage"], at=said["at"], **fields)
            else:
                self._ready.put(number)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()

    def _log(self, number: int) -> Path:
        return self._folder / f"load-{number}.log"

    def _failed(self, number: int) -> KindlingError:
        log = self._log(number)
        said = log.read_text(errors="replace").strip().splitlines()[-1:]
        code = self._processes[number].returncode
        return KindlingError(
            f"a process of the load ended with {code}: {''.join(said) or 'it said nothing'}",
            next_step=f"see {log}",
        )


def ui(target_url: str, folder: Path, *, port: int = UI_PORT, data: Data | None = None) -> NoReturn:
    """Become Locust with its own page, on 127.0.0.1 alone; people start and stop the load there."""
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / "data.json"
    (data or learning.learn(held_out.load(), target_url)).write(known)
    locustfile = paths.REPOSITORY / "loadtests" / "locustfile.py"
    os.execv(sys.executable, [  # noqa: S606
        sys.executable, "-m", "locust", "--locustfile", str(locustfile), "--host", target_url,
        "--web-host", "127.0.0.1", "--web-port", str(port), "--data", str(known),
    ])  # fmt: skip


def _tell(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdin
    try:
        # Past its buffer, which would try again when it is closed.
        os.write(process.stdin.fileno(), f"{words}\n".encode())
    except (OSError, ValueError):
        # It has ended already.
        return
