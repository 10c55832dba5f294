"""A model served over HTTP. Knows nothing of where it runs."""

from __future__ import annotations

import os

# onnxruntime otherwise reports its use over the network and keeps an id on disk. It reads this when
# it is first imported, and this file comes before every import of it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# numpy's threads, one per core of the host, would only take memory: onnxruntime does the work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
