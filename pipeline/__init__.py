"""Prepare, train and evaluate the models that the service serves, and register them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

_CPU = Path("/proc/cpuinfo")

# Libraries read these when they are first imported, and this file comes before all imports of them.
os.environ |= {
    # They report their use over the network otherwise, and one keeps an id on disk.
    "ORT_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # What a person is told, the pipeline says.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# OpenBLAS picks its kernels by the processor, and the last bits of a sum with them: a model would
# have other bytes on another machine. These run on every x86-64 of the last ten years.
if _CPU.exists() and " avx2 " in _CPU.read_text(encoding="utf-8"):
    os.environ["OPENBLAS_CORETYPE"] = "Haswell"
# MLflow records the version of pip for conda, and warns where there is none: our environments.
logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
