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
        self._has_been_ready = False
        self.standings = {name: Standing() for name in models.names}
        self.registry = "not configured"
        # Whether the registry is still to be asked, for the first time, which others there are.
        self.is_asking_for_others = False
        self.draining = False

    def drain(self) -> None:
        """Say not ready from now on, and go on serving."""
        self.draining = True

    def reason_not_ready(self) -> str | None:
        """Why no request should come here; None if one should.

        At first it waits for all models, those that are not configured too: another replica serves
        them already. A model that cannot be had does not keep the rest from being served, once that
        is known. Who has been ready is so until it drains, whatever the registry does.
        """
        if self.draining:
            return "shutting down"
        reason = None if self._has_been_ready else self._reason_to_wait()
        self._has_been_ready |= reason is None
        return reason

    def _reason_to_wait(self) -> str | None:
        missing = [name for name in self._models.known if self._models.served(name) is None]
        reasons = {name: self._why_missing(name) for name in missing}
        if self.is_asking_for_others or LOADING in reasons.values():
            return LOADING
        configured = [name for name in missing if name in self._models.names]
        if len(configured) < len(self._models.names):
            return None
        return "; ".join(f"{name}: {reasons[name]}" for name in configured)

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
