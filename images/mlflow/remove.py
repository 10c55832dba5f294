"""Removes runs and logged models for good, with their files: ``remove.py RUN,… MODEL,…``.

Only what is in the lifecycle stage ``deleted``, and nothing else in it: ``mlflow gc``, given some
ids, also removes every deleted experiment, which its owner may want back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import serve

ARTIFACTS = "/var/lib/mlflow/artifacts"
# By its own address: files are deleted through the server, which knows where they are.
_SERVER = "http://127.0.0.1:5000"


def remove(database: str, runs: Sequence[str], models: Sequence[str]) -> None:
    """Remove them; what is gone already is left out."""
    from mlflow.cli import _gc_tracking_resources
    from mlflow.tracking import _get_store

    _gc_tracking_resources(
        backend_store=_get_store(database, ARTIFACTS),
        run_ids=list(runs),
        experiment_ids=None,
        logged_model_ids=list(models),
        older_than=None,
        time_delta=0,
        skip_experiments=True,
        skip_logged_models=not models,
        ignore_not_found=True,
    )


def main(arguments: Sequence[str]) -> int:
    """Remove what the arguments name, as the administrator."""
    os.environ |= {
        "MLFLOW_TRACKING_URI": _SERVER,
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": os.environ["ADMIN_PASSWORD"],
    }
    runs, models = ([one for one in words.split(",") if one] for words in arguments)
    remove(serve.database_url(os.environ), runs, models)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
