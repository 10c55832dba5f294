"""Where traces go: a collector that takes OTLP over HTTP, or the registry's own MLflow."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any, Protocol, TypeVar

import structlog
from pydantic import BaseModel, Field, ValidationError

from service.errors import AnswerAbsentError, RegistryUnreachableError
from service.fetch import Fetcher
from service.settings import Settings

_log = structlog.stdlib.get_logger(__name__)
_SECONDS = 10.0
# A deleted experiment takes spans as any other does, and nobody sees them.
_STAGE_CHECK_INTERVAL_SECONDS = 60.0
_MAX_ANSWER_BYTES = 65_536
_PROTOBUF = {"Content-Type": "application/x-protobuf"}
_JSON = {"Content-Type": "application/json"}
_EXPERIMENTS = "/api/2.0/mlflow/experiments"
_DELETE = "/api/2.0/mlflow/traces/delete-traces"
_COUNT = "/api/3.0/mlflow/traces/metrics"
# Few at once: MLflow deletes them in one transaction.
_DELETE_AT_ONCE = 500
_MOST_DELETIONS = 100
# By its kind MLflow knows which of its pages to open first; the note is the description there.
_TAGS = {
    "mlflow.experimentKind": "genai_development",
    "mlflow.note.content": "Requests to the model service: how long each took, and where."
    " What was sent and what was predicted is not here.",
}
_T = TypeVar("_T", bound=BaseModel)


class TraceSink(Protocol):
    """Takes batches of spans. Its calls raise RegistryUnreachableError."""

    async def send(self, body: bytes) -> bytes:
        """Take an ExportTraceServiceRequest; returns the response to it."""

    async def tidy(self) -> None:
        """Delete what is older than it may become."""


class Collector:
    """Anything that speaks OTLP over HTTP; what becomes of the traces is its own affair."""

    def __init__(self, fetcher: Fetcher, headers: Mapping[str, str]) -> None:
        self._fetcher = fetcher
        self._headers = {**headers, **_PROTOBUF}

    async def send(self, body: bytes) -> bytes:
        """Take an ExportTraceServiceRequest; returns the response to it."""
        return await self._fetcher.post("", body, self._headers, limit=_MAX_ANSWER_BYTES)

    async def tidy(self) -> None:
        """Nothing is ours there."""


class _Experiment(BaseModel):
    # It becomes a header.
    experiment_id: Annotated[str, Field(pattern="^[0-9]{1,20}$")]
    lifecycle_stage: str = "active"


class _ExperimentAnswer(BaseModel):
    experiment: _Experiment


class _Empty(BaseModel):
    pass


class _Count(BaseModel):
    values: dict[str, float]


class _CountAnswer(BaseModel):
    data_points: list[_Count] = []


class _Deleted(BaseModel):
    traces_deleted: int = 0


class MlflowTraces:
    """An experiment of MLflow, made when it is not there yet, and kept small.

    One that was deleted is restored, as MLflow gives its name to no other.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        path: str,
        experiment: str,
        *,
        days: float,
        most: int,
        check_interval_seconds: float = _STAGE_CHECK_INTERVAL_SECONDS,
    ) -> None:
        self._fetcher = fetcher
        self._path = path
        self._experiment = experiment
        self._days = days
        self._most = most
        self._check_interval_seconds = check_interval_seconds
        self._check_at = 0.0
        self._id: str | None = None

    async def send(self, body: bytes) -> bytes:
        """Take an ExportTraceServiceRequest; returns the response to it."""
        headers = {**_PROTOBUF, "x-mlflow-experiment-id": await self._experiment_id()}
        try:
            return await self._fetcher.post(self._path, body, headers, limit=_MAX_ANSWER_BYTES)
        except RegistryUnreachableError:
            # It may have been deleted, or the whole database be another.
            self._id = None
            raise

    async def tidy(self) -> None:
        """Delete traces that are too old, and the oldest of those that are too many.

        Each replica does so now and then: what another has deleted is not there to be deleted.
        """
        now = time.time()
        await self._delete(before=now - self._days * 86_400, most=None)
        if (surplus := await self._count() - self._most) > 0:
            await self._delete(before=now, most=surplus)

    async def _delete(self, *, before: float, most: int | None) -> None:
        for _ in range(_MOST_DELETIONS):
            at_once = _DELETE_AT_ONCE if most is None else min(_DELETE_AT_ONCE, most)
            asked = {
                "experiment_id": await self._experiment_id(),
                "max_timestamp_millis": int(before * 1000),
                "max_traces": at_once,
            }
            deleted = (await self._post(_DELETE, asked, _Deleted)).traces_deleted
            if most is not None:
                most -= deleted
            if deleted < at_once or most == 0:
                return

    async def _count(self) -> int:
        asked = {
            "experiment_ids": [await self._experiment_id()],
            "view_type": "TRACES",
            "metric_name": "trace_count",
            "aggregations": [{"aggregation_type": "COUNT"}],
        }
        points = (await self._post(_COUNT, asked, _CountAnswer)).data_points
        return int(sum(point.values.get("COUNT", 0) for point in points))

    async def _experiment_id(self) -> str:
        if self._id is None or time.monotonic() >= self._check_at:
            self._id = await self._ensure()
            self._check_at = time.monotonic() + self._check_interval_seconds
        return self._id

    async def _ensure(self) -> str:
        """The id of the experiment, which takes traces that people see."""
        try:
            found = await self._find()
        except AnswerAbsentError:
            tags = [{"key": key, "value": value} for key, value in _TAGS.items()]
            wanted = {"name": self._experiment, "tags": tags}
            made = await self._post(f"{_EXPERIMENTS}/create", wanted, _Experiment)
            return made.experiment_id
        if found.lifecycle_stage != "active":
            named = {"experiment_id": found.experiment_id}
            await self._post(f"{_EXPERIMENTS}/restore", named, _Empty)
            _log.warning("trace experiment restored", experiment=self._experiment)
        return found.experiment_id

    async def _find(self) -> _Experiment:
        content = bytearray()
        query = {"experiment_name": self._experiment}
        await self._fetcher.get(
            f"{_EXPERIMENTS}/get-by-name", query, content.extend, limit=_MAX_ANSWER_BYTES
        )
        return _read(content, _ExperimentAnswer).experiment

    async def _post(self, path: str, asked: Mapping[str, Any], kind: type[_T]) -> _T:
        body = json.dumps(asked).encode()
        return _read(await self._fetcher.post(path, body, _JSON, limit=_MAX_ANSWER_BYTES), kind)


def _read(content: bytes | bytearray, kind: type[_T]) -> _T:
    try:
        return kind.model_validate_json(bytes(content))
    except ValidationError:
        raise RegistryUnreachableError("its answer is not MLflow's") from None


def create_sink(settings: Settings) -> TraceSink:
    """The sink that is configured: at the registry's own address, its MLflow."""
    endpoint, registry = settings.otlp_endpoint, settings.registry_uri
    if registry and endpoint.startswith(f"{registry}/"):
        fetcher = Fetcher(
            registry,
            username=settings.registry_username,
            password=settings.registry_password.get_secret_value(),
            seconds=_SECONDS,
        )
        return MlflowTraces(
            fetcher,
            endpoint.removeprefix(registry),
            settings.trace_experiment,
            days=settings.trace_days,
            most=settings.trace_most,
        )
    fetcher = Fetcher(endpoint, username="", password="", seconds=_SECONDS)
    return Collector(fetcher, settings.otlp_header_pairs())
