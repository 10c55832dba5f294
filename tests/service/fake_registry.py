"""A model registry as far as the service asks one: MLflow's answers over real HTTP."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from loopback import Loopback

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def digests(files: dict[str, bytes]) -> dict[str, str]:
    """What the tag of a version with these files says."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


@dataclass
class Version:
    """A registered version: its files, its tags, and where its files are."""

    files: dict[str, bytes]
    tags: dict[str, str]
    artifact_uri: str


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Whoever asked has hung up."""


class _Handler(BaseHTTPRequestHandler):
    fake: FakeRegistry
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        registry = self.fake
        registry.asked.append(path)
        registry.heads.append({key.lower(): value for key, value in self.headers.items()})
        for part, act in registry.misbehave.items():
            if part in path:
                self.close_connection = True
                act(self)
                return
        if registry.user and self.headers.get("Authorization") != self._credentials():
            send(self, b"", status=401)
            return
        try:
            answer = registry.answer(path, query)
        except KeyError:
            answer = None
        if answer is None:
            send(self, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}', status=404)
        else:
            send(self, answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def _credentials(self) -> str:
        pair = f"{self.fake.user}:{self.fake.password}"
        return f"Basic {b64encode(pair.encode()).decode()}"

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class FakeRegistry(Loopback):
    """Answers as the contract says, unless ``misbehave`` has something for a path.

    ``misbehave`` maps a part of a path to what answers in its place.
    """

    handler = _Handler
    server = _Server
    user: str = ""
    password: str = ""
    page_size: int = 100
    models: dict[str, dict[str, Version]] = field(default_factory=dict)
    aliases: dict[str, dict[str, str]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    misbehave: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)

    def register(
        self, name: str, files: dict[str, bytes], *, sha256: Any = ..., uri: str | None = None
    ) -> str:
        """A new version of a model; returns its number. ``sha256`` is the tag, None is none."""
        versions = self.models.setdefault(name, {})
        version = str(len(versions) + 1)
        tag = json.dumps(digests(files)) if sha256 is ... else sha256
        tags = {"gate": "passed"} | ({} if tag is None else {"sha256": tag})
        where = f"mlflow-artifacts:/1/models/m-{name}{version}/artifacts" if uri is None else uri
        versions[version] = Version(files, tags, where)
        return version

    def promote(self, name: str, version: str, alias: str = "champion") -> None:
        """Let the alias point to this version."""
        self.aliases.setdefault(name, {})[alias] = version

    def publish(self, name: str, files: dict[str, bytes], **options: Any) -> str:
        """Register and promote."""
        version = self.register(name, files, **options)
        self.promote(name, version)
        return version

    def answer(self, path: str, query: dict[str, str]) -> bytes | dict[str, Any] | None:
        """The answer to a request; None for one that MLflow would not know."""
        if path == f"{API}registered-models/search":
            return self._search(query)
        if path == f"{API}model-versions/get":
            version = self._version(query)
            tags = _pairs(version.tags)
            return {"model_version": {"name": query["name"], "tags": tags, "status": "READY"}}
        if path == f"{API}model-versions/get-download-uri":
            return {"artifact_uri": self._version(query).artifact_uri}
        if path.startswith(ARTIFACTS):
            return self._artifact(path.removeprefix(ARTIFACTS))
        return None

    def _search(self, query: dict[str, str]) -> dict[str, Any]:
        names = sorted(self.models)
        if wanted := re.fullmatch("name = '([^']*)'", query.get("filter", "")):
            names = [name for name in names if name == wanted[1]]
        first = int(query.get("page_token", 0))
        last = first + min(self.page_size, int(query["max_results"]))
        found = [
            {"name": name, "tags": _pairs(self.tags.get(name, {}))} | self._aliases(name)
            for name in names[first:last]
        ]
        more = {"next_page_token": str(last)} if last < len(names) else {}
        return ({"registered_models": found} if found else {}) | more

    def _aliases(self, name: str) -> dict[str, Any]:
        aliases = self.aliases.get(name, {})
        listed = [{"alias": alias, "version": version} for alias, version in aliases.items()]
        return {"aliases": listed} if listed else {}

    def _version(self, query: dict[str, str]) -> Version:
        return self.models[query["name"]][query["version"]]

    def _artifact(self, path: str) -> bytes | None:
        root, _, file = path.rpartition("/")
        for versions in self.models.values():
            for version in versions.values():
                if version.artifact_uri == f"mlflow-artifacts:{root}":
                    return version.files.get(file)
        return None


def _pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def send(
    handler: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, **headers: str
) -> None:
    """Answer with a body; the names of headers have underscores for dashes."""
    handler.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
