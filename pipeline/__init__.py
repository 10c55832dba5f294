"""Prepare, train and evaluate the models that the service serves."""

from __future__ import annotations

import os

# onnxruntime otherwise reports its use over the network and keeps an id on disk. It reads this when
# it is first imported, and this file comes before every import of it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
