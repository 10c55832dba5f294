"""Keeps serving what the registry's alias points to, of each model."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from service.canary import TAG, CanaryFollower
from service.errors import RegistryUnreachableError
from service.lifecycle import Lifecycle, Standing
from service.model_follower import Following, ModelFollower
from service.registry import Registered, Registry

_log = structlog.stdlib.get_logger(__name__)
_T = TypeVar("_T")


class _Latest(Generic[_T]):
    """What was put last, for one who takes it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[_T] = asyncio.Queue(1)

    def put(self, value: _T) -> None:
        """Put ``value`` in the place of what nobody has taken."""
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(value)

    async def take_each(self, work: Callable[[_T], Awaitable[None]]) -> None:
        """Do ``work`` with what was put last, without end. No failure ends it."""
        while True:
            try:
                await work(await self._queue.get())
            except Exception:
                _log.exception("following failed")


@dataclass
class _Followed:
    """Who follows a model and its canary, what they are told, and the tasks that they work in."""

    model: ModelFollower
    canary: CanaryFollower
    aliases: _Latest[Mapping[str, str]] = field(default_factory=_Latest)
    wish: _Latest[str | None] = field(default_factory=_Latest)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def tell(self, registered: Registered) -> None:
        """What the registry says now."""
        self.aliases.put(registered.aliases)
        self.wish.put(registered.tags.get(TAG))

    async def stop(self) -> None:
        """Follow it no more."""
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        self.canary.end()


class Follower:
    """Loads the copies, then follows the alias of each model until it is cancelled.

    So it does for at most ``others`` other models, while the registry has that alias of them. What
    takes long for one model delays no other, nor its own canary.
    """

    def __init__(
        self,
        registry: Registry | None,
        following: Following,
        *,
        lifecycle: Lifecycle,
        others: int = 0,
    ) -> None:
        self._registry = registry
        self._following = following
        self._lifecycle = lifecycle
        self._others = others
        self._names = following.models.names
        self._followed = {name: self._create(name) for name in self._names}
        lifecycle.is_asking_for_others = registry is not None and others > 0

    def _create(self, name: str) -> _Followed:
        standing = self._lifecycle.standings.setdefault(name, Standing())
        return _Followed(
            ModelFollower(name, standing, self._following),
            CanaryFollower(name, standing, self._following),
        )

    async def run(self) -> None:
        """Follow without end. No failure ends it."""
        for followed in self._followed.values():
            await followed.model.load_copy(has_registry=self._registry is not None)
        if self._registry is None:
            return
        async with asyncio.TaskGroup() as tasks:
            for followed in self._followed.values():
                _start(tasks, self._registry, followed)
            while True:
                try:
                    await self._poll(tasks, self._registry)
                except Exception:
                    _log.exception("following failed")
                # Pods that started together do not ask together.
                await asyncio.sleep(self._following.poll_seconds * random.uniform(0.8, 1.2))  # noqa: S311

    async def _poll(self, tasks: asyncio.TaskGroup, registry: Registry) -> None:
        alias = self._following.alias if self._others else None
        known = self._following.models.others
        try:
            registered = await registry.registered(self._names, alias, known)
        except RegistryUnreachableError as error:
            self._registry_down(error.message)
            self._lifecycle.is_asking_for_others = False
            return
        self._registry_up()
        others = sorted(registered.keys() - set(self._names))[: self._others]
        for name in others:
            if name not in self._followed:
                self._followed[name] = self._create(name)
                _start(tasks, registry, self._followed[name])
        gone = [name for name in known if name not in others]
        for name in gone:
            await self._followed.pop(name).stop()
        self._following.models.expect(others)
        self._lifecycle.is_asking_for_others = False
        for name in gone:
            await self._forget(name)
        for name, followed in self._followed.items():
            followed.tell(registered.get(name, Registered()))

    async def _forget(self, name: str) -> None:
        del self._lifecycle.standings[name]
        self._following.metrics.gone(name)
        _log.info("model gone", model=name)
        await asyncio.to_thread(self._following.copies.drop, name)

    def _registry_down(self, reason: str) -> None:
        self._following.metrics.registry_up.set(0)
        if not self._lifecycle.registry.startswith("unreachable"):
            _log.warning("registry unreachable", reason=reason)
        self._lifecycle.registry = f"unreachable: {reason}"
        for followed in self._followed.values():
            followed.model.registry_down(reason)

    def _registry_up(self) -> None:
        self._following.metrics.registry_up.set(1)
        if self._lifecycle.registry.startswith("unreachable"):
            _log.info("registry reachable")
            for followed in self._followed.values():
                followed.model.registry_up()
        self._lifecycle.registry = "reachable"


def _start(tasks: asyncio.TaskGroup, registry: Registry, followed: _Followed) -> None:
    async def follow(aliases: Mapping[str, str]) -> None:
        await followed.model.follow(registry, aliases)

    async def follow_canary(tag: str | None) -> None:
        await followed.canary.follow(registry, tag)

    followed.tasks = [
        tasks.create_task(followed.aliases.take_each(follow)),
        tasks.create_task(followed.wish.take_each(follow_canary)),
    ]
