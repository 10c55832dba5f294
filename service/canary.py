"""A second version of a model that gets a share of its requests for a while: a canary.

The registry asks for one by the tag ``canary`` of the registered model, a JSON object of
``version``, ``share`` and ``until``. Whoever runs the comparison sets ``until`` anew while it goes
on: a canary that nobody looks after ends by itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import ModelInvalidError, ModelRefusedError, ServiceError
from service.intake import Intake, Wanted
from service.lifecycle import Standing
from service.metrics import Metrics
from service.models import Models, Served
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


@dataclass
class _Followed:
    """What is known of the canary of one model."""

    standing: Standing
    # The version and the content of it that is served or was refused.
    served: Wanted | None = None
    refused: tuple[str, str | None] | None = None
    looked_at: str = ""
    look_again: float = 0.0


class Canaries:
    """Serves the canaries that the registry asks for beside the champions."""

    def __init__(
        self, models: Models, intake: Intake, standings: dict[str, Standing], metrics: Metrics
    ) -> None:
        self._models = models
        self._intake = intake
        self._metrics = metrics
        self._standings = standings
        self._followed: dict[str, _Followed] = {}

    async def follow(self, registry: Registry, name: str, tag: str | None) -> None:
        """Do what the ``tag`` of the model ``name`` says."""
        followed = self._followed.setdefault(name, _Followed(self._standings[name]))
        wish = Wish.parse(tag)
        champion = self._models.served(name)
        if wish is None or champion is None or champion.version == wish.version:
            self._end(name, followed)
            return
        kind = champion.descriptor.kind
        if (served := await self._bring(registry, name, followed, wish, kind)) is None:
            return
        if self._models.canary(name) is None:
            _log.info("canary served", model=name, version=wish.version, share=wish.share)
        self._models.put_canary(served, share=wish.share, until=wish.until)
        self._metrics.canary(name, wish.version, served.descriptor.kind, wish.share)
        followed.standing.canary = CanaryState(version=wish.version, share=wish.share)

    def drop(self, name: str) -> None:
        """End the canary of a model that is served no more, if it has one."""
        if (followed := self._followed.pop(name, None)) is not None:
            self._end(name, followed)

    async def _bring(
        self, registry: Registry, name: str, followed: _Followed, wish: Wish, kind: Kind
    ) -> Served | None:
        canary = self._models.canary(name)
        served = canary.served if canary else None
        if wish.version == followed.looked_at and time.monotonic() < followed.look_again:
            return served
        followed.looked_at = wish.version
        followed.look_again = time.monotonic() + _LOOK_AGAIN_SECONDS
        tag: str | None = None
        try:
            tag = await registry.digest_tag(name, wish.version)
            if (wish.version, tag) == followed.refused:
                return None
            wanted = Wanted.parse(wish.version, tag)
            if served is None or wanted != followed.served:
                self._end(name, followed)
                served = await self._intake.bring(registry, name, wanted, note=False)
                if served.descriptor.kind != kind:
                    raise ModelInvalidError(
                        f"it is a {served.descriptor.kind}, and the champion a {kind}"
                    )
                followed.served = wanted
        except (ModelRefusedError, ModelInvalidError) as error:
            self._end(name, followed)
            followed.refused, followed.looked_at = (wish.version, tag), wish.version
            refused = Refused(version=wish.version, reason=error.message)
            followed.standing.canary = CanaryState(version=wish.version, share=0.0, refused=refused)
            _log.error("canary refused", model=name, version=wish.version, reason=error.message)
            return None
        except ServiceError as error:
            _log.warning("canary not there", model=name, version=wish.version, reason=error.message)
            return None
        except Exception:
            # Nothing about a canary may hold up the models.
            _log.exception("canary not there", model=name, version=wish.version)
            return None
        return served

    def _end(self, name: str, followed: _Followed) -> None:
        followed.standing.canary = followed.served = followed.refused = None
        followed.looked_at = ""
        if (canary := self._models.canary(name)) is not None:
            self._models.drop_canary(name)
            self._metrics.no_canary(name, canary.served.version)
            _log.info("canary ended", model=name, version=canary.served.version)
