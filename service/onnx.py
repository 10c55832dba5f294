"""Opening an ONNX graph with nothing but its own bytes."""

from __future__ import annotations

import onnxruntime as ort

from service.errors import ModelInvalidError
from service.package import GRAPH_FILE


def open_session(content: bytes, *, intra_op_threads: int) -> ort.InferenceSession:
    """A session for the graph in ``content``. Raises ModelInvalidError.

    A graph that keeps weights in other files is refused, wherever these are.
    """
    options = ort.SessionOptions()
    # Left alone, the runtime starts a thread per core of the host, whatever share is ours.
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    # What fails raises, too. The runtime's own lines would stand among ours, and are no JSON.
    options.log_severity_level = 4
    entries = {
        "session.intra_op.allow_spinning": "0",
        # Or it would guess from the content whether it is of the runtime's own format.
        "session.load_model_format": "ONNX",
        # Or it would look for other files in the working folder. Nothing is below this one.
        "session.model_external_initializers_file_folder_path": "/dev/null",
    }
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    try:
        # The fallback would try the same again, and print to standard output that it does.
        return ort.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:
        raise ModelInvalidError(
            f"{GRAPH_FILE} is not a model that can be run: {first_line(error)}"
        ) from None


def first_line(error: Exception) -> str:
    """What the runtime says, short enough for a person."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
