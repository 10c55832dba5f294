"""A build that is measured: a checkout with a cache and a state folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kindling import environments
from kindling.bench_up import checkout, interrupts, traces
from kindling.bench_up.execute import Executor, Timing
from kindling.errors import KindlingError

_HOUR = 3600.0
_UP_LIMIT, _WARM_LIMIT, _DOWN_LIMIT, _TESTS_LIMIT = 3 * _HOUR, _HOUR, _HOUR / 3, 4 * _HOUR
# Set for our own commands, or leading programs to caches that others have filled.
_DROPPED = ("VIRTUAL_ENV", "PYTHONHOME", "PIP_CACHE_DIR", "UV_CACHE_DIR", "UV_PROJECT_ENVIRONMENT",
            "npm_config_cache", "NPM_CONFIG_CACHE", "GIT_DIR", "GIT_WORK_TREE",
            "GIT_INDEX_FILE")  # fmt: skip
_DROPPED_PREFIXES = ("KINDLING_", "NOX_")
_EVIDENCE = {".log", ".jsonl", ".json", ".yaml"}
_EVIDENCE_BYTES = 4 * 1024**2


@dataclass
class Build:
    """One checkout and how its commands are run. ``title`` names it in progress lines."""

    title: str
    folder: Path
    executor: Executor
    commit: str = ""
    changed_files: int = 0
    before: traces.Traces = field(default_factory=traces.Traces.now)

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def other_caches(self) -> Path:
        """Caches of programs that keep theirs elsewhere than Kindling says, such as pip."""
        return self.folder / "xdg"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def environment(self) -> dict[str, str]:
        """What a newcomer's shell has, but for the folders."""
        dropped = {*_DROPPED, *environments.variables()}
        env = {
            name: value
            for name, value in os.environ.items()
            if name not in dropped and not name.startswith(_DROPPED_PREFIXES)
        }
        # nox runs us in a virtual environment, whose python3 a newcomer has not.
        path = [
            entry
            for entry in env.get("PATH", os.defpath).split(os.pathsep)
            if not (Path(entry).parent / "pyvenv.cfg").exists()
        ]
        return env | {
            "PATH": os.pathsep.join(path),
            "KINDLING_CACHE": str(self.cache),
            "XDG_CACHE_HOME": str(self.other_caches),
            "XDG_STATE_HOME": str(self.state),
        }

    def first_up(self, note: str = "") -> Timing:
        """The README's first command, as it stands there."""
        command, _ = checkout.first_command(self.checkout)
        self.timings_file.unlink(missing_ok=True)
        return self._run(["/bin/sh", "-c", command], f"cold cluster-up{note}", _UP_LIMIT)

    def up(self, note: str = "") -> Timing:
        self.timings_file.unlink(missing_ok=True)
        return self._run(self.session("cluster-up"), f"cluster-up{note}", _WARM_LIMIT)

    def down(self) -> Timing:
        return self._run(self.session("cluster-down"), "cluster-down", _DOWN_LIMIT)

    def down_all(self) -> Timing:
        command = self.session("cluster-down", "--", "--all")
        return self._run(command, "cluster-down --all", _DOWN_LIMIT)

    def tests(self, note: str) -> Timing:
        return self._run(self.session("tests"), f"tests {note}", _TESTS_LIMIT)

    @property
    def timings_file(self) -> Path:
        return self.cache / "timings.json"

    def steps(self) -> dict[str, float]:
        """Seconds of each step of the last ``cluster-up``, and of each task without steps."""
        seconds: dict[str, float] = {}
        for line in _text(self.state / "kindling" / "events.jsonl").splitlines():
            event = _parsed(line)
            if event.get("state") in ("done", "failed"):
                name = str(event.get("step"))
                seconds[name] = seconds.get(name, 0.0) + float(event.get("seconds", 0))
        for task in _parsed(_text(self.timings_file)).get("tasks", []):
            name = ": ".join(filter(None, (task["role"], task["task"])))
            seconds[name] = seconds.get(name, 0.0) + float(task["seconds"])
        return {name: round(value, 2) for name, value in seconds.items()}

    def recap(self) -> str:
        """The counts that the last ``cluster-up`` ended with, as ``ok=29 changed=0 …``."""
        return str(_parsed(_text(self.timings_file)).get("recap", ""))

    def keep_evidence(self, timing: Timing) -> None:
        """Put beside a failed run's log what its cluster and engine wrote, and ``status``."""
        folder = Path(timing.log).with_suffix("")
        folder.mkdir(exist_ok=True)
        for file in [*self.own_state.rglob("*"), self.cache / "engine" / "dockerd.log"]:
            # The cluster may be changing its files still.
            with contextlib.suppress(OSError):
                if file.suffix in _EVIDENCE and file.stat().st_size <= _EVIDENCE_BYTES:
                    shutil.copy(file, folder / file.name)
        with contextlib.suppress(KindlingError):
            self._run(self.session("status"), "status after the failure", 120.0)

    def remains(self) -> list[str]:
        """What ``cluster-down -- --all`` should have removed, and did not."""
        found = self.before.settled(self.folder)
        return found + traces.files_left(self.cache, self.state)

    def take_down(self) -> None:
        """Remove everything of it, however far it came."""
        with interrupts.postponed(self.executor.say):
            if self.own_state.exists() and self._nox_program().exists():
                try:
                    self.down()
                except KindlingError as error:
                    self.executor.say(f"error: {error.for_people()}")
            self.executor.say(f"{self.title}: remove {self.folder}")
            self.before.clear(self.folder)

    @property
    def own_state(self) -> Path:
        """What Kindling keeps in the state folder."""
        return self.state / "kindling"

    def _run(self, command: list[str], what: str, limit_seconds: float) -> Timing:
        return self.executor.run(
            command, cwd=self.checkout, env=self.environment(), what=f"{self.title}: {what}",
            limit_seconds=limit_seconds,
        )  # fmt: skip

    def _nox_program(self) -> Path:
        return self.checkout / checkout.first_command(self.checkout)[1]

    def session(self, name: str, *arguments: str) -> list[str]:
        """The command that runs the Nox session ``name``."""
        return [str(self._nox_program()), "-s", name, *arguments]


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _parsed(text: str) -> dict[str, Any]:
    """The JSON object ``text``, or an empty one where it is none: a killed run left half of it."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
