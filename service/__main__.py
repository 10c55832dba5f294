"""``python -m service``: put the parts together and serve until told to stop."""

from __future__ import annotations

import os
import signal
import sys

if __name__ == "__main__":
    # Process 1 of a container ignores SIGTERM unless it handles it, and uvicorn handles it only
    # seconds later. SystemExit would not do: raised in a callback of an import, it is dropped.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

from service.app import create_app
from service.errors import SettingsInvalidError
from service.lifecycle import Lifecycle
from service.logs import configure_logs
from service.metrics import Metrics
from service.model import OnnxModel
from service.server import create_server
from service.settings import load_settings


def main() -> int:
    """Serve; returns the exit code: 0 after a drain, 2 for bad settings."""
    try:
        settings = load_settings()
    except SettingsInvalidError as error:
        print(error.message, file=sys.stderr)
        return 2
    configure_logs(settings.log_level)
    model = OnnxModel(
        settings.model_dir,
        name=settings.model_name,
        intra_op_threads=settings.intra_op_threads,
    )
    metrics = Metrics(settings.model_name)
    lifecycle = Lifecycle(model, metrics)
    app = create_app(settings, model, metrics=metrics, lifecycle=lifecycle)
    server = create_server(app, settings, lifecycle)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
