"""A server that takes traces as a collector does, or as MLflow does, over real HTTP."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback import Loopback
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class _Handler(BaseHTTPRequestHandler):
    fake: Collector
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        heads = {key.lower(): value for key, value in self.headers.items()}
        self.fake.asked.append((self.path, heads, body))
        status, answer = self.fake.answer(self.path, body)
        if isinstance(answer, bytes):
            content = answer
        else:
            content = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Collector(Loopback):
    """Keeps the spans; answers with ``status``. ``experiment`` is None until it is made."""

    handler = _Handler
    status: int = 200
    rejected: int = 0
    experiment: str | None = None
    number: str = "7"
    stage: str = "active"
    tags: dict[str, str] = field(default_factory=dict)
    # Requests while it is deleted: MLflow takes their spans, and shows them nowhere.
    unseen: int = 0
    count: int = 0
    # How many of them are more than a day old.
    old: int = 0
    spans: list[Span] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)

    def named(self, name: str) -> list[Span]:
        """The spans of that name."""
        return [span for span in list(self.spans) if span.name == name]

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        """What MLflow answers, as far as the service asks it."""
        if path == "/v1/traces":
            if self.status == 200:
                self.raw += body
                self.unseen += self.stage == "deleted"
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        self.spans += scope.spans
            partial = ExportTracePartialSuccess(rejected_spans=self.rejected)
            response = ExportTraceServiceResponse(partial_success=partial)
            return self.status, response.SerializeToString()
        if path.startswith("/api/2.0/mlflow/experiments/get-by-name"):
            if self.experiment is None:
                return 404, {}
            found = {"experiment_id": self.number, "lifecycle_stage": self.stage}
            return 200, {"experiment": found}
        asked = json.loads(body or b"{}")
        if path == "/api/2.0/mlflow/experiments/create":
            self.experiment = asked["name"]
            self.tags = {tag["key"]: tag["value"] for tag in asked.get("tags", [])}
            return 200, {"experiment_id": "7"}
        if path == "/api/2.0/mlflow/experiments/restore":
            assert asked == {"experiment_id": self.number}
            self.stage = "active"
            return 200, {}
        if path == "/api/3.0/mlflow/traces/metrics":
            return 200, {"data_points": [{"values": {"COUNT": float(self.count)}}]}
        if path == "/api/2.0/mlflow/traces/delete-traces":
            everything = asked["max_timestamp_millis"] > (time.time() - 86_400) * 1000
            deleted = min(self.count if everything else self.old, asked["max_traces"])
            self.count, self.old = self.count - deleted, max(0, self.old - deleted)
            return 200, {"traces_deleted": deleted}
        return 404, {}


def attributes(span: Span) -> dict[str, Any]:
    """The attributes of a span, as plain values."""
    return {
        pair.key: getattr(pair.value, str(pair.value.WhichOneof("value")))
        for pair in span.attributes
    }
