"""One process of the load, from the side of whoever starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kindling import paths
from kindling.errors import KindlingError
from loadtests import clock
from loadtests.timeline import Timeline

# The command of a process of the load on this machine.
HERE = (sys.executable, "-m", "loadtests.runner")


class Child:
    """Runs ``loadtests.runner``, here or by a command that leads to another machine.

    What it says of each second goes to a timeline, the rows of its requests to ``requests``.
    """

    def __init__(
        self,
        number: int,
        order: dict[str, Any],
        folder: Path,
        timeline: Timeline,
        command: Sequence[str] = HERE,
    ) -> None:
        self.log = folder / f"load-{number}.log"
        self.requests = folder / f"requests-{number}.tsv"
        self._name, self._timeline, self._order = f"load-{number}", timeline, order
        if command == HERE:
            # The wall clock may have been set since ours began.
            self._order = {**order, "clock": clock.offset()}
        # Seconds by which its clock is ahead of ours, less what the way took.
        self.ahead = 0.0
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=paths.REPOSITORY,
                # A session of its own: what interrupts us must not cut the load's files short.
                start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def tell(self, words: str) -> None:
        """Say something to it; one that has ended does not hear it."""
        assert self.process.stdin
        content = memoryview(f"{words}\n".encode())
        try:
            while content:
                # Past its buffer, which would try again when it is closed.
                content = content[os.write(self.process.stdin.fileno(), content) :]
        except (OSError, ValueError):
            return

    def join(self) -> None:
        """Take in what one that has ended said last."""
        self._thread.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def failure(self) -> KindlingError:
        """What became of one that failed."""
        said = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        return KindlingError(
            f"a process of the load ended with {self.process.returncode}:"
            f" {''.join(said) or 'it said nothing'}",
            next_step=f"see {self.log}",
        )

    def _follow(self) -> None:
        assert self.process.stdout
        # Here, for it takes as long as the process takes until it reads.
        self.tell(json.dumps(self._order))
        with self.requests.open("w") as rows:
            for line in self.process.stdout:
                said = json.loads(line)
                if "load" in said:
                    self._timeline.add("load", self._name, at=said["at"], **said["load"])
                elif "rows" in said:
                    rows.write(said["rows"])
                    rows.flush()
                elif "stage" in said:
                    fields = {key: said[key] for key in ("phase", "rate", "users") if key in said}
                    self._timeline.add("stage", said["stage"], at=said["at"], **fields)
                else:
                    self.ahead = said["at"] - clock.now()
                    self.ready.set()
