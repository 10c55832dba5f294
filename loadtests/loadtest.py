"""One load test under way: what it is put on, what was seen of it so far, and what people see."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loadtests import data as held_out
from loadtests import learning
from loadtests.child import HERE
from loadtests.data import Data
from loadtests.environment import Environment
from loadtests.intervals import Described, describe
from loadtests.load import Generator, Mix, Stage
from loadtests.samples import Samples
from loadtests.sustained import sustained
from loadtests.timeline import Timeline

_LOOK_SECONDS = 0.25
_TELL_SECONDS = 15.0


@dataclass
class LoadTest:
    """What scenarios work with; they add to ``timeline``, ``numbers`` and ``problems``."""

    url: str
    folder: Path
    # The command's.
    options: argparse.Namespace
    # Of a target that is not the inventory's cluster nothing but its answers is known.
    environment: Environment | None = None
    described: Described | None = None
    # Of each process of the load, where not all are here; and where the target is from there.
    commands: Sequence[Sequence[str]] = ()
    load_url: str = ""
    data: Data = field(init=False)
    timeline: Timeline = field(default_factory=Timeline)
    numbers: dict[str, float] = field(default_factory=dict)
    # Why the generator was the bottleneck, if it was.
    problems: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _loads: list[Generator] = field(default_factory=list)

    def __post_init__(self) -> None:
        """From here, the target is where everybody finds it."""
        self.load_url = self.load_url or self.url

    @property
    def cluster(self) -> tuple[Environment, Described]:
        """For scenarios that need the inventory's cluster; they are run on nothing else."""
        assert self.environment
        assert self.described
        return self.environment, self.described

    @property
    def samples(self) -> Samples:
        """The requests of all loads so far."""
        return Samples.join([load.samples() for load in self._loads])

    def learn(self) -> None:
        """Ask the service at rest what it will have to answer under load. Raises KindlingError."""
        self.say("learn what is answered at rest, on data that no model was trained on")
        self.data = learning.learn(held_out.load(), self.url)

    @contextmanager
    def load(
        self, stages: Sequence[Stage], mix: Mix, *, url: str = "", data: Data | None = None
    ) -> Iterator[Generator]:
        """Put load on the target while the block runs, at most for as long as its stages last.

        ``url`` is that of another target which serves the same models; its load is put on it from
        here. ``data`` replaces what was learned at rest, for a model of another name.
        """
        folder, own = self.folder / f"load-{len(self._loads)}", Timeline()
        target, commands = (url, ()) if url else (self.load_url, self.commands)
        generator = Generator.start(
            target,
            stages,
            mix,
            folder,
            own,
            commands=commands or [HERE] * self.options.processes,
            data=data or self.data,
        )
        self._loads.append(generator)
        try:
            with generator:
                yield generator
        finally:
            self.timeline.extend(own)
        self.problems += sustained(own)

    @property
    def inventory(self) -> list[str]:
        """The arguments that name the inventory, for other commands."""
        chosen = [f"--inventory={self.options.inventory}"]
        return chosen + [f"--set={one}" for one in self.options.set]

    def drive(self, stages: Sequence[Stage], mix: Mix, *, url: str = "") -> None:
        """Put all of a load on the target."""
        with self.load(stages, mix, url=url) as generator:
            seconds = sum(stage.seconds for stage in stages)
            self.wait(
                f"{len(stages)} stages of load, {seconds:.0f} s", lambda: not generator.running,
                seconds=seconds + 60,
            )  # fmt: skip
            generator.wait(0)

    def act(self, name: str, text: str) -> float:
        """Note what is done to the environment now; returns the Unix time."""
        self.say(text)
        return self.timeline.add("action", name, text=text).time

    def pause(self, what: str, seconds: float) -> None:
        """Let something go on for a while."""
        self.say(f"{what}, {seconds:g} s")
        time.sleep(seconds)

    def wait(self, what: str, until: Callable[[], object], *, seconds: float) -> bool:
        """Wait ``seconds`` at most; whether what was waited for came."""
        self.say(f"wait for {what}")
        deadline = time.monotonic() + seconds
        told = time.monotonic()
        while not until():
            now = time.monotonic()
            if now > deadline:
                self.say(f"not seen in {seconds:.0f} s: {what}")
                return False
            if now - told > _TELL_SECONDS:
                told = now
                self.say(f"still waiting for {what}")
            time.sleep(_LOOK_SECONDS)
        return True

    def describe_again(self) -> None:
        """After a change of the cluster's settings."""
        assert self.environment
        self.described = describe(self.environment)

    def say(self, text: str) -> None:
        """Tell people what happens, a line at a time."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True, file=sys.stderr)
