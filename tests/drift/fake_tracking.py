"""MLflow's tracking API as far as reports need it: its answers over real HTTP."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from loopback import Loopback

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


class _Handler(BaseHTTPRequestHandler):
    fake: FakeTracking

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fake = self.fake
        fake.asked.append(f"{self.command} {parts.path}")
        broken = [status for part, status in fake.broken.items() if part in parts.path]
        pair = f"{fake.user}:{fake.password}".encode()
        expected = f"Basic {b64encode(pair).decode()}" if fake.user else None
        if broken or self.headers.get("Authorization") != expected:
            self._send(broken[0] if broken else 401, {})
            return
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        try:
            self._send(200, fake.answer(self.command, parts.path, query, body))
        except KeyError:
            self._send(404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

    def _send(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class FakeTracking(Loopback):
    """``broken`` maps a part of a path to the status that answers in its place."""

    handler = _Handler
    user: str = ""
    password: str = ""
    experiments: dict[str, dict[str, str]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def finished(self) -> list[dict[str, Any]]:
        """The runs that are done and not removed, in the order of their making."""
        return [run for run in self.runs.values() if run["info"]["status"] == "FINISHED"]

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        """The answer to a request. Raises KeyError for what is not there."""
        if path.startswith(ARTIFACTS):
            name = path.removeprefix(ARTIFACTS)
            if method == "PUT":
                self.files[name] = body
            else:
                del self.files[name]
            return {}
        sent = json.loads(body) if body else {}
        call = getattr(self, "_" + re.sub(r"[/-]", "_", path.removeprefix(API)))
        return call(query or sent)

    def _experiments_get_by_name(self, sent: dict[str, Any]) -> Any:
        return {"experiment": self.experiments[sent["experiment_name"]]}

    def _experiments_create(self, sent: dict[str, Any]) -> Any:
        number = str(len(self.experiments) + 1)
        made = {"experiment_id": number, "name": sent["name"], "lifecycle_stage": "active"}
        made |= {tag["key"]: tag["value"] for tag in sent.get("tags", [])}
        self.experiments[sent["name"]] = made
        return {"experiment_id": number}

    def _runs_create(self, sent: dict[str, Any]) -> Any:
        number = f"{len(self.asked):032x}"
        info = {
            "run_id": number,
            "status": "RUNNING",
            "start_time": sent["start_time"],
            "artifact_uri": f"mlflow-artifacts:/{sent['experiment_id']}/{number}/artifacts",
        }
        data = {"tags": sent["tags"], "metrics": []}
        self.runs[number] = {"info": info, "data": data}
        return {"run": self.runs[number]}

    def _runs_search(self, sent: dict[str, Any]) -> Any:
        wanted = re.fullmatch(r"tags\.model = '([^']*)'", sent["filter"])
        assert wanted
        found = [
            run
            for run in self.runs.values()
            if {"key": "model", "value": wanted[1]} in run["data"]["tags"]
        ]
        found.sort(key=lambda run: -int(run["info"]["start_time"]))
        return {"runs": found[: sent["max_results"]]} if found else {}

    def _runs_update(self, sent: dict[str, Any]) -> Any:
        self.runs[sent["run_id"]]["info"] |= {
            "status": sent["status"],
            "end_time": sent["end_time"],
        }
        return {}

    def _runs_log_batch(self, sent: dict[str, Any]) -> Any:
        self.runs[sent["run_id"]]["data"]["metrics"] += sent["metrics"]
        return {}

    def _runs_delete(self, sent: dict[str, Any]) -> Any:
        del self.runs[sent["run_id"]]
        return {}
