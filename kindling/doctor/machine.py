"""All that checks ask of the machine, in one place, so that a test can answer instead."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kindling import cluster, engine, engine_probe, paths, pip_config
from kindling.doctor.web import Answer, ask
from kindling.supply.modes import registry_answers

T = TypeVar("T")
_CONNECT_SECONDS = 3.0


@dataclass(frozen=True)
class Done:
    """How a program ended; ``code`` is None where it is missing or was too slow."""

    code: int | None
    out: str
    err: str


def run(words: Sequence[str], seconds: float = 3.0, env: Mapping[str, str] | None = None) -> Done:
    """Run a program, but never longer than ``seconds``. ``env`` is added to the environment."""
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Done(None, "", f"no answer in {seconds:g} s")
    except OSError as error:
        return Done(None, "", error.strerror or str(error))
    return Done(done.returncode, done.stdout, done.stderr)


def gather(jobs: Mapping[str, Callable[[], T]], seconds: float) -> dict[str, T | Exception | None]:
    """Run all jobs at once; what is late is None, what raised is its exception.

    The threads are daemons: one that hangs in a system call holds nobody up.
    """
    results: dict[str, T | Exception | None] = dict.fromkeys(jobs)

    def work(name: str) -> None:
        try:
            results[name] = jobs[name]()
        except Exception as error:
            results[name] = error

    threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in jobs]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(results)


def free_bytes(folder: Path) -> tuple[int, int, int]:
    """File system id, free bytes and free inodes of where ``folder`` is or would be."""
    while not folder.exists():
        folder = folder.parent
    about = os.statvfs(folder)
    inodes = about.f_favail if about.f_files else 1
    return folder.stat().st_dev, about.f_bavail * about.f_frsize, inodes


def engine_host() -> str:
    """Where the engine that ``cluster-up`` would use is to be found."""
    return engine.default_host() if engine.own_pid() is None else engine.own_host()


def prove_network(docker: Path, host: str, target: tuple[str, int]) -> None:
    """As ``engine_probe.prove_network`` does, within what ``doctor`` waits for."""
    engine_probe.prove_network(docker, host, target, _CONNECT_SECONDS)


@dataclass(frozen=True)
class Machine:
    """The machine. ``root`` is where /proc, /sys and /etc are looked for."""

    root: Path = Path("/")
    cache: Path = field(default_factory=paths.cache_dir)
    system: str = field(default_factory=platform.system)
    arch: str = field(default_factory=platform.machine)
    uid: int = field(default_factory=os.geteuid)
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    run: Callable[..., Done] = run
    which: Callable[[str], str | None] = shutil.which
    free: Callable[[Path], tuple[int, int, int]] = free_bytes
    ask: Callable[..., Answer] = ask
    registry_answers: Callable[[str], bool] = registry_answers
    engine_host: Callable[[], str] = engine_host
    prove_privileged: Callable[[Path, str], None] = engine_probe.prove_privileged
    prove_network: Callable[[Path, str, tuple[str, int]], None] = prove_network
    package_index: Callable[[], tuple[str, int] | None] = pip_config.address
    facts: Callable[[str], dict[str, Any] | None] = cluster.facts
    now: Callable[[], float] = time.time

    def read(self, path: str) -> str:
        """The text of ``path`` below ``root``, or nothing where it cannot be read."""
        try:
            return (self.root / path.lstrip("/")).read_text(errors="replace")
        except OSError:
            return ""
