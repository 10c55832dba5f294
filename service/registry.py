"""What the service asks of the model registry, MLflow; nothing in the answers is taken on trust."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

import structlog
from pydantic import BaseModel, Field, ValidationError

from service.digests import TAG, Digests
from service.errors import (
    AnswerAbsentError,
    AnswerTooLargeError,
    ModelRefusedError,
    ModelUnavailableError,
    RegistryUnreachableError,
)
from service.fetch import Fetcher
from service.package import (
    DESCRIPTOR_FILE,
    MAX_DESCRIPTOR_BYTES,
    MAX_REFERENCE_BYTES,
    NAME_PATTERN,
    REFERENCE_FILE,
    VERSION_PATTERN,
)

_log = structlog.stdlib.get_logger(__name__)
_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_MAX_ANSWER_BYTES = 4_194_304
_MAX_PAGES = 50
_PAGE, _SMALLER = 100, 10
_LIMITS = {DESCRIPTOR_FILE: MAX_DESCRIPTOR_BYTES, REFERENCE_FILE: MAX_REFERENCE_BYTES}
# No address of another host, nothing that leads up, nothing that a server may read otherwise.
_ARTIFACT_URI = re.compile(r"mlflow-artifacts:((?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,127}){1,16})")


class _Alias(BaseModel):
    alias: str
    version: Annotated[str, Field(pattern=f"^{VERSION_PATTERN}$")]


class _Tag(BaseModel):
    key: str
    value: str = ""


class _Model(BaseModel):
    name: str
    aliases: list[_Alias] = []
    tags: list[_Tag] = []

    def registered(self) -> Registered:
        return Registered(
            {item.alias: item.version for item in self.aliases},
            {tag.key: tag.value for tag in self.tags},
        )


class _Page(BaseModel):
    registered_models: list[_Model] = []
    next_page_token: str | None = None


class _Version(BaseModel):
    tags: list[_Tag] = []


class _VersionAnswer(BaseModel):
    model_version: _Version


class _UriAnswer(BaseModel):
    artifact_uri: str


_T = TypeVar("_T", bound=BaseModel)


@dataclass(frozen=True)
class Registered:
    """What the registry says of a model: which version bears each alias, and its tags."""

    aliases: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry:
    """The registry that ``fetcher`` asks. Every call may raise RegistryUnreachableError."""

    def __init__(self, fetcher: Fetcher, *, max_model_bytes: int) -> None:
        self._fetcher = fetcher
        self._max_model_bytes = max_model_bytes
        self._too_large: set[str] = set()

    async def registered(
        self, names: Collection[str], alias: str | None = None, others: Collection[str] = ()
    ) -> dict[str, Registered]:
        """Each model in ``names`` that is registered, and each other one that has ``alias``.

        Others whose name is none that a package can have are left out. ``others`` are those that
        are known already: like ``names`` they are found however long the list of all models is.
        """
        if alias is None:
            models = await self._by_name(names)
            if names and self._too_large == set(names):
                raise AnswerTooLargeError(f"it answers with more than {_MAX_ANSWER_BYTES} bytes")
            return models
        models, is_whole = await self._list(names, alias)
        if not is_whole:
            known = await self._by_name((set(names) | set(others)) - models.keys())
            models |= {
                name: model
                for name, model in known.items()
                if name in names or alias in model.aliases
            }
        return models

    async def _list(self, names: Collection[str], alias: str) -> tuple[dict[str, Registered], bool]:
        """Those of all models that are wanted, and whether the list could be read to its end."""
        models: dict[str, Registered] = {}
        size = _PAGE
        query: dict[str, str] = {}
        for _ in range(_MAX_PAGES):
            try:
                page = await self._ask(
                    "registered-models/search", {**query, "max_results": str(size)}, _Page
                )
            except AnswerTooLargeError:
                if size == 1:
                    return models, False
                size //= _SMALLER
                continue
            for model in page.registered_models:
                registered = model.registered()
                is_other = alias in registered.aliases and re.fullmatch(NAME_PATTERN, model.name)
                if model.name in names or is_other:
                    models[model.name] = registered
            if not page.next_page_token:
                return models, True
            query["page_token"] = page.next_page_token
        return models, False

    async def _by_name(self, names: Collection[str]) -> dict[str, Registered]:
        """One request for each: what is wrong with one model says nothing about the next."""
        models: dict[str, Registered] = {}
        too_large: set[str] = set()
        for name in names:
            query = {"filter": f"name = '{name}'", "max_results": "1"}
            try:
                page = await self._ask("registered-models/search", query, _Page)
            except AnswerTooLargeError:
                too_large.add(name)
                continue
            models |= {m.name: m.registered() for m in page.registered_models if m.name == name}
        for name in too_large - self._too_large:
            _log.warning("registry entry too large", model=name, limit_bytes=_MAX_ANSWER_BYTES)
        self._too_large = too_large
        return models

    async def digest_tag(self, name: str, version: str) -> str | None:
        """The tag of a version that says which files it has; None without such a tag."""
        query = {"name": name, "version": version}
        answer = await self._ask("model-versions/get", query, _VersionAnswer)
        tags = {tag.key: tag.value for tag in answer.model_version.tags}
        return tags.get(TAG)

    async def artifact_root(self, name: str, version: str) -> str:
        """The path below which a version's files are. Raises ModelRefusedError."""
        query = {"name": name, "version": version}
        answer = await self._ask("model-versions/get-download-uri", query, _UriAnswer)
        match = _ARTIFACT_URI.fullmatch(answer.artifact_uri)
        if match is None:
            raise ModelRefusedError(
                "its files are not at an mlflow-artifacts:/ address below the registry"
            )
        return match[1]

    async def download(
        self,
        root: str,
        name: str,
        digests: Digests,
        folder: Path,
        reserve: Callable[[int], None] = lambda _: None,
    ) -> None:
        """One file below ``root`` into ``folder``. Raises ModelRefusedError, ModelUnavailableError.

        Its content is what ``digests`` say, or it is refused. ``reserve`` is told of bytes before
        they are written, in a thread.
        """
        limit = _LIMITS.get(name, self._max_model_bytes)
        digest = hashlib.sha256()
        try:
            with (folder / name).open("xb") as file:

                def keep(chunk: bytes) -> None:
                    digest.update(chunk)
                    reserve(len(chunk))
                    # Told apart from what goes wrong with the network.
                    try:
                        file.write(chunk)
                    except OSError as error:
                        raise _not_kept(name, error) from None

                await self._fetcher.get(f"{_ARTIFACTS}{root}/{name}", {}, keep, limit=limit)
        except AnswerTooLargeError:
            raise ModelRefusedError(f"its {name} has more than {limit} bytes") from None
        except AnswerAbsentError:
            raise ModelRefusedError(f"the registry holds no {name} of it") from None
        except OSError as error:
            raise _not_kept(name, error) from None
        if digest.hexdigest() != digests[name]:
            raise ModelRefusedError(f"its {name} is not the one whose SHA-256 its tag {TAG} has")

    async def _ask(self, call: str, query: dict[str, str], kind: type[_T]) -> _T:
        content = bytearray()
        await self._fetcher.get(f"{_API}/{call}", query, content.extend, limit=_MAX_ANSWER_BYTES)
        try:
            return kind.model_validate_json(bytes(content))
        except ValidationError:
            raise RegistryUnreachableError(f"its answer to {call} is not a registry's") from None


def _not_kept(name: str, error: OSError) -> ModelUnavailableError:
    return ModelUnavailableError(f"{name} cannot be kept on disk: {error.strerror}")
