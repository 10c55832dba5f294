"""A second version of a model that gets a share of its requests for a while: a canary.

The registry asks for one by the tag ``canary`` of the registered model, a JSON object of
``version``, ``share`` and ``until``. Whoever runs the comparison sets ``until`` anew while it goes
on: a canary that nobody looks after ends by itself.
"""

from __future__ import annotations

import time
from typing import Annotated, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import ModelInvalidError, ModelRefusedError, ServiceError
from service.intake import Wanted
from service.lifecycle import Standing
from service.model_follower import Following
from service.models import Served
from service.package import VERSION_PATTERN, Kind
from service.registry import Registry
from service.schemas import CanaryState, Refused

TAG = "canary"
# A version that should get more is a champion.
_MOST_SHARE = 0.5
_MOST_TAG = 1024
_LOOK_AGAIN_SECONDS = 15.0

_log = structlog.stdlib.get_logger(__name__)


class Wish(BaseModel):
    """What the tag says: ``share`` of the requests, ``until`` a time in Unix seconds."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    version: Annotated[str, Field(pattern=f"^{VERSION_PATTERN}$")]
    share: float = Field(gt=0, le=_MOST_SHARE)
    until: float = Field(gt=0, allow_inf_nan=False)

    @classmethod
    def parse(cls, tag: str | None) -> Self | None:
        """The wish in a tag, if it is one and its time is not over."""
        if tag is None:
            return None
        try:
            wish = cls.model_validate_json(tag[:_MOST_TAG])
        except ValidationError:
            return None
        return wish if wish.until > time.time() else None


class CanaryFollower:
    """Serves the canary that the registry asks for beside the champion of the model ``name``."""

    def __init__(self, name: str, standing: Standing, following: Following) -> None:
        self._name = name
        self._standing = standing
        self._models = following.models
        self._intake = following.intake
        self._metrics = following.metrics
        # The version and the content of it that is served or was refused.
        self._served: Wanted | None = None
        self._refused: tuple[str, str | None] | None = None
        self._looked_at = ""
        self._look_again = 0.0

    async def follow(self, registry: Registry, tag: str | None) -> None:
        """Do what the ``tag`` of the model says."""
        wish = Wish.parse(tag)
        champion = self._models.served(self._name)
        if wish is None or champion is None or champion.version == wish.version:
            self.end()
            return
        served = await self._bring(registry, wish, champion.descriptor.kind)
        if served is None or champion is not self._models.served(self._name):
            return
        if self._models.canary(self._name) is None:
            _log.info("canary served", model=self._name, version=wish.version, share=wish.share)
        self._models.put_canary(served, share=wish.share, until=wish.until)
        self._metrics.canary(self._name, wish.version, served.descriptor.kind, wish.share)
        self._standing.canary = CanaryState(version=wish.version, share=wish.share)

    def end(self) -> None:
        """End the canary, if there is one."""
        self._standing.canary = self._served = self._refused = None
        self._looked_at = ""
        if (canary := self._models.canary(self._name)) is not None:
            self._models.drop_canary(self._name)
            self._metrics.no_canary(self._name, canary.served.version)
            _log.info("canary ended", model=self._name, version=canary.served.version)

    async def _bring(self, registry: Registry, wish: Wish, kind: Kind) -> Served | None:
        canary = self._models.canary(self._name)
        served = canary.served if canary else None
        if wish.version == self._looked_at and time.monotonic() < self._look_again:
            return served
        self._looked_at = wish.version
        self._look_again = time.monotonic() + _LOOK_AGAIN_SECONDS
        tag: str | None = None
        about = {"model": self._name, "version": wish.version}
        try:
            tag = await registry.digest_tag(self._name, wish.version)
            if (wish.version, tag) == self._refused:
                return None
            wanted = Wanted.parse(wish.version, tag)
            if served is None or wanted != self._served:
                self.end()
                served = await self._intake.bring(registry, self._name, wanted, note=False)
                if served.descriptor.kind != kind:
                    raise ModelInvalidError(
                        f"it is a {served.descriptor.kind}, and the champion a {kind}"
                    )
                self._served = wanted
        except (ModelRefusedError, ModelInvalidError) as error:
            self.end()
            self._refused, self._looked_at = (wish.version, tag), wish.version
            refused = Refused(version=wish.version, reason=error.message)
            self._standing.canary = CanaryState(version=wish.version, share=0.0, refused=refused)
            _log.error("canary refused", **about, reason=error.message)
            return None
        except ServiceError as error:
            _log.warning("canary not there", **about, reason=error.message)
            return None
        except Exception:
            # Nothing about a canary may hold up the models.
            _log.exception("canary not there", **about)
            return None
        return served
