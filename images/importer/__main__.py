"""``python -m importer MODEL OUT NAME``: one line of JSON on standard output says how it went.

``{"done": FIGURES}``, or ``{"refused": REASON, "next": STEP}`` with exit code 3.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

REFUSED = 3


def main(arguments: list[str] | None = None) -> int:
    """Import one model; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m importer", description=__doc__)
    parser.add_argument("model", type=Path, help="the folder of an MLflow model")
    parser.add_argument("out", type=Path, help="the folder for the package")
    parser.add_argument("name", help="what the model is called from now on")
    options = parser.parse_args(arguments)
    # What the model's own code prints is not what this program says.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    # Late: the libraries print and warn as they are imported.
    from importer.converters import register
    from importer.errors import RefusedError, one_line
    from importer.importing import run

    try:
        register()
        said, code = {"done": run(options.model, options.out, options.name)}, 0
    except RefusedError as error:
        said, code = {"refused": error.reason, "next": error.next_step}, REFUSED  # type: ignore[dict-item]
    except Exception as error:
        reason = f"it fails with {type(error).__name__}: {one_line(error)}"
        said, code = {"refused": reason, "next": "log the model again with plain types"}, REFUSED  # type: ignore[dict-item]
    print(json.dumps(said), file=answer, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
