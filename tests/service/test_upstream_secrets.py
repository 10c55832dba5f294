"""The upstream's key and address stay with the service, whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest
from conftest import Server
from fake_upstream import (
    GOOD,
    KEY,
    MODEL,
    NAME,
    Act,
    FakeUpstream,
    answer,
    chunk,
    settings_for,
    stream,
)
from otlp_collector import Collector, attributes

from service import __main__ as command
from service.errors import SettingsInvalidError
from service.settings import Settings, load_settings

SAID = f"Incorrect API key provided: {KEY}"
ERROR = json.dumps({"error": {"message": SAID, "code": KEY}}).encode()
FIRST = chunk({"content": "one"})


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


# Whatever it can repeat the key in, but for a text.
TELLING: list[Act | None] = [
    None,
    *(answer(status, ERROR, Retry_After=KEY, Location=f"/{KEY}", X_Key=KEY)
      for status in (200, 302, 400, 401, 403, 404, 429, 500)),
    answer(200, SAID.encode(), Content_Type=KEY),
    answer(200, SAID.encode(), Content_Encoding=KEY),
    lambda handler: void(handler.wfile.write(SAID.encode() + b"\r\n\r\n")),
    lambda handler: void(handler.wfile.write(f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode())),
    stream(SAID),
    stream(FIRST, SAID),
    stream(FIRST, {"error": SAID}),
    stream(FIRST, {"usage": SAID, "choices": []}),
    stream(FIRST, then=lambda handler: void(handler.wfile.write(SAID.encode()))),
]  # fmt: skip


def void(_: object) -> None:
    """Nothing, of something."""


def test_the_key_and_the_address_are_in_no_answer_metric_or_log_line(
    serve: Callable[..., Server], upstream: FakeUpstream, collector: Collector
) -> None:
    traces = {"otlp_endpoint": f"{collector.url}/v1/traces", "trace_sample_ratio": 1}
    server = serve(log_level="debug", drain_seconds=0, **settings_for(upstream), **traces)
    seen = []

    def ask(path: str, body: dict[str, Any] | None = None) -> None:
        url = f"{server.url}{path}"
        response = httpx.get(url) if body is None else httpx.post(url, json=body)
        seen.append(f"{response.headers} {response.text}")

    for act in TELLING:
        upstream.act = act
        for streamed in (False, True):
            ask("/v1/chat/completions", GOOD | {"stream": streamed})
    upstream.stop()
    ask("/v1/chat/completions", GOOD)
    upstream.start()
    for path in ("/metrics", "/ready", "/openapi.json", "/v1/models", f"/v1/models/{NAME}"):
        ask(path)
    server.process.terminate()
    server.process.wait(20)
    assert all(head["authorization"] == f"Bearer {KEY}" for head in upstream.heads)
    lines = server.log_lines()
    assert sum(line["message"] == "upstream gave no text" for line in lines) > 30
    spans = [attributes(span) for span in collector.named("POST /v1/chat/completions")]
    assert {(span["kindling.model"], span["kindling.version"]) for span in spans} == {(NAME, MODEL)}
    sent = collector.raw.decode("latin-1")
    everything = "\n".join([*seen, sent, server.log.read_text()])
    for secret in (KEY, KEY[:12], "Incorrect", f":{upstream.port}", "Traceback"):
        assert secret not in everything


def test_a_line_of_the_log_tells_which_request_failed_and_why(
    serve: Callable[..., Server], upstream: FakeUpstream
) -> None:
    server = serve(**settings_for(upstream), drain_seconds=0)
    upstream.act = answer(401)
    url = f"{server.url}/v1/chat/completions"
    assert httpx.post(url, json=GOOD, headers={"X-Request-ID": "mine"}).status_code == 503
    server.process.terminate()
    server.process.wait(20)
    (line,) = [line for line in server.log_lines() if line["message"] == "upstream gave no text"]
    assert (line["level"], line["request_id"], line["model"]) == ("warning", "mine", NAME)
    assert (line["code"], line["reason"]) == (
        "upstream_refuses_key",
        "the upstream refuses the key",
    )


def test_settings_show_neither_key_nor_address() -> None:
    settings = Settings(upstream_url="https://secret.example.com/v1", upstream_key=KEY)
    for shown in (repr(settings), str(settings), str(settings.model_dump())):
        assert KEY not in shown
        assert "secret.example.com" not in shown


def test_blanks_around_key_and_address_are_no_part_of_them() -> None:
    # As a Secret made of a file has them.
    settings = Settings(upstream_url=" https://a.example.com/v1/\n", upstream_key=f"{KEY}\n")
    assert settings.upstream_url.get_secret_value() == "https://a.example.com/v1"
    assert settings.upstream_key.get_secret_value() == KEY


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("URL", "https://user:in-settings@api.example.com/v1"),
        ("URL", "https://in-settings@api.example.com"),
        ("URL", "https://user:in-settings/@api.example.com"),
        ("URL", "https://api.example.com:in-settings/v1"),
        ("URL", "https://api.example.com/v1?key=in-settings"),
        ("URL", "https://api.example.com/v1#in-settings"),
        ("URL", "ftp://in-settings.example.com"),
        ("URL", "file:///in-settings"),
        ("URL", "in-settings.example.com/v1"),
        ("URL", "https://:443/in-settings"),
        ("URL", "https://[in-settings/v1"),
        ("URL", "https://api.example.com/in-settings ☃"),
        ("KEY", "in-settings with a blank"),
        ("KEY", "in-settings\r\nX-Other: a"),
        ("KEY", "in-settings☃"),
        ("NAME", "in-settings/"),
        ("MODEL", "in-settings\n"),
        ("MODEL", "in-settings ☃"),
        ("SECONDS", "0"),
    ],
)
def test_what_cannot_be_an_upstream_is_refused_at_the_start_without_being_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(f"KINDLING_SERVICE_UPSTREAM_{name}", value)
    assert command.main() == 2
    error = capsys.readouterr().err
    assert error.startswith(f"KINDLING_SERVICE_UPSTREAM_{name}: ")
    assert error.count("\n") == 1
    assert "in-settings" not in error


def test_the_name_of_a_model_cannot_be_the_upstreams_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDLING_SERVICE_MODELS", "digits,upstream")
    assert load_settings().upstream_name == "upstream"
    monkeypatch.setenv("KINDLING_SERVICE_UPSTREAM_URL", "https://api.example.com/v1")
    with pytest.raises(SettingsInvalidError, match=r"UPSTREAM_NAME: .* one of the models"):
        load_settings()
    monkeypatch.setenv("KINDLING_SERVICE_UPSTREAM_NAME", "gpt")
    assert load_settings().upstream_name == "gpt"
