"""``python -m kindling.import_check FOLDER NAME``: open and run a package that others made.

A process of its own with little memory, little time and no way to write, as the service's check.
Exit code 0 means that the graph is what model.json says; 3 that it is not, for the reason on
standard output.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from kindling import paths
from kindling.errors import KindlingError
from kindling.import_answer import plain
from service.check import REFUSED, confine, give_way
from service.errors import ModelInvalidError
from service.loader import read_descriptor
from service.onnx import first_line, open_session
from service.package import GRAPH_FILE, read_file
from service.package_tabular import TabularPart
from service.tabular import FLOATS, OUTPUTS, UNKNOWN_CATEGORY

CPU_SECONDS, WALL_SECONDS, MEMORY_MB = 60, 120, 2048
_NUMPY = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_, "tensor(string)": np.object_,
}  # fmt: skip
_ROWS = 3
_SMALLER = "import a smaller model"
_AGAIN = "log the model again by MLflow's log_model, and import that"


def check(folder: Path, name: str) -> None:
    """Check the package of ``name`` in ``folder`` in a process of its own. Raises KindlingError."""
    try:
        done = subprocess.run(
            [sys.executable, "-B", "-m", "kindling.import_check", str(folder), name],
            cwd=paths.REPOSITORY, env={"PYTHONPATH": str(paths.REPOSITORY),
                                       "ORT_DISABLE_TELEMETRY": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=WALL_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        reason, next_step = f"opening and running it takes more than {WALL_SECONDS} s", _SMALLER
    else:
        if done.returncode == 0:
            return
        said = plain(done.stdout[:1000].decode(errors="replace"))
        reason, next_step = said, _AGAIN
        if done.returncode != REFUSED:
            reason, next_step = f"its process ended, {done.returncode}", _SMALLER
    raise KindlingError(f"the converted package is not taken: {reason}", next_step=next_step)


def main(folder: str, name: str) -> int:
    """What the process does; returns the exit code."""
    give_way()
    try:
        descriptor = read_descriptor(Path(folder), name)
        assert descriptor.tabular is not None
        confine(CPU_SECONDS, WALL_SECONDS, MEMORY_MB)
        content = read_file(Path(folder), GRAPH_FILE)
        session = open_session(content, intra_op_threads=1)
        _compare(session, descriptor.tabular)
        _run(session, descriptor.tabular)
    except ModelInvalidError as error:
        print(error.message)
        return REFUSED
    except MemoryError:
        print(f"it needs more than {MEMORY_MB} MB of memory: a smaller model may do")
        return REFUSED
    except Exception as error:
        print(f"opening or running it fails: {first_line(error)}")
        return REFUSED
    return 0


def _compare(session: ort.InferenceSession, part: TabularPart) -> None:
    inputs = {one.name: one for one in session.get_inputs()}
    if part.graph_input == "matrix":
        if len(inputs) != 1 or (only := next(iter(inputs.values()))).type not in FLOATS:
            raise ModelInvalidError("its graph does not take one matrix of numbers")
        if only.shape[1:] != [len(part.inputs)]:
            raise ModelInvalidError("its graph takes another number of columns")
    else:
        if inputs.keys() != {column.in_graph for column in part.inputs}:
            raise ModelInvalidError("its graph takes other columns")
        for column in part.inputs:
            kind = inputs[column.in_graph].type
            if kind not in _NUMPY or (column.type == "string") != (kind == "tensor(string)"):
                raise ModelInvalidError(f"its graph takes {column.name} as {kind}")
    said = [one.type for one in session.get_outputs()]
    if said != [OUTPUTS[one.type] for one in part.outputs]:
        raise ModelInvalidError(f"its graph gives {', '.join(said)[:200]}")


def _run(session: ort.InferenceSession, part: TabularPart) -> None:
    feed: dict[str, Any] = {}
    for one in session.get_inputs():
        width = len(part.inputs) if part.graph_input == "matrix" else 1
        feed[one.name] = np.zeros((_ROWS, width), _NUMPY[one.type])
        if one.type == "tensor(string)":
            feed[one.name][:] = ""
    try:
        found = session.run(None, feed)
    except Exception as error:
        if any(column.type == "string" for column in part.inputs) or UNKNOWN_CATEGORY in str(error):
            # An encoder may know no empty string or no zero, and its owner have wanted it to fail.
            return
        raise
    for output, array in zip(part.outputs, found, strict=True):
        if np.asarray(array).size != _ROWS * output.size:
            raise ModelInvalidError(f"its {output.name} does not have {output.size} for each row")


if __name__ == "__main__":
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.exit(main(*sys.argv[1:]))
