"""Keeps serving what the registry's alias points to."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from service.canary import TAG, Canaries
from service.copies import Copies
from service.errors import (
    ModelInvalidError,
    ModelRefusedError,
    RegistryUnreachableError,
    ServiceError,
)
from service.intake import Intake, Wanted
from service.lifecycle import Lifecycle, Standing
from service.metrics import Metrics
from service.models import Models, Served
from service.registry import Registered, Registry
from service.schemas import Refused

_log = structlog.stdlib.get_logger(__name__)
# The tag of a version may change where it is; the alias alone would not tell.
_LOOK_AGAIN_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 60.0
_NO_COPY = "there is no copy of it, and no registry is configured"


@dataclass
class _Followed:
    """What is known of one model: the version last looked at, and what became of it."""

    standing: Standing
    version: str | None = None
    look_again: float = 0.0
    served: Wanted | None = None
    refused: tuple[str, str | None] | None = None
    no_fallback: tuple[str, str | None] | None = None
    failures: int = 0


class Follower:
    """Loads the copies, then follows ``alias`` of each model until it is cancelled.

    So it does for at most ``others`` other models, while the registry has that alias of them.

    Where the version of ``alias`` is refused and no other is served, as in a pod that just started,
    it serves that of ``fallback_alias``.
    """

    def __init__(
        self,
        models: Models,
        registry: Registry | None,
        copies: Copies,
        intake: Intake,
        *,
        lifecycle: Lifecycle,
        metrics: Metrics,
        alias: str,
        fallback_alias: str,
        poll_seconds: float,
        others: int = 0,
    ) -> None:
        self._models = models
        self._registry = registry
        self._copies = copies
        self._intake = intake
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._alias = alias
        self._fallback_alias = fallback_alias
        self._poll_seconds = poll_seconds
        self._others = others
        self._canaries = Canaries(models, intake, lifecycle.standings, metrics)
        self._followed = {name: _Followed(lifecycle.standings[name]) for name in models.names}

    async def run(self) -> None:
        """Follow without end. No failure ends it."""
        for name in self._models.names:
            await self._load_copy(name)
        if self._registry is None:
            return
        while True:
            try:
                await self._poll(self._registry)
            except Exception:
                _log.exception("following failed")
            # Pods that started together do not ask together.
            await asyncio.sleep(self._poll_seconds * random.uniform(0.8, 1.2))  # noqa: S311

    async def _load_copy(self, name: str) -> None:
        followed = self._followed[name]
        reason = None
        try:
            copy = await asyncio.to_thread(self._copies.current, name)
            if copy is not None:
                self._serve(await self._intake.load(name, copy))
                followed.served = Wanted(copy.version, copy.digests)
                return
        except ServiceError as error:
            reason = error.message
        except Exception as error:
            reason = type(error).__name__
            _log.exception("loading failed", model=name)
        if reason is not None:
            _log.warning("copy not served", model=name, reason=reason)
        if self._registry is None:
            followed.standing.reason = reason or _NO_COPY

    async def _poll(self, registry: Registry) -> None:
        try:
            alias = self._alias if self._others else None
            registered = await registry.registered(self._models.names, alias, self._models.others)
        except RegistryUnreachableError as error:
            self._registry_down(error.message)
            return
        self._registry_up()
        await self._expect(registered)
        for name, followed in self._followed.items():
            model = registered.get(name, Registered())
            await self._follow(registry, name, followed, model.aliases)
            await self._canaries.follow(registry, name, model.tags.get(TAG))

    async def _expect(self, registered: Mapping[str, Registered]) -> None:
        """Follow the others that there are now, and no more those that there are not."""
        others = sorted(registered.keys() - set(self._models.names))[: self._others]
        gone = [name for name in self._models.others if name not in others]
        for name in gone:
            self._canaries.drop(name)
        for name in others:
            if name not in self._followed:
                standing = self._lifecycle.standings[name] = Standing()
                self._followed[name] = _Followed(standing)
        self._models.expect(others)
        for name in gone:
            del self._followed[name], self._lifecycle.standings[name]
            self._metrics.gone(name)
            _log.info("model gone", model=name)
            await asyncio.to_thread(self._copies.drop, name)

    async def _follow(
        self, registry: Registry, name: str, followed: _Followed, aliases: Mapping[str, str]
    ) -> None:
        version, earlier = aliases.get(self._alias), aliases.get(self._fallback_alias)
        if version is None:
            followed.version = None
            self._put_off(name, followed, f"the registry has no {self._alias} of it")
            return
        if version == followed.version and time.monotonic() < followed.look_again:
            return
        if version != followed.version:
            followed.version, followed.failures = version, 0
        followed.look_again = time.monotonic() + _LOOK_AGAIN_SECONDS
        tag: str | None = None
        try:
            tag = await registry.digest_tag(name, version)
            if (version, tag) == followed.refused:
                await self._fall_back(registry, name, followed, earlier)
                return
            await self._bring(registry, name, followed, Wanted.parse(version, tag))
            followed.refused = followed.standing.refused = followed.standing.reason = None
            followed.failures = 0
        except (ModelRefusedError, ModelInvalidError) as error:
            followed.refused = (version, tag)
            # Before it is told: until then a pod that has none of it is loading, not ready.
            await self._fall_back(registry, name, followed, earlier)
            self._refuse(name, followed, Refused(version=version, reason=error.message))
        except ServiceError as error:
            self._try_later(name, followed, error.message)
        except Exception as error:
            _log.exception("following failed", model=name)
            self._try_later(name, followed, type(error).__name__)

    async def _bring(
        self, registry: Registry, name: str, followed: _Followed, wanted: Wanted
    ) -> None:
        if wanted != followed.served:
            self._serve(await self._intake.bring(registry, name, wanted))
            followed.served = wanted

    async def _fall_back(
        self, registry: Registry, name: str, followed: _Followed, version: str | None
    ) -> None:
        if version is None or version == followed.version or self._models.served(name):
            return
        tag: str | None = None
        try:
            tag = await registry.digest_tag(name, version)
            if (version, tag) != followed.no_fallback:
                await self._bring(registry, name, followed, Wanted.parse(version, tag))
        except (ModelRefusedError, ModelInvalidError) as error:
            followed.no_fallback = (version, tag)
            _log.error("fallback refused", model=name, version=version, reason=error.message)
        except ServiceError as error:
            _log.warning("fallback not there", model=name, version=version, reason=error.message)

    def _try_later(self, name: str, followed: _Followed, reason: str) -> None:
        followed.failures += 1
        pause = self._poll_seconds * 2 ** min(followed.failures, 16)
        followed.look_again = time.monotonic() + min(pause, _LONGEST_PAUSE_SECONDS)
        self._put_off(name, followed, f"version {followed.version} cannot be had: {reason}")

    def _serve(self, served: Served) -> None:
        before = self._models.served(served.name)
        self._models.put(served)
        descriptor = served.descriptor
        self._metrics.served(served.name, served.version, descriptor.accuracy, descriptor.kind)
        _log.info(
            "model served",
            model=served.name,
            version=served.version,
            before=before.version if before else None,
        )

    def _refuse(self, name: str, followed: _Followed, refused: Refused) -> None:
        followed.standing.refused, followed.standing.reason = refused, None
        self._metrics.refused(name)
        _log.error("model refused", model=name, version=refused.version, reason=refused.reason)

    def _put_off(self, name: str, followed: _Followed, reason: str) -> None:
        """Say why there is nothing newer, once."""
        followed.standing.refused = None
        if followed.standing.reason != reason:
            followed.standing.reason = reason
            _log.warning("model not there", model=name, reason=reason)

    def _registry_down(self, reason: str) -> None:
        self._metrics.registry_up.set(0)
        if not self._lifecycle.registry.startswith("unreachable"):
            _log.warning("registry unreachable", reason=reason)
        self._lifecycle.registry = f"unreachable: {reason}"
        for name, followed in self._followed.items():
            if self._models.served(name) is None and followed.standing.refused is None:
                followed.standing.reason = f"the registry is unreachable: {reason}"

    def _registry_up(self) -> None:
        self._metrics.registry_up.set(1)
        if self._lifecycle.registry.startswith("unreachable"):
            _log.info("registry reachable")
            for followed in self._followed.values():
                followed.look_again, followed.standing.reason = 0.0, None
        self._lifecycle.registry = "reachable"
