"""One stage for one model: ``python -m pipeline prepare digits``; ``dvc repro`` calls it so."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline import gate, package, params, stages
from pipeline.errors import PipelineError
from pipeline.stages import Build, Model

_LOG_WIDTH = 120
_BUILD = Path(__file__).resolve().parent / "build"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 1 when something failed, the gate included."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("stage", choices=("prepare", "train", "evaluate", "register"))
    parser.add_argument("model", help=f"one of: {', '.join(stages.MODELS)}")
    parser.add_argument("--params", type=Path, default=params.FILE, metavar="FILE")
    parser.add_argument("--build", type=Path, metavar="DIR", help="what to work in")
    parser.add_argument("--result", type=Path, metavar="FILE", help="register: tell programs here")
    options = parser.parse_args(argv)
    try:
        model = stages.load(options.model)
        chosen = params.load(model.NAME, model.Params, options.params)
        _run(options, model, Build(options.build or _BUILD / model.NAME), chosen)
    except PipelineError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace, model: Model, build: Build, chosen: Any) -> None:
    # Lines stay whole where nobody watches, and where another program shows them.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _LOG_WIDTH)
    if options.stage == "prepare":
        stages.prepare(model, build, chosen)
    elif options.stage == "train":
        stages.train(model, build, chosen)
    elif options.stage == "evaluate":
        metrics = stages.evaluate(model, build).metrics
        gate.enforce(model.NAME, gate.judge(metrics, chosen.gate), console)
    else:
        # Here: it takes MLflow's client seconds to load, and the stages do not need it.
        from pipeline import registration

        registered = registration.register(model, build, chosen, console)
        if options.result:
            package.write_json(options.result, registered)


if __name__ == "__main__":
    sys.exit(main())
