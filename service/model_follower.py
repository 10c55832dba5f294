"""Keeps serving what the registry's alias of one model points to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from service.copies import Copies
from service.errors import ModelInvalidError, ModelRefusedError, ServiceError
from service.intake import Intake, Wanted
from service.lifecycle import Standing
from service.metrics import Metrics
from service.models import Models, Served
from service.registry import Registry
from service.schemas import Refused

_log = structlog.stdlib.get_logger(__name__)
# The tag of a version may change where it is; the alias alone would not tell.
_LOOK_AGAIN_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 60.0
_NO_COPY = "there is no copy of it, and no registry is configured"


@dataclass(frozen=True)
class Following:
    """What followers of all models share: which aliases they follow, and how often, about."""

    models: Models
    copies: Copies
    intake: Intake
    metrics: Metrics
    alias: str
    fallback_alias: str
    poll_seconds: float


@dataclass(frozen=True)
class _Refusal:
    """Why a version with this tag is refused."""

    version: str
    tag: str | None
    reason: str


class ModelFollower:
    """Serves the version of the alias of the model ``name``, and tells ``standing`` if it cannot.

    Where that version is refused and no other is served, as in a pod that just started, it serves
    that of the fallback alias.
    """

    def __init__(self, name: str, standing: Standing, following: Following) -> None:
        self._name = name
        self._standing = standing
        self._following = following
        # The version last looked at, and what became of it.
        self._version: str | None = None
        self._look_again = 0.0
        self._served: Wanted | None = None
        self._refused: _Refusal | None = None
        self._no_fallback: tuple[str, str | None] | None = None
        self._failures = 0

    async def load_copy(self, *, has_registry: bool) -> None:
        """Serve the copy that was served last, if there is one and it is good."""
        reason = None
        try:
            copy = await asyncio.to_thread(self._following.copies.current, self._name)
            if copy is not None:
                self._serve(await self._following.intake.load(self._name, copy))
                self._served = Wanted(copy.version, copy.digests)
                return
        except ServiceError as error:
            reason = error.message
        except Exception as error:
            reason = type(error).__name__
            _log.exception("loading failed", model=self._name)
        if reason is not None:
            _log.warning("copy not served", model=self._name, reason=reason)
        if not has_registry:
            self._standing.reason = reason or _NO_COPY

    async def follow(self, registry: Registry, aliases: Mapping[str, str]) -> None:
        """Do what ``aliases`` of the model, and the versions that bear them, say."""
        version = aliases.get(self._following.alias)
        earlier = aliases.get(self._following.fallback_alias)
        if version is None:
            self._version = None
            self._put_off(f"the registry has no {self._following.alias} of it")
            return
        if version == self._version and time.monotonic() < self._look_again:
            return
        if version != self._version:
            self._version, self._failures = version, 0
        self._look_again = time.monotonic() + _LOOK_AGAIN_SECONDS
        tag: str | None = None
        try:
            tag = await registry.digest_tag(self._name, version)
            if self._refused and (version, tag) == (self._refused.version, self._refused.tag):
                await self._fall_back(registry, earlier)
                self._tell_refused(self._refused)
                return
            await self._bring(registry, Wanted.parse(version, tag))
            self._refused = self._standing.refused = self._standing.reason = None
            self._failures = 0
        except (ModelRefusedError, ModelInvalidError) as error:
            self._refused = _Refusal(version, tag, error.message)
            # Before it is told: until then a pod that has none of it is loading, not ready.
            await self._fall_back(registry, earlier)
            self._tell_refused(self._refused)
            self._following.metrics.refused(self._name)
            _log.error("model refused", model=self._name, version=version, reason=error.message)
        except ServiceError as error:
            self._try_later(error.message)
        except Exception as error:
            _log.exception("following failed", model=self._name)
            self._try_later(type(error).__name__)

    def registry_down(self, reason: str) -> None:
        """Say why there is nothing to serve, if there is nothing."""
        if self._following.models.served(self._name) is None and self._standing.refused is None:
            self._standing.reason = f"the registry is unreachable: {reason}"

    def registry_up(self) -> None:
        """Look at once at what could not be had."""
        self._look_again, self._standing.reason = 0.0, None

    async def _bring(self, registry: Registry, wanted: Wanted) -> None:
        if wanted != self._served:
            self._serve(await self._following.intake.bring(registry, self._name, wanted))
            self._served = wanted

    async def _fall_back(self, registry: Registry, version: str | None) -> None:
        is_served = self._following.models.served(self._name) is not None
        if version is None or version == self._version or is_served:
            return
        tag: str | None = None
        about = {"model": self._name, "version": version}
        try:
            tag = await registry.digest_tag(self._name, version)
            if (version, tag) != self._no_fallback:
                await self._bring(registry, Wanted.parse(version, tag))
        except (ModelRefusedError, ModelInvalidError) as error:
            self._no_fallback = (version, tag)
            _log.error("fallback refused", **about, reason=error.message)
        except ServiceError as error:
            _log.warning("fallback not there", **about, reason=error.message)

    def _try_later(self, reason: str) -> None:
        self._failures += 1
        pause = self._following.poll_seconds * 2 ** min(self._failures, 16)
        self._look_again = time.monotonic() + min(pause, _LONGEST_PAUSE_SECONDS)
        self._put_off(f"version {self._version} cannot be had: {reason}")

    def _serve(self, served: Served) -> None:
        before = self._following.models.served(served.name)
        self._following.models.put(served)
        descriptor = served.descriptor
        self._following.metrics.served(
            served.name, served.version, descriptor.accuracy, descriptor.kind
        )
        _log.info(
            "model served",
            model=served.name,
            version=served.version,
            before=before.version if before else None,
        )

    def _tell_refused(self, refusal: _Refusal) -> None:
        self._standing.refused = Refused(version=refusal.version, reason=refusal.reason)
        self._standing.reason = None

    def _put_off(self, reason: str) -> None:
        """Say why there is nothing newer, once."""
        self._standing.refused = None
        if self._standing.reason != reason:
            self._standing.reason = reason
            _log.warning("model not there", model=self._name, reason=reason)
