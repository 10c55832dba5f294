"""``import-model``: somebody's own MLflow model becomes a version that the service can serve."""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kindling import cluster, engine, import_source, lock, paths, settings
from kindling.errors import KindlingError
from kindling.import_answer import Answer
from kindling.registry_access import RegistryAccess, access, check_experiments
from kindling.supply.containers import Engine
from kindling.supply.modes import Supplier
from kindling.supply.versions import load
from kindling.table import console, table
from kindling.train import known_models
from kindling.view import View
from service.package import (
    DESCRIPTOR_FILE,
    NAME_PATTERN,
    TRACE_EXPERIMENT,
    Descriptor,
    parse_descriptor,
)

_TICK_SECONDS = 0.2
# A model's runs are in an experiment of its name, and what is old in this one is deleted.
_OF_TRACES = TRACE_EXPERIMENT
_MOST_SHOWN = 20
_MISSING = (
    "XGBoost's file does not hold the estimator's `missing`: if that was not NaN, log the model"
    " with mlflow.sklearn"
)
_T = TypeVar("_T")


def main(argv: Sequence[str] | None = None) -> int:
    """Import one model. Returns 0, or 1 with a message on standard error."""
    options = _arguments(argv)
    # SIGTERM too, so that no container is left; SIGINT is ignored where a script started this.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        check_name(options.name)
        import_source.is_in_mlflow(options.uri)
        known = _cluster(options)
        registry = access(known["name"])
        check_experiments(registry, [options.name])
        with lock.hold("import-model"):
            _run(options, known, registry)
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nox -s models tells what is registered", file=sys.stderr)
        return 130
    return 0


def check_name(name: str) -> None:
    """Raise KindlingError unless a model may be called ``name``."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise KindlingError(
            f"a model cannot be called {name!r}: letters, digits, '.', '_' and '-', 63 at most",
            next_step="nox -s import-model -- URI NAME",
        )
    if name == _OF_TRACES:
        raise KindlingError(
            f"{name} is the experiment of the service's traces", next_step="any other name"
        )
    if name in (trained := known_models(paths.REPOSITORY)):
        raise KindlingError(
            f"{name} is a model that is trained here",
            next_step=f"any name but {', '.join(trained)}",
        )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nox -s import-model --", description=__doc__, allow_abbrev=False
    )
    settings.add_arguments(parser)
    parser.add_argument(
        "uri",
        metavar="URI",
        help="runs:/ID/PATH, models:/NAME/VERSION, models:/NAME@ALIAS, a folder",
    )
    parser.add_argument("name", metavar="NAME", help="what it is called in the registry")
    return parser.parse_args(argv)


def _cluster(options: argparse.Namespace) -> dict[str, Any]:
    """What is known of the cluster, whose engine answers."""
    known = cluster.known(settings.load(options.inventory, options.set).cluster_name)
    used = known.get("engine") or {}
    if not used or not engine.answers(Path(used["docker"]), used["host"]):
        raise KindlingError(
            "no container engine answers, and a model is only opened in a container",
            next_step="nox -s cluster-up",
        )
    return known


def _run(options: argparse.Namespace, known: dict[str, Any], registry: RegistryAccess) -> None:
    # Late: it imports MLflow, for which nobody with a typing mistake should wait.
    from kindling import import_check, import_container, import_registration

    docker = Engine(Path(known["engine"]["docker"]), known["engine"]["host"])
    view = View(sys.stdout)
    # Below what cleans up after a run that was killed.
    paths.work_dir().mkdir(parents=True, exist_ok=True)
    import_container.sweep(docker)
    try:
        image = _step(view, "the converter's image", lambda: _image(known, docker))
        with tempfile.TemporaryDirectory(dir=paths.work_dir(), prefix="import-") as temporary:
            work = Path(temporary)
            source, files = work / "source", work / "package"
            registry.export()
            _step(view, f"read {options.uri}", lambda: import_source.fetch(options.uri, source))
            answer = _step(
                view, "convert and compare",
                lambda: import_container.convert(docker, image, source, options.name),
            )  # fmt: skip
            _write(answer, files)
            _step(view, "check the package", lambda: import_check.check(files, options.name))
            version, new = _step(
                view, "register",
                lambda: import_registration.register(
                    options.name, files, source, options.uri, answer.figures, work
                ),
            )  # fmt: skip
    finally:
        view.close()
    _summarize(options, answer, version, new)


def _image(known: dict[str, Any], docker: Engine) -> str:
    supplier = Supplier(load(), docker.docker, docker.host)
    return supplier.importer(known.get("supply", "packages"), known.get("mirror", ""))


def _write(answer: Answer, files: Path) -> None:
    files.mkdir()
    for name, content in answer.files.items():
        (files / name).write_bytes(content)


def _step(view: View, title: str, work: Callable[[], _T]) -> _T:
    """Do ``work`` while the view tells that it goes on."""
    began, over = time.monotonic(), threading.Event()
    view.task(title)

    def tick() -> None:
        while not over.wait(_TICK_SECONDS):
            view.tick()

    # The work stays in this thread, so that an interruption reaches it.
    ticking = threading.Thread(target=tick, daemon=True)
    ticking.start()
    try:
        found = work()
    finally:
        over.set()
        ticking.join()
        view.idle()
    view.finished(title, time.monotonic() - began, False)
    return found


def _summarize(options: argparse.Namespace, answer: Answer, version: str, new: bool) -> None:
    figures = answer.figures
    described = parse_descriptor(answer.files[DESCRIPTOR_FILE], options.name)
    example = f", {figures.example_rows} of its example" if figures.example_rows else ""
    ties = f", {figures.ties} ties" if figures.ties else ""
    rows = [
        ("read", f"{figures.model} of {figures.library} ({figures.flavor}), {options.uri}"),
        *_columns(described),
        ("parity", f"{figures.rows} random rows, {figures.boundary_rows} at its"
                   f" boundaries{example}: no label differs{ties}, numbers by"
                   f" {figures.largest_difference:.2g} of their spread at most"
                   f" ({figures.precision} precision)"),
        ("version", f"{options.name} {version}" + ("" if new else ", registered before")),
    ]  # fmt: skip
    if figures.flavor == "xgboost":
        rows.append(("note", _MISSING))
    out = console()
    out.print()
    out.print(table(("", ""), rows))
    where = ["--inventory", options.inventory] if options.inventory != "local" else []
    where += [word for one in options.set for word in ("-e", one)]
    promote = shlex.join(["nox", "-s", "promote", "--", options.name, version, *where])
    out.print(f"\nnext: {promote}", soft_wrap=True)


def _columns(described: Descriptor) -> list[tuple[str, str]]:
    part = described.tabular
    assert part is not None
    inputs = [f"{c.name}: {c.type}{', may be missing' if c.optional else ''}" for c in part.inputs]
    outputs = [
        f"{o.name}: {o.type}{f', {o.size} each' if o.size > 1 else ''}" for o in part.outputs
    ]
    return [
        (title if k == 0 else "", words)
        for title, lines in (("inputs", inputs), ("outputs", outputs))
        for k, words in enumerate(_short(lines))
    ]


def _short(lines: list[str]) -> list[str]:
    more = len(lines) - _MOST_SHOWN
    return lines if more <= 0 else [*lines[:_MOST_SHOWN], f"and {more} more"]


if __name__ == "__main__":
    sys.exit(main())
