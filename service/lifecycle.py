"""Where the service is between starting and stopping, and how it stands with the registry."""

from __future__ import annotations

from dataclasses import dataclass

from service.models import Models
from service.schemas import CanaryState, ModelState, Readiness, Refused

LOADING = "the model is loading"


@dataclass
class Standing:
    """Why the version that the registry wants is not served, or why none is; and its canary."""

    refused: Refused | None = None
    reason: str | None = None
    canary: CanaryState | None = None


class Lifecycle:
    """Answers whether requests should come here; others tell it what happens."""

    def __init__(self, models: Models, *, others: int = 0) -> None:
        self._models = models
        self._others = others
        self.standings = {name: Standing() for name in models.names}
        self.registry = "not configured"
        self.draining = False

    def drain(self) -> None:
        """Say not ready from now on, and go on serving."""
        self.draining = True

    def reason_not_ready(self) -> str | None:
        """Why no request should come here; None if one should.

        A model that cannot be had does not keep the rest from being served, once that is known.
        Those that are not configured do not count.
        """
        if self.draining:
            return "shutting down"
        missing = [name for name in self._models.names if self._models.served(name) is None]
        reasons = [self._why_missing(name) for name in missing]
        if LOADING in reasons:
            return LOADING
        if len(missing) < len(self._models.names):
            return None
        return "; ".join(map(": ".join, zip(missing, reasons, strict=True)))

    def readiness(self) -> Readiness:
        """What /ready says."""
        reason = self.reason_not_ready()
        states = [self._state(name) for name in self._models.known]
        return Readiness(
            status="not ready" if reason else "ready",
            reason=reason,
            model=states[0].name,
            version=states[0].version,
            models=states,
            others=self._others,
            registry=self.registry,
        )

    def _why_missing(self, name: str) -> str:
        standing = self.standings[name]
        if standing.refused:
            return f"version {standing.refused.version} is refused: {standing.refused.reason}"
        return standing.reason or LOADING

    def _state(self, name: str) -> ModelState:
        served, standing = self._models.served(name), self.standings[name]
        version = served.version if served else None
        return ModelState(
            name=name,
            version=version,
            refused=standing.refused,
            reason=standing.reason,
            canary=standing.canary,
        )
