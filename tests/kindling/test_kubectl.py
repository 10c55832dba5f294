"""What kubectl's caller sees of an API server that starts, is busy, or refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted import Scripted, fails, ok, scripted

from kindling import retry
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl

REFUSED = (
    "The connection to the server 127.0.0.1:42001 was refused - did you specify the right host or "
    "port?"
)
LIST = '{"items": [{"a": 1}]}'


def patient(program: Scripted) -> Kubectl:
    params = {"kubectl_binary": program.path, "kubeconfig": "config", "context": "kind-c"}
    return Kubectl.of(params)


def test_a_module_outlasts_an_api_server_that_starts(tmp_path: Path, pauses: list[float]) -> None:
    program = scripted(
        tmp_path,
        "kubectl",
        fails(REFUSED),
        fails("Unable to connect to the server: net/http: TLS handshake timeout"),
        fails("Error from server: etcdserver: request timed out"),
        ok(LIST),
    )
    assert patient(program).items("secrets") == [{"a": 1}]
    assert len(program.calls) == 4
    assert pauses == [1, 2, 5]


def test_a_request_is_sent_again_with_its_input(tmp_path: Path, pauses: list[float]) -> None:
    program = scripted(tmp_path, "kubectl", fails(REFUSED), ok())
    patient(program).check("apply", "--filename=-", stdin="kind: A\n")
    assert program.inputs == ["kind: A\n", "kind: A\n"]


def test_a_module_says_at_its_bound_what_the_api_server_said_last(
    tmp_path: Path, pauses: list[float]
) -> None:
    program = scripted(tmp_path, "kubectl", fails("EOF"), fails(REFUSED))
    with pytest.raises(KindlingError) as failure:
        patient(program).items("secrets")
    assert "was refused" in failure.value.message
    assert failure.value.next_step == "nox -s status"
    assert sum(pauses) == sum(retry.API.pauses) > 180


@pytest.mark.parametrize(
    "text",
    [
        'Error from server (NotFound): secrets "a" not found',
        "error: You must be logged in to the server (Unauthorized)",
    ],
)
def test_a_refusal_ends_at_once(tmp_path: Path, pauses: list[float], text: str) -> None:
    program = scripted(tmp_path, "kubectl", fails(text), ok(LIST))
    with pytest.raises(KindlingError, match="failed: "):
        patient(program).items("secrets")
    assert pauses == []


def test_a_command_of_the_users_does_not_wait(tmp_path: Path, pauses: list[float]) -> None:
    program = scripted(tmp_path, "kubectl", fails(REFUSED), ok(LIST))
    with pytest.raises(KindlingError, match="was refused"):
        Kubectl(program.path, Path("config"), "kind-c").items("secrets")
    assert pauses == []
