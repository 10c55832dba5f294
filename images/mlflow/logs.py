"""JSON log lines on standard output, with the fields of the model service's."""

from __future__ import annotations

import io
import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

# The trace that the request being answered belongs to; empty if it told none.
trace_id: ContextVar[str] = ContextVar("trace_id", default="")

# Loggers that libraries give handlers and formats of their own.
_CONFIGURED_ELSEWHERE = ("mlflow", "alembic", "huey", "sqlalchemy.engine", "uvicorn")


class JsonFormatter(logging.Formatter):
    """One JSON object a line; fields beside the message come from the record's ``fields``."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if trace := trace_id.get():
            fields["trace_id"] = trace
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class Lines(io.TextIOBase):
    """A text stream whose lines become log lines, for what a command prints."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def write(self, text: str) -> int:
        """Log each line that is not empty. Raises TypeError for bytes, as text streams do."""
        if not isinstance(text, str):
            raise TypeError(f"a str is written here, not {type(text).__name__}")
        for line in text.splitlines():
            if line.strip():
                self._logger.info("%s", line)
        return len(text)


def configure() -> None:
    """Send every line to standard output as JSON, those of MLflow and its libraries too.

    MLflow sets its own handlers when it is imported, so this is for after that.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in _CONFIGURED_ELSEWHERE:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
