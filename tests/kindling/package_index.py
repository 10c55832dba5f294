"""A package index on loopback, with small wheels, that wants a password."""

from __future__ import annotations

import base64
import hashlib
import io
import ssl
import zipfile
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from loopback import Loopback

USER, PASSWORD = "someone", "hidden-word"


def wheel(name: str, requires: str = "") -> bytes:
    """A wheel of version 1 with one module, which may require another distribution."""
    info = f"{name}-1.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
    files = {
        f"{name}.py": f"name = '{name}'\n",
        f"{info}/METADATA": metadata + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return made.getvalue()


class _Handler(BaseHTTPRequestHandler):
    fake: PackageIndex

    def do_GET(self) -> None:
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        name = self.path.strip("/").split("/")[-1].partition("-")[0]
        content = self.fake.wheels.get(name)
        if self.headers["Authorization"] != f"Basic {login}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            body = b""
        elif content is None:
            self.send_response(404)
            body = b""
        elif self.path.endswith(".whl"):
            self.send_response(200)
            body = content
        else:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            file = f"{name}-1-py3-none-any.whl"
            body = f'<a href="/files/{file}">{file}</a>'.encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class PackageIndex(Loopback):
    handler = _Handler

    def __init__(self, **wheels: bytes) -> None:
        self.wheels = wheels
        self.scheme = "http"

    @property
    def index(self) -> str:
        """Its address, with the login that it wants."""
        return f"{self.scheme}://{USER}:{PASSWORD}@127.0.0.1:{self.port}/simple"

    def use_tls(self, certificate: Path) -> None:
        """Speak TLS from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "https"

    def lock(self, *names: str) -> str:
        """Lines of a lock file with the hashes of the wheels ``names``."""
        hashes = {name: hashlib.sha256(self.wheels[name]).hexdigest() for name in names}
        return "".join(f"{name}==1 --hash=sha256:{digest}\n" for name, digest in hashes.items())
