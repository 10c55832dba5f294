"""A content-addressed store of build results, and the graph of steps that fills it.

A step's key is the hash of its inputs and of the keys of the steps it needs, so an unchanged
input is never built twice. A result appears under its final name only when it is complete: a
build that is killed leaves nothing but a work folder, which the next run removes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kindling import progress

_HEAVY_AT_ONCE = 2
Build = Callable[[Path, Mapping[str, Path]], None]


@dataclass(frozen=True)
class Step:
    """One build. ``build(out, results)`` fills the folder ``out`` from the results of ``needs``.

    ``inputs`` are the strings whose change makes this another build; ``after`` only orders.
    ``heavy`` steps saturate the processors but at their ends: two at a time.
    """

    name: str
    inputs: tuple[str, ...]
    build: Build
    needs: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    heavy: bool = False
    present: Callable[[Path], bool] = field(default=lambda _: True)

    @property
    def key(self) -> str:
        """Sixteen hex digits that change when any input changes."""
        parts = [self.name, *self.inputs, *(need.key for need in self.needs)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def hash_files(*paths: Path) -> str:
    """SHA-256 over the names and contents of files, and of every file below folders."""
    digest = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            if "__pycache__" in file.parts:
                continue
            name = file.relative_to(path.parent).as_posix()
            digest.update(f"{name}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


class Store:
    """Finished steps, each in a folder ``NAME-KEY`` below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._work = root / ".work"

    def path(self, step: Step) -> Path:
        """Where the result of ``step`` is, or will be."""
        return self.root / f"{step.name}-{step.key}"

    def has(self, step: Step) -> bool:
        """Whether ``step`` need not run."""
        path = self.path(step)
        return path.is_dir() and step.present(path)

    def results(self, name: str) -> list[Path]:
        """Every result of the steps that are called ``name``."""
        return list(self.root.glob(f"{name}-????????????????"))

    def clean_work(self) -> None:
        """Remove what builds left that were killed or failed; what another process builds stays.

        To be called before this process builds.
        """
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for folder in self._work.glob("*"):
            builder = folder.name.rpartition(".")[2]
            if builder != str(os.getpid()) and Path("/proc", builder).exists():
                continue
            for mount in sorted(mounts, reverse=True):
                # A killed mmdebstrap may have left the host's /dev mounted in there.
                if Path(mount).is_relative_to(folder):
                    subprocess.run(["umount", "--lazy", mount], check=True, capture_output=True)
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            self._work.rmdir()

    def run(self, step: Step) -> Path:
        """Build ``step``, whose needs are finished, and return its folder."""
        final = self.path(step)
        work = self._work / f"{final.name}.{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        step.build(work, {need.name: self.path(need) for need in step.needs})
        shutil.rmtree(final, ignore_errors=True)
        work.rename(final)
        return final


def wanted(targets: Iterable[Step], store: Store) -> list[Step]:
    """The steps that must run for ``targets`` to be there, needs before what needs them."""
    order: dict[str, Step] = {}

    def visit(step: Step) -> None:
        if step.name in order or store.has(step):
            return
        for need in step.needs:
            visit(need)
        order[step.name] = step

    for target in targets:
        visit(target)
    return list(order.values())


def build_all(targets: Iterable[Step], store: Store, *, workers: int) -> list[str]:
    """Build what is missing for ``targets``, in parallel where steps allow it.

    Returns the names of the steps that ran. The first failure is raised once the steps that
    are under way have ended; finished ones stay, so the next call goes on from there.
    """
    todo = wanted(targets, store)
    names = {step.name for step in todo}
    finished: set[str] = set()
    running: dict[Future[Path], Step] = {}
    failure: BaseException | None = None

    def run(step: Step) -> Path:
        with progress.step(step.name):
            return store.run(step)

    def ready(step: Step) -> bool:
        if step.heavy and sum(other.heavy for other in running.values()) >= _HEAVY_AT_ONCE:
            return False
        before = [*step.needs, *step.after]
        return all(s.name in finished for s in before if s.name in names)

    waiting = list(todo)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        while running or (waiting and failure is None):
            for step in [] if failure else list(waiting):
                if ready(step):
                    waiting.remove(step)
                    running[pool.submit(run, step)] = step
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                step = running.pop(future)
                if error := future.exception():
                    failure = failure or error
                else:
                    finished.add(step.name)
    if failure is not None:
        raise failure
    return [step.name for step in todo]
