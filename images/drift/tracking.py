"""The few calls of MLflow's REST API that reports need."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from drift.calls import call
from drift.errors import CallFailedError

REPORT_FILE = "drift.html"
FINISHED = "FINISHED"
_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_MOST_BYTES = 4_194_304
_MOST_RUNS = 1000
# By its kind MLflow opens the page of an experiment that has its runs; without one it guesses.
_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "Reports of models whose inputs or predictions have drifted.",
}
# Nothing that leads up or elsewhere.
_ARTIFACT_URI = re.compile(r"mlflow-artifacts:((?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,127}){1,16})")


@dataclass(frozen=True)
class Run:
    """A run that has a report, or was to get one."""

    run_id: str
    version: str
    status: str
    started: float
    artifacts: str


class Tracking:
    """The MLflow at ``uri``. Every call may raise CallFailedError."""

    def __init__(
        self, uri: str, *, username: str, password: str, experiment: str, seconds: float
    ) -> None:
        self._uri, self._experiment, self._seconds = uri, experiment, seconds
        self._headers = {"User-Agent": "kindling-drift", "Content-Type": "application/json"}
        if username:
            credentials = b64encode(f"{username}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {credentials}"

    def experiment_id(self) -> str:
        """The experiment of the reports, made if it is not there."""
        query = {"experiment_name": self._experiment}
        try:
            found = self._get("experiments/get-by-name", query)["experiment"]
        except CallFailedError as error:
            if error.status != 404:
                raise
            tags = [{"key": key, "value": value} for key, value in _TAGS.items()]
            content = {"name": self._experiment, "tags": tags}
            made = self._post("experiments/create", content)
            return str(made["experiment_id"])
        if found.get("lifecycle_stage") != "active":
            raise CallFailedError(f"its experiment {self._experiment} is deleted: restore it")
        return str(found["experiment_id"])

    def runs(self, experiment_id: str, model: str) -> list[Run]:
        """The runs about ``model``, the newest first."""
        wanted = {
            "experiment_ids": [experiment_id],
            "filter": f"tags.model = '{_quotable(model)}'",
            "order_by": ["attributes.start_time DESC"],
            "max_results": _MOST_RUNS,
        }
        return [_run(each) for each in self._post("runs/search", wanted).get("runs", [])]

    def begin(
        self, experiment_id: str, *, name: str, tags: Mapping[str, str], started: float
    ) -> Run:
        """A new run."""
        content = {
            "experiment_id": experiment_id,
            "run_name": name,
            "start_time": round(started * 1000),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return _run(self._post("runs/create", content)["run"])

    def upload(self, run: Run, content: bytes) -> None:
        """Make ``content`` the run's report."""
        self._send("PUT", f"{_ARTIFACTS}{run.artifacts}/{REPORT_FILE}", content)

    def measure(self, run: Run, metrics: Mapping[str, float], at: float) -> None:
        """Keep numbers beside the report."""
        listed = [
            {"key": key, "value": value, "timestamp": round(at * 1000), "step": 0}
            for key, value in metrics.items()
        ]
        self._post("runs/log-batch", {"run_id": run.run_id, "metrics": listed})

    def finish(self, run: Run, at: float) -> None:
        """Say that the report is there."""
        content = {"run_id": run.run_id, "status": FINISHED, "end_time": round(at * 1000)}
        self._post("runs/update", content)

    def remove(self, run: Run) -> None:
        """Remove a run, and its report with it: a removed run keeps its files otherwise."""
        try:
            self._send("DELETE", f"{_ARTIFACTS}{run.artifacts}/{REPORT_FILE}")
        except CallFailedError as error:
            # A run that was broken off has none.
            if error.status not in (404, 500):
                raise
        self._post("runs/delete", {"run_id": run.run_id})

    def _get(self, what: str, query: Mapping[str, str]) -> dict[str, Any]:
        return self._parsed(what, self._send("GET", f"{_API}/{what}?{urlencode(query)}"))

    def _post(self, what: str, content: Mapping[str, Any]) -> dict[str, Any]:
        return self._parsed(
            what, self._send("POST", f"{_API}/{what}", json.dumps(content).encode())
        )

    def _send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        return call(
            self._uri + quote(path, safe="/?=&%+"),
            method=method,
            headers=self._headers,
            body=body,
            seconds=self._seconds,
            limit=_MOST_BYTES,
        )

    @staticmethod
    def _parsed(what: str, content: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise CallFailedError(f"its answer to {what} is not MLflow's")
        return answer


def _run(content: Any) -> Run:
    try:
        info, tags = content["info"], content.get("data", {}).get("tags", [])
        named = {tag["key"]: tag["value"] for tag in tags}
        match = _ARTIFACT_URI.fullmatch(info["artifact_uri"])
        if match is None:
            raise CallFailedError("it keeps artifacts elsewhere than below itself")
        return Run(
            run_id=str(info["run_id"]),
            version=str(named.get("version", "")),
            status=str(info["status"]),
            started=int(info["start_time"]) / 1000,
            artifacts=match[1],
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise CallFailedError("its answer about a run is not MLflow's") from None


def _quotable(name: str) -> str:
    if "'" in name or "\\" in name:
        raise CallFailedError("a model's name has a quote in it")
    return name
