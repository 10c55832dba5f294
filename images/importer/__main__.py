"""``python -m importer MODEL NAME``: what came of it, on standard output and nowhere else.

A line of JSON comes first: ``{"done": FIGURES, "files": {NAME: BYTES}}``, and then the files one
after the other; or ``{"refused": REASON, "next": STEP}``, with exit code 3.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

REFUSED, LATE = 3, 4


def main(arguments: list[str] | None = None) -> int:
    """Import one model; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m importer", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("model", type=Path, help="the folder of an MLflow model")
    parser.add_argument("name", help="what the model is called from now on")
    parser.add_argument("--seconds", type=int, default=0, help="after which it ends; 0: never")
    options = parser.parse_args(arguments)
    if options.seconds:
        # Should nobody be left who would end it. Not by a signal, which process 1 may ignore.
        limit = threading.Timer(options.seconds, os._exit, [LATE])
        limit.daemon = True
        limit.start()
    # What the model's own code prints is not what this program says.
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    # Late: the libraries print and warn as they are imported.
    from importer.converters import register
    from importer.errors import RefusedError, one_line
    from importer.importing import run

    said: dict[str, Any]
    package: dict[str, bytes] = {}
    try:
        register()
        figures, package = run(options.model, options.name)
        said = {"done": figures, "files": {name: len(one) for name, one in package.items()}}
    except RefusedError as error:
        said = {"refused": error.reason, "next": error.next_step}
    except MemoryError:
        said = {
            "refused": "it needs more memory than it may take",
            "next": "import a smaller model",
        }
    except Exception as error:
        reason = f"it fails with {type(error).__name__}: {one_line(error)}"
        said = {"refused": reason, "next": "log it again by MLflow's log_model, and import that"}
    answer.write(json.dumps(said).encode() + b"\n")
    for content in package.values():
        answer.write(content)
    answer.close()
    return 0 if "done" in said else REFUSED


if __name__ == "__main__":
    sys.exit(main())
