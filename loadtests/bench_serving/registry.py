"""``python -m loadtests.bench_serving.registry PACKAGE``: a model registry with one version.

Answers what the service asks of MLflow: which version the alias bears, its tag, where its files
are, and the files themselves.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.package import sha256

VERSION = "1"
_API = "/api/2.0/mlflow/"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/1/"


def answers(package: Path) -> dict[str, bytes]:
    """The answer to each path that is known."""
    name = json.loads((package / "model.json").read_text())["name"]
    tags = [{"key": "sha256", "value": json.dumps(sha256(package))}]
    model = {"name": name, "aliases": [{"alias": "champion", "version": VERSION}]}
    told: dict[str, Any] = {
        "registered-models/search": {"registered_models": [model]},
        "model-versions/get": {"model_version": {"name": name, "tags": tags, "status": "READY"}},
        "model-versions/get-download-uri": {"artifact_uri": "mlflow-artifacts:/1"},
    }
    found = {_API + path: json.dumps(answer).encode() for path, answer in told.items()}
    return found | {_ARTIFACTS + file.name: file.read_bytes() for file in package.iterdir()}


class _Handler(BaseHTTPRequestHandler):
    known: dict[str, bytes]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.known.get(urlsplit(self.path).path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def main() -> None:
    """Listen on a free port, say which, and serve until killed."""
    _Handler.known = answers(Path(sys.argv[1]))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
