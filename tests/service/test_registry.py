"""What the service asks of a registry, and what it puts up with."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from fake_registry import FakeRegistry, digests, send
from fastapi.testclient import TestClient
from model_graphs import package

from service.__main__ import create_registry
from service.errors import ModelRefusedError, ModelUnavailableError, RegistryUnreachableError
from service.registry import Registered, Registry
from service.settings import Settings

Follow = Callable[..., TestClient]
Act = Callable[[BaseHTTPRequestHandler], None]
LIMIT = 100_000


def client_of(registry: FakeRegistry, **settings: Any) -> Registry:
    values = {"registry_uri": registry.url, "registry_seconds": 0.5, "max_model_bytes": LIMIT}
    client = create_registry(Settings(**values | settings))
    assert client is not None
    return client


def registered(client: Registry, *names: str) -> dict[str, Registered]:
    return asyncio.run(client.registered(names or ("digits",)))


def download(client: Registry, folder: Path, content: bytes = b"") -> None:
    digest = hashlib.sha256(content).hexdigest()
    asyncio.run(client.download("/1/m/artifacts", "model.onnx", {"model.onnx": digest}, folder))


def test_an_empty_registry_has_no_aliases(registry: FakeRegistry) -> None:
    assert registered(client_of(registry)) == {}


def test_other_models_are_left_out(registry: FakeRegistry) -> None:
    for name in ("a", "b", "c"):
        registry.publish(name, package())
    registry.promote("a", "1", alias="previous")
    registry.aliases["b"].clear()
    registry.tags["b"] = {"owner": "somebody"}
    expected = {
        "a": Registered({"champion": "1", "previous": "1"}),
        "b": Registered(tags={"owner": "somebody"}),
    }
    assert registered(client_of(registry), "a", "b", "d") == expected


def test_configured_models_are_found_among_any_number(registry: FakeRegistry) -> None:
    registry.page_size = 1
    for name in [f"a{number:02}" for number in range(60)] + ["known", "zeta"]:
        registry.publish(name, package())
    client = client_of(registry)
    assert registered(client, "zeta", "none").keys() == {"zeta"}
    found = asyncio.run(client.registered(["zeta", "none"], "champion", ["known", "gone", "a00"]))
    assert {"zeta", "known", "a00"} <= found.keys()
    assert not {"none", "gone"} & found.keys()
    registry.aliases["known"].clear()
    found = asyncio.run(client.registered(["zeta"], "champion", ["known"]))
    assert "known" not in found


def test_list_that_does_not_fit_is_read_in_smaller_pages(registry: FakeRegistry) -> None:
    for number in range(30):
        registry.publish(f"a{number:02}", package())
        registry.tags[f"a{number:02}"] = {"notes": "x" * 400_000}
    found = asyncio.run(client_of(registry, registry_seconds=5).registered(["a29"], "champion"))
    assert len(found) == 30


def test_model_of_which_too_much_is_registered_cuts_off_no_other(registry: FakeRegistry) -> None:
    for name in ("digits", "huge", "other", "text"):
        registry.publish(name, package())
    registry.tags["huge"] = {"notes": "x" * 5_000_000}
    client = client_of(registry, registry_seconds=5)
    assert registered(client, "digits", "huge", "text").keys() == {"digits", "text"}
    found = asyncio.run(client.registered(["digits", "huge", "text"], "champion", ["other"]))
    assert found.keys() == {"digits", "other", "text"}
    with pytest.raises(RegistryUnreachableError, match="more than 4194304 bytes"):
        registered(client, "huge")


def test_user_and_password_are_sent_and_nothing_is_encoded(registry: FakeRegistry) -> None:
    registry.user, registry.password = "kindling", "0x1F: ü"
    registry.publish("digits", package())
    access = {"registry_username": "kindling", "registry_password": "0x1F: ü"}
    assert registered(client_of(registry, **access)) == {"digits": Registered({"champion": "1"})}
    (head,) = registry.heads
    assert head["user-agent"] == "kindling-service"
    assert head["accept-encoding"] == "identity"


def test_wrong_credentials_are_told_without_repeating_them(registry: FakeRegistry) -> None:
    registry.user, registry.password = "kindling", "right"
    access = {"registry_username": "kindling", "registry_password": "wrong"}
    with pytest.raises(RegistryUnreachableError, match="it answered 401, so user") as error:
        registered(client_of(registry, **access))
    assert "wrong" not in error.value.message


def test_a_registry_below_a_path_is_asked_there(registry: FakeRegistry) -> None:
    with pytest.raises(RegistryUnreachableError, match="404"):
        registered(client_of(registry, registry_uri=f"{registry.url}/ml flow/".replace(" ", "")))
    assert registry.asked == ["/mlflow/api/2.0/mlflow/registered-models/search"]


def test_no_proxy_is_asked(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert registered(client_of(registry)) == {}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(registry: FakeRegistry, status: int) -> None:
    with FakeRegistry() as elsewhere:
        registry.misbehave["search"] = lambda handler: send(
            handler, b"", status=status, Location=f"{elsewhere.url}/"
        )
        with pytest.raises(RegistryUnreachableError, match="redirects are not followed"):
            registered(client_of(registry))
        assert elsewhere.asked == []


def gzipped(handler: BaseHTTPRequestHandler) -> None:
    send(handler, gzip.compress(bytes(10_000_000)), Content_Encoding="gzip")


def gzip_in_transfer(handler: BaseHTTPRequestHandler) -> None:
    send(handler, gzip.compress(b"{}"), Transfer_Encoding="gzip, chunked")


def announced_endless(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"{}", Content_Length=str(10**15))


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"[" * 65_536)


def endless_chunks(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while True:
        handler.wfile.write(b"10000\r\n%b\r\n" % (b"[" * 65_536))


def huge_header(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"{}", X_Large="x" * 100_000)


def many_headers(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"{}", **{f"X_{number}": "x" for number in range(200)})


def silent(_: BaseHTTPRequestHandler) -> None:
    time.sleep(2)


def trickle(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"", Content_Length="1000")
    for _ in range(60):
        handler.wfile.write(b"{")
        time.sleep(0.05)


def trickle_of_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(60):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def trickle_of_a_chunks_size(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(60):
        handler.wfile.write(b"0")
        time.sleep(0.05)


def no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH\r\n")


def bad_length(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"{}", Content_Length="-5")


def short(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"{", Content_Length="100")


def fails(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"{}", status=503)


def says(content: bytes) -> Act:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, content)

    return answer


BAD: dict[str, tuple[Act, str]] = {
    "gzip": (gzipped, "encoding"),
    "gzip in transfer": (gzip_in_transfer, "encoding"),
    "announced endless": (announced_endless, "more than"),
    "endless": (endless, "more than"),
    "endless chunks": (endless_chunks, "more than"),
    "huge header": (huge_header, "LineTooLong"),
    "many headers": (many_headers, "speak HTTP"),
    "silent": (silent, "did not answer within 0.5 seconds"),
    "trickle": (trickle, "did not answer within 0.5 seconds"),
    "trickle of headers": (trickle_of_headers, "did not answer within 0.5 seconds"),
    "trickle of a chunk's size": (trickle_of_a_chunks_size, "did not answer within 0.5 seconds"),
    "no HTTP": (no_http, "BadStatusLine"),
    "short": (short, "hung up in the middle"),
    "fails": (fails, "it answered 503"),
}


@pytest.mark.parametrize(("act", "reason"), BAD.values(), ids=BAD)
def test_no_answer_hurts(registry: FakeRegistry, tmp_path: Path, act: Act, reason: str) -> None:
    client = client_of(registry)
    registry.misbehave["/"] = act
    began = time.monotonic()
    with pytest.raises(RegistryUnreachableError, match=reason):
        registered(client)
    with pytest.raises((RegistryUnreachableError, ModelRefusedError), match=reason):
        download(client, tmp_path)
    assert time.monotonic() - began < 4
    kept = tmp_path / "model.onnx"
    assert kept.stat().st_size <= LIMIT
    registry.misbehave.clear()
    assert registered(client) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b"[" * 100_000,
        b'{"registered_models": 7}',
        b'{"registered_models": [{"name": "digits", "aliases": [{"alias": "champion"}]}]}',
        b'{"registered_models": [{"name": "digits", "aliases":'
        b' [{"alias": "champion", "version": "../1"}]}]}',
        b"\xff\xfe",
    ],
)
def test_an_answer_that_is_not_a_registrys_is_none(registry: FakeRegistry, content: bytes) -> None:
    registry.misbehave["search"] = says(content)
    with pytest.raises(RegistryUnreachableError, match=r"search is not a registry's"):
        registered(client_of(registry))


def test_a_large_file_may_take_longer_than_one_call(registry: FakeRegistry, tmp_path: Path) -> None:
    content = bytes(4_000_000)

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"", Content_Length=str(len(content)))
        for first in range(0, len(content), 400_000):
            handler.wfile.write(content[first : first + 400_000])
            time.sleep(0.1)

    registry.misbehave["artifacts"] = slowly
    download(client_of(registry, max_model_bytes=len(content)), tmp_path, content)
    assert (tmp_path / "model.onnx").read_bytes() == content


def test_a_full_disk_is_told_apart_from_the_network(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.misbehave["artifacts"] = says(b"x" * LIMIT)
    monkeypatch.setattr(Path, "open", lambda *_: FileIO("/dev/full", "w"))
    with pytest.raises(ModelUnavailableError, match="cannot be kept on disk: No space left"):
        download(client_of(registry), tmp_path)


def test_names_are_quoted_in_addresses(registry: FakeRegistry) -> None:
    name = "a-b.c_D9"
    registry.publish(name, package(name=name))
    client = client_of(registry)
    tag = asyncio.run(client.digest_tag(name, "1"))
    assert tag == json.dumps(digests(package(name=name)))


def test_a_call_that_is_given_up_stops_and_leaves_the_next_alone(registry: FakeRegistry) -> None:
    client = client_of(registry, registry_seconds=30)
    asked = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"{", Content_Length="100", Connection="close")
        asked.set()
        time.sleep(1)

    registry.misbehave["search"] = wait

    async def give_up() -> None:
        task = asyncio.create_task(client.registered(["digits"]))
        await asyncio.to_thread(asked.wait, 10)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        registry.misbehave.clear()
        assert await asyncio.wait_for(client.registered(["digits"]), 0.8) == {}

    asyncio.run(give_up())


def test_it_is_said_once_that_the_registry_is_gone_and_once_that_it_is_back(
    follow: Follow, registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.publish("digits", package(4))
    client = follow()
    wait_until(lambda: client.get("/ready").status_code == 200, "it is served")
    registry.misbehave["search"] = fails
    registry.asked.clear()
    wait_until(lambda: len(registry.asked) > 3, "it has asked more than once")
    assert client.get("/ready").json()["registry"] == "unreachable: it answered 503"
    assert client.get("/ready").status_code == 200
    registry.misbehave.clear()
    wait_until(lambda: client.get("/ready").json()["registry"] == "reachable", "it is back")
    said = capsys.readouterr().out
    assert said.count("registry unreachable") == said.count("registry reachable") == 1


@pytest.mark.parametrize(
    "uri",
    [
        "mlflow:5000",
        "ftp://mlflow",
        "file:///etc/passwd",
        "http://",
        "http://user:secret@mlflow",
        "http://mlflow?x=secret",
        "http://mlflow#secret",
        "http://mlflow:port",
        "http://ml flow",
    ],
)
def test_an_address_that_is_none_is_refused_unrepeated(uri: str) -> None:
    with pytest.raises(ValueError, match="registry_uri") as error:
        Settings(registry_uri=uri)
    explained = error.value.errors(include_url=False, include_input=False)  # type: ignore[attr-defined]
    assert "secret" not in str(explained)
