"""Ids of requests: taken over or made, in the answer and in every log line of the request."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx2 as httpx
import pytest
from conftest import Server, wait_until
from fastapi.testclient import TestClient
from test_logs import FAILING

from service.models import Served
from service.schemas import EXAMPLE_ROW

MakeClient = Callable[..., TestClient]
Serve = Callable[..., Server]
REQUEST = {"instances": [EXAMPLE_ROW]}
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"

# The service with lines of requests that wait for longer than it takes to end.
UNHURRIED = """
import sys
from service import __main__ as command, endings

endings._SECONDS = 600
sys.exit(command.main())
"""


@pytest.mark.parametrize("sent", ["a", "Aa0._-", "x" * 64])
def test_an_id_that_is_sane_is_taken_over(client: TestClient, sent: str) -> None:
    for path in ("/predict", "/nothing", "/health"):
        assert client.get(path, headers={"X-Request-ID": sent}).headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", 'a"b', "x" * 65, "a/b", "caf\u00e9".encode(), "a\tb"])
def test_any_other_is_replaced(client: TestClient, sent: str | bytes) -> None:
    made = client.get("/health", headers={"X-Request-ID": sent}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", made)


def test_each_request_without_one_gets_its_own(client: TestClient) -> None:
    ids = {client.get("/health").headers["x-request-id"] for _ in range(20)}
    assert len(ids) == 20


def test_an_unforeseen_failure_names_its_request_too(
    make_client: MakeClient, served: Served
) -> None:
    class Odd:
        def predict(self, *_: object) -> object:
            return None, None

    client = make_client(Served("digits", "3", served.descriptor, Odd()))
    answer = client.post("/predict", json=REQUEST, headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine")


def test_every_line_of_a_request_says_which_request_it_is_of(serve: Serve) -> None:
    server = serve(
        ("-c", FAILING), otlp_endpoint="http://127.0.0.1:9/v1/traces", trace_sample_ratio=0,
        drain_seconds=0,
    )  # fmt: skip
    headers = {"X-Request-ID": "mine", "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
    httpx.post(f"{server.url}/predict", json=REQUEST, headers=headers)
    httpx.post(f"{server.url}/predict", json=REQUEST, headers={"X-Request-ID": "other"})
    wait_until(lambda: server.log.read_text().count('"other"') == 2, "both are there", server.log)
    lines = [line for line in server.log_lines() if line.get("request_id") == "mine"]
    assert [line["message"] for line in lines] == ["prediction failed", "request"]
    for line in lines:
        assert (line["trace_id"], line["model"], line["version"]) == (TRACE_ID, "digits", "3")
        assert re.fullmatch("[0-9a-f]{16}", line["span_id"])
    for line in server.log_lines():
        assert {"message", "level", "logger", "timestamp"} <= set(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
        if line.get("request_id") == "other":
            assert "trace_id" not in line


def test_the_last_lines_are_written_before_the_end(serve: Serve) -> None:
    server = serve(("-c", UNHURRIED), drain_seconds=0)
    httpx.post(f"{server.url}/predict", json=REQUEST, headers={"X-Request-ID": "last"})
    server.process.terminate()
    assert server.process.wait(20) == 0
    assert sum(line.get("request_id") == "last" for line in server.log_lines()) == 1
