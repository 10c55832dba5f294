"""Registering an evaluated model: the step after the pipeline, once for each cluster."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline import gate, package, params, registry, revision, stages
from pipeline.flavor import PackageFlavor
from pipeline.registry import Record, Registry
from pipeline.stages import Build, Model


def register(model: Model, build: Build, chosen: Any, console: Console) -> dict[str, Any]:
    """Register the model in ``build`` as the challenger, unless this very package is there already.

    Prints and returns: ``model``, ``version``, ``new``, ``aliases``, ``metrics``, ``url``.
    Raises PipelineError when the model falls short of the gate or of the champion, and when the
    registry cannot be used.
    """
    metrics = stages.metrics(build)
    gate.enforce(model.NAME, gate.judge(metrics, chosen.gate), console)
    with tempfile.TemporaryDirectory() as temporary, registry.connect() as found:
        folder = Path(temporary)
        stages.assemble(model, build, folder)
        sha256 = package.sha256(folder)
        version = found.find(model.NAME, sha256)
        new = version is None
        if version is None:
            record = describe(model, build, chosen, metrics)
            _compare(found, model, record, chosen, console)
            flavor = PackageFlavor(folder, model.example(build))
            version = found.add(model.NAME, record, flavor, sha256)
        else:
            found.offer(model.NAME, version)
        url = f"{found.url}/#/models/{model.NAME}/versions/{version}"
        aliases = found.aliases(model.NAME, version)
    measured = ", ".join(f"{name} {gate.number(value)}" for name, value in metrics.items())
    how = "is registered" if new else "is this very model, registered before"
    called = f" ({', '.join(aliases)})" if aliases else ""
    console.print(f"{model.NAME}: version {version}{called} {how}")
    console.print(f"  {measured}", f"  {url}", sep="\n", soft_wrap=True)
    return {
        "model": model.NAME, "version": version, "new": new, "aliases": aliases,
        "metrics": metrics, "url": url,
    }  # fmt: skip


def describe(model: Model, build: Build, chosen: Any, metrics: dict[str, float]) -> Record:
    """What is kept about the run that made the model in ``build``."""
    root = Path(__file__).resolve().parent.parent
    tags = {registry.DATA_TAG: package.digest(build.data), **revision.describe(root)}
    curve = list(_curve(build.model / "loss.csv"))
    made = f"Trained by the pipeline of {model.NAME}, on the data that `{registry.DATA_TAG}` names."
    return Record(params.flat(chosen), metrics, curve, tags, build.evaluation, made)


def _compare(found: Registry, model: Model, record: Record, chosen: Any, console: Console) -> None:
    champion = found.champion(model.NAME)
    if champion is None:
        return
    if champion.data != record.tags[registry.DATA_TAG]:
        console.print(f"{model.NAME}: the champion, version {champion.version}, was evaluated on"
                      " other data and is not compared")  # fmt: skip
        return
    verdicts = gate.compare(record.metrics, champion.metrics, chosen.gate)
    gate.enforce(model.NAME, verdicts, console, f"the champion, version {champion.version}")


def _curve(file: Path) -> Iterator[tuple[str, int, float]]:
    """Every column but the first, which is the step, as a metric named after it."""
    with file.open(encoding="utf-8", newline="") as lines:
        (_, *names), *rows = csv.reader(lines)
    for step, *values in rows:
        for name, value in zip(names, values, strict=True):
            if value:
                yield f"loss_{name}", int(step), float(value)
