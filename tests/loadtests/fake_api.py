"""An API server with lists and watches that a test changes: the real one is in tests/cluster."""

from __future__ import annotations

import copy
import itertools
import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from loopback import Loopback

from kindling.kubectl import Kubectl

CORE, APPS = "/api/v1/namespaces/kindling", "/apis/apps/v1/namespaces/kindling"
PODS, EVENTS, DEPLOYMENTS = f"{CORE}/pods", f"{CORE}/events", f"{APPS}/deployments"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/kindling/horizontalpodautoscalers"
NODES = "/api/v1/nodes"


class _Server(ThreadingHTTPServer):
    """Watches go on for seconds: their threads are not waited for."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A client that went away is no error of the server's."""


class _Handler(BaseHTTPRequestHandler):
    """GET of lists, items, watches and set answers."""

    protocol_version = "HTTP/1.1"
    fake: Api

    def do_GET(self) -> None:
        server = self.fake
        path, _, text = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(text))
        server.asked.append(self.path)
        while server.silent:
            time.sleep(0.02)
        if server.away:
            self.close_connection = True
        elif query.get("watch"):
            self._watch(path, int(query["resourceVersion"]))
        elif path in server.answers:
            self._send(server.answers[path])
        elif path in server.lists:
            with server.changed:
                items = list(server.lists[path].values())
                about = {"resourceVersion": str(next(server.version))}
            self._send({"items": items, "metadata": about})
        else:
            folder, _, name = path.rpartition("/")
            item = server.lists.get(folder, {}).get(name)
            self._send(item or {"message": "not found"}, 200 if item else 404)

    def _watch(self, path: str, version: int) -> None:
        server = self.fake
        if version < server.oldest:
            self._send({"code": 410}, 410)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        cuts, deadline, sent = server.cuts, time.monotonic() + 5, version
        while time.monotonic() < deadline:
            with server.changed:
                new = [c for c in server.changes if c[1] == path and c[0] > sent]
                if not new:
                    server.changed.wait(0.1)
            if server.cuts != cuts:
                self.close_connection = True
                return
            for number, _, change in new:
                self._chunk(json.dumps(change).encode() + b"\n")
                sent = number
        self._chunk(b"")

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def _send(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Api(Loopback):
    """Keeps objects by the path of their list, and every change since the beginning."""

    handler, server = _Handler, _Server

    def __init__(self) -> None:
        self.lists: dict[str, dict[str, Any]] = {
            path: {} for path in (PODS, EVENTS, DEPLOYMENTS, AUTOSCALERS, NODES)
        }
        self.answers: dict[str, Any] = {}
        self.changes: list[tuple[int, str, dict[str, Any]]] = []
        self.asked: list[str] = []
        self.version = itertools.count(100)
        self.changed = threading.Condition()
        self.oldest = 0
        # Goes up when every connection is to be cut; `silent` answers nothing at all.
        self.cuts = 0
        self.silent = self.away = False

    def put(self, path: str, item: dict[str, Any], kind: str = "") -> None:
        with self.changed:
            item, name = copy.deepcopy(item), item["metadata"]["name"]
            version = next(self.version)
            item["metadata"] |= {"resourceVersion": str(version)}
            item["metadata"].setdefault("uid", f"uid-{name}")
            kind = kind or ("MODIFIED" if name in self.lists[path] else "ADDED")
            self.lists[path][name] = item
            if kind == "DELETED":
                del self.lists[path][name]
            self.changes.append((version, path, {"type": kind, "object": item}))
            self.changed.notify_all()

    def cut(self) -> None:
        """End every watch in the middle."""
        with self.changed:
            self.cuts += 1
            self.changed.notify_all()

    def stop(self) -> None:
        self.silent = False
        self.cut()
        super().stop()


def kubectl_of(url: str, folder: Path, user: dict[str, str] | None = None) -> Kubectl:
    """A program that prints the kubeconfig of ``url``, as `kubectl config view` does."""
    config = {
        "clusters": [{"cluster": {"server": url}}],
        "users": [{"user": {"token": "secret"} if user is None else user}],
    }
    binary = folder / "kubectl"
    binary.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(config)}\nEND\n")
    binary.chmod(0o755)
    return Kubectl(binary, folder / "kubeconfig", "kind-kindling")
