"""Where the service is between starting and stopping."""

from __future__ import annotations

import asyncio

import structlog

from service.errors import ModelInvalidError
from service.metrics import Metrics
from service.model import Model

_log = structlog.stdlib.get_logger(__name__)


class Lifecycle:
    """Loads the model in the background and answers whether requests should come here."""

    def __init__(self, model: Model, metrics: Metrics) -> None:
        self._model = model
        self._metrics = metrics
        self._failure: str | None = None
        self._loaded = False
        self.draining = False

    async def load(self) -> None:
        """Load the model off the event loop; a failure becomes the reason for not being ready."""
        try:
            await asyncio.to_thread(self._model.load)
        except ModelInvalidError as error:
            self._failure = error.message
            _log.error("model not loaded", reason=error.message)
            return
        except Exception as error:
            self._failure = f"the model failed to load: {type(error).__name__}"
            _log.exception("model not loaded")
            return
        metadata = self._model.metadata
        if metadata is not None:
            self._metrics.model_served(metadata.version, metadata.accuracy)
            self._loaded = True
            _log.info("model loaded", model=metadata.name, version=metadata.version)

    def drain(self) -> None:
        """Say not ready from now on, and go on serving."""
        self.draining = True

    def reason_not_ready(self) -> str | None:
        """Why no request should come here; None if one should."""
        if self.draining:
            return "shutting down"
        if self._failure is not None:
            return self._failure
        return None if self._loaded else "the model is loading"
