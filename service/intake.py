"""The way of one version from the registry, or from disk, to a model that can be served."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog

from service.copies import Copies, Copy, discard
from service.digests import Digests, check_files, parse_digests
from service.errors import ModelInvalidError, ModelUnavailableError
from service.loader import open_runner, read_descriptor
from service.models import Served
from service.package import DESCRIPTOR_FILE, Descriptor
from service.priority_lock import PriorityLock
from service.registry import Registry
from service.settings import Settings
from service.sketch import Sketch
from service.sketch_reference import read_reference
from service.trial import try_model

# At once, of the models that are configured, and again of the others.
_DOWNLOADS = 2

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Wanted:
    """A version and the content that it must have."""

    version: str
    digests: Digests

    @classmethod
    def parse(cls, version: str, tag: str | None) -> Self:
        """The version with the content that its tag promises. Raises ModelRefusedError."""
        return cls(version, parse_digests(tag))


class Intake:
    """Downloads, checks, loads and keeps; what is served meanwhile is not touched.

    Several models may be on their way at once. Those of ``settings.models`` have downloads of their
    own, and their trials, which take memory and so come one after another, come first.
    """

    def __init__(self, copies: Copies, settings: Settings) -> None:
        self._copies = copies
        self._settings = settings
        self._downloads = {
            is_configured: asyncio.Semaphore(_DOWNLOADS) for is_configured in (True, False)
        }
        self._trials = PriorityLock()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def bring(
        self, registry: Registry, name: str, wanted: Wanted, *, note: bool = True
    ) -> Served:
        """A version ready to be served, with a copy, which a restart serves if it is noted.

        Raises ModelRefusedError or ModelInvalidError if it can never be, ModelUnavailableError or
        RegistryUnreachableError if not now.
        """
        find = self._copies.find
        # A canary and a champion of one model may come at once; each prunes what is spare.
        async with self._locks[name]:
            copy = await asyncio.to_thread(find, name, wanted.version, wanted.digests)
            if copy is not None:
                return await self._use(name, copy, note=note)
        try:
            workspace = await asyncio.to_thread(self._copies.workspace, name)
            try:
                await self._download(registry, name, wanted, workspace)
                async with self._trials.hold(is_urgent=name in self._settings.models):
                    await try_model(workspace, name, self._settings)
                async with self._locks[name]:
                    keep = self._copies.keep
                    copy = await asyncio.to_thread(
                        keep, name, wanted.version, wanted.digests, workspace
                    )
                    return await self._use(name, copy, note=note)
            finally:
                self._copies.discard_workspace(workspace)
        except OSError as error:
            raise ModelUnavailableError(
                f"there is no place for a copy of it: {error.strerror}"
            ) from None

    async def _use(self, name: str, copy: Copy, *, note: bool) -> Served:
        try:
            served = await self.load(name, copy)
        except ModelInvalidError:
            await asyncio.to_thread(discard, copy.folder)
            raise
        keep = self._copies.note if note else self._copies.spare
        try:
            await asyncio.to_thread(keep, name, copy)
        except OSError as error:
            _log.warning("copy not noted", model=name, reason=error.strerror)
        return served

    async def load(self, name: str, copy: Copy) -> Served:
        """The model in ``copy``, warm. Raises ModelInvalidError, ModelUnavailableError."""
        try:
            return await asyncio.to_thread(self._load, name, copy)
        except MemoryError:
            raise ModelUnavailableError("there is not enough memory to load it") from None

    def _load(self, name: str, copy: Copy) -> Served:
        descriptor = read_descriptor(copy.folder, name)
        threads = self._settings.intra_op_threads
        runner = open_runner(copy.folder, descriptor, intra_op_threads=threads)
        sketch = self._sketch(copy.folder, descriptor)
        return Served(name, copy.version, descriptor, runner, sketch)

    def _sketch(self, folder: Path, descriptor: Descriptor) -> Sketch | None:
        reference = read_reference(folder, descriptor)
        if reference is None:
            return None
        rows, seconds = self._settings.sketch_rows, self._settings.sketch_seconds
        return Sketch(reference, rows=rows, seconds=seconds)

    async def _download(
        self, registry: Registry, name: str, wanted: Wanted, workspace: Path
    ) -> None:
        seconds = self._settings.download_timeout_seconds
        digests, reserve = wanted.digests, self._copies.reserve
        async with self._downloads[name in self._settings.models]:
            try:
                async with asyncio.timeout(seconds):
                    root = await registry.artifact_root(name, wanted.version)
                    # It tells the kind, and so which other files there may be.
                    await registry.download(root, DESCRIPTOR_FILE, digests, workspace, reserve)
                    check_files(digests, read_descriptor(workspace, name).kind)
                    for file in sorted(set(digests) - {DESCRIPTOR_FILE}):
                        await registry.download(root, file, digests, workspace, reserve)
            except TimeoutError:
                raise ModelUnavailableError(
                    f"its files did not arrive within {seconds:g} seconds"
                ) from None
