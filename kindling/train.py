"""Prepare, train and evaluate models with DVC, then register them in a cluster's MLflow."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kindling import lock, paths, progress, settings
from kindling.errors import KindlingError
from kindling.model_registry import CHAMPION
from kindling.table import console, table
from kindling.view import View

_LAST_STAGE = "evaluate"
_BEGINS = re.compile(r"Running stage '(\w+)@\w+'")
_SKIPPED = re.compile(r"Stage '(\w+)@\w+' (?:is )?(didn't change|cached)")
_TICK_SECONDS = 0.2
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Trained:
    """A model that passed the gate. ``version`` is empty unless it is registered."""

    name: str
    metrics: dict[str, float]
    version: str = ""
    aliases: tuple[str, ...] = ()


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is named; the exit code is 1 when the gate or anything else stopped something."""
    options = _arguments(argv)
    # SIGINT too: a script that starts this in the background has it ignored, children included.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return _run(options)
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nox -s train --", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="those of params.yaml, or all")
    parser.add_argument(
        "--root",
        type=Path,
        default=paths.REPOSITORY,
        metavar="DIR",
        help="the checkout to train in",
    )
    parser.add_argument("--no-register", action="store_true", help="end after the evaluation")
    parser.add_argument(
        "--wait",
        type=float,
        default=0,
        metavar="SECONDS",
        help="for another training of this checkout to end",
    )
    settings.add_arguments(parser)
    return parser.parse_args(argv)


def _run(options: argparse.Namespace) -> int:
    root = options.root.resolve()
    models = _chosen(options.models, root)
    registry = None if options.no_register else _registry(options, models)
    view = View(sys.stdout)
    try:
        with contextlib.ExitStack() as held:
            with progress.step(f"train {', '.join(models)}"):
                held.enter_context(_alone(root, options.wait))
                trained = [_trained(name, root) for name in models if _reproduce(name, root, view)]
            if registry is not None and trained:
                # Only now, because no stage is to depend on a registry.
                registry.export()
                with progress.step(f"register {', '.join(model.name for model in trained)}"):
                    registered = [_register(model, root, view) for model in trained]
                trained = list(filter(None, registered))
    finally:
        view.close()
    if trained:
        _summarize(trained)
    names = {model.name for model in trained}
    if failed := [model for model in models if model not in names]:
        raise KindlingError(
            f"{', '.join(failed)} did not get through; the reason is above",
            next_step=f"when that is mended: nox -s train -- {' '.join(failed)}",
        )
    return 0


def known_models(root: Path) -> list[str]:
    """The models that ``params.yaml`` in ``root`` has. Raises KindlingError without that file."""
    try:
        return list(yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8")))
    except (OSError, TypeError, yaml.YAMLError) as error:
        raise KindlingError(
            f"{root} has no usable params.yaml: {error}", next_step="name a checkout with --root"
        ) from error


def environment(root: Path) -> dict[str, str]:
    """What DVC and the stages run with: what DVC keeps goes with our caches, not elsewhere."""
    kept = paths.cache_dir() / "dvc"
    config = kept / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "config").write_text(f"[cache]\n    dir = {kept / 'cache'}\n", encoding="utf-8")
    return {
        **_python(root),
        "DVC_GLOBAL_CONFIG_DIR": str(config),
        "DVC_SITE_CACHE_DIR": str(kept / "site"),
        "DVC_NO_ANALYTICS": "true",
    }


def _python(root: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(root),
        "PYTHONUNBUFFERED": "1",
    }


def _alone(root: Path, wait_seconds: float) -> contextlib.AbstractContextManager[lock.Run]:
    """No other training of this checkout: both would write the same files."""
    file = root / ".dvc" / "tmp" / "train.lock"
    return lock.hold("a training of this checkout", file, wait_seconds=wait_seconds)


def _trained(model: str, root: Path) -> Trained:
    file = root / "pipeline" / "build" / model / "metrics.json"
    return Trained(model, json.loads(file.read_text(encoding="utf-8")))


def _chosen(wanted: Sequence[str], root: Path) -> list[str]:
    known = known_models(root)
    if unknown := [name for name in wanted if name not in known]:
        raise KindlingError(
            f"no model is named {', '.join(unknown)}", next_step=f"one of: {', '.join(known)}"
        )
    return [name for name in known if name in wanted or not wanted]


def _registry(options: argparse.Namespace, models: Sequence[str]) -> Any:
    from kindling import registry_access

    cluster_name = settings.load(options.inventory, options.set).cluster_name
    try:
        registry = registry_access.access(cluster_name)
        registry_access.check_experiments(registry, models)
    except KindlingError as error:
        # Before the minute that training takes, not after it.
        without = "nox -s train -- --no-register"
        raise KindlingError(
            error.message, next_step=f"{error.next_step}, or without a cluster: {without}"
        ) from error
    return registry


def _reproduce(model: str, root: Path, view: View) -> bool:
    """Run what is not up to date, showing each stage; shows all that was said when it fails."""
    run = _Stages(model, view)
    command = ["-m", "dvc", "repro", f"{_LAST_STAGE}@{model}"]
    code = _follow(command, root, environment(root), view, run.line)
    run.end(code)
    return code == 0


class _Stages:
    """Shows what DVC says about the stages of a model, one line each."""

    def __init__(self, model: str, view: View) -> None:
        self._model, self._view = model, view
        self._said: list[str] = []
        self._stage, self._began = "", 0.0

    def line(self, text: str) -> None:
        """What DVC or the stage said."""
        if skipped := _SKIPPED.match(text):
            self._finish()
            why = "unchanged" if skipped[2] == "didn't change" else "from the cache"
            self._view.finished(f"{self._model}: {skipped[1]}, {why}", 0, False)
        elif begins := _BEGINS.match(text):
            self._finish()
            self._stage, self._began = begins[1], time.monotonic()
            self._view.task(f"{self._model}: {self._stage}")
        self._said.append(text)

    def end(self, code: int) -> None:
        """DVC has ended with ``code``."""
        if code == 0:
            self._finish()
            return
        self._view.failure(f"{self._model}: {self._stage or 'DVC'}", "it said:", "")
        for text in self._said:
            self._view.line(f"    {text}".rstrip())

    def _finish(self) -> None:
        if self._stage:
            seconds = time.monotonic() - self._began
            self._view.finished(f"{self._model}: {self._stage}", seconds, True)
        self._view.idle()
        self._stage = ""
        self._said.clear()


def _register(model: Trained, root: Path, view: View) -> Trained | None:
    """Register a model; None, and what was said, when that fails."""
    began = time.monotonic()
    view.task(f"{model.name}: register")
    with tempfile.TemporaryDirectory() as temporary:
        result = Path(temporary) / "result.json"
        command = ["-m", "pipeline", "register", model.name, "--result", str(result)]
        code = _follow(command, root, _python(root), view, view.line)
        view.idle()
        if code:
            view.failure(f"{model.name}: register", "the reason is above", "")
            return None
        found = json.loads(result.read_text(encoding="utf-8"))
    view.finished(f"{model.name}: register", time.monotonic() - began, found["new"])
    return Trained(model.name, model.metrics, found["version"], tuple(found["aliases"]))


def _follow(
    words: Sequence[str],
    root: Path,
    env: Mapping[str, str],
    view: View,
    tell: Callable[[str], None],
) -> int:
    """Run Python, telling each line that it says; returns the exit code.

    When this process is interrupted, so is everything that was started.
    """
    child = subprocess.Popen(
        [sys.executable, *words], cwd=root, env=env, stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        # No session of its own: it would have a priority of its own.
        process_group=0,
    )  # fmt: skip
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        with child.stdout or contextlib.nullcontext(()) as said:
            for line in said:
                lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            try:
                line = lines.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                view.tick()
                continue
            if line is None:
                return child.wait()
            tell(line)
    except BaseException:
        _end(child)
        raise


def _end(child: subprocess.Popen[str]) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_PATIENCE_SECONDS)
            return


def _summarize(trained: Sequence[Trained]) -> None:
    rows = [
        (model.name, model.version or "not registered", ", ".join(model.aliases),
         ", ".join(f"{name} {value:.4g}" for name, value in model.metrics.items()
                   if isinstance(value, float)))
        for model in trained
    ]  # fmt: skip
    out = console()
    out.print()
    out.print(table(("model", "version", "alias", "metrics"), rows))
    waiting = [model for model in trained if model.version and CHAMPION not in model.aliases]
    if waiting:
        out.print("\nNext:")
    for model in waiting:
        out.print(f"  nox -s promote -- {model.name} {model.version}")


if __name__ == "__main__":
    sys.exit(main())
