"""Compares what the model service is asked with what its models learned from, and reports drift."""

from __future__ import annotations

import os

# numpy's threads, one per core of the host, would only take memory. Read when it is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
