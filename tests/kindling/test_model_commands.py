"""Following a promotion through the pods of the service."""

from __future__ import annotations

from typing import Any

import pytest
from test_model_registry import Client

from kindling import models, pods
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.model_registry import ModelRegistry, Move
from kindling.pods import ServingPod

MOVE = Move("digits", "1", "2")
KUBECTL: Any = None


def pod(name: str, version: str | None, refused: dict[str, str] | None = None) -> ServingPod:
    serves = [{"name": "digits", "version": version, "refused": refused}]
    return ServingPod("kindling", name, {"status": "ready", "models": serves if version else []})


def answers(monkeypatch: pytest.MonkeyPatch, *rounds: list[ServingPod]) -> list[list[ServingPod]]:
    left = list(rounds)
    monkeypatch.setattr(models, "serving_pods", lambda _: left.pop(0) if len(left) > 1 else left[0])
    return left


def follow(seconds: float = 5.0) -> str:
    return models.follow(KUBECTL, MOVE, seconds=seconds, pause=0)


def test_it_waits_for_every_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    left = answers(
        monkeypatch,
        [pod("a", "1"), pod("b", "1")],
        [pod("a", "2"), pod("b", "1")],
        # One that has just started and says nothing yet is waited for too.
        [pod("a", "2"), pod("b", "2"), ServingPod("kindling", "c", {})],
        [pod("a", "2"), pod("b", "2"), pod("c", "2")],
    )
    assert follow() == "3 pods serve it"
    assert len(left) == 1


def test_a_refusal_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, [pod("a", "1", {"version": "2", "reason": "it is a pickle"})])
    with pytest.raises(KindlingError, match="pod a refuses version 2: it is a pickle"):
        follow()


def test_an_earlier_refusal_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, [pod("a", "2", {"version": "3", "reason": "it is a pickle"})])
    assert follow() == "1 pod serves it"


def test_at_the_bound_the_late_ones_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, [pod("a", "2"), pod("b", "1")])
    with pytest.raises(KindlingError, match="after 0 s version 2 is not served by b"):
        follow(0)


def test_a_model_that_no_pod_is_set_to_serve_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, [pod("a", None)])
    assert follow() == "no pod is set to serve it"


def test_a_move_that_a_pod_refuses_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client({"1": {"gate": "passed"}, "2": {"gate": "passed"}}, {"champion": "1"})
    registry = ModelRegistry(client)  # type: ignore[arg-type]
    answers(monkeypatch, [pod("a", "1", {"version": "2", "reason": "it is a pickle"})])
    with pytest.raises(KindlingError, match="it is a pickle; version 1 is champion again"):
        models.follow_or_undo(KUBECTL, registry, registry.promote("digits", "2"))
    assert client.aliases == {"champion": "1"}


def test_pods_that_serve_others_are_given_time_to_notice_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noticing = ServingPod("kindling", "a", {"status": "ready", "models": [], "others": 3})
    left = answers(monkeypatch, [noticing], [noticing], [pod("a", "2")])
    assert follow() == "1 pod serves it"
    assert len(left) == 1
    answers(monkeypatch, [noticing])
    monkeypatch.setattr(models, "_NOTICE_SECONDS", 0.05)
    assert follow() == "no pod is set to serve it"


class FakeKubectl(Kubectl):
    """Answers as the API server does through its proxy."""

    def __init__(self, answers: dict[str, tuple[int, str, str]]) -> None:
        object.__setattr__(self, "answers", answers)

    def items(self, kind: str, *args: str) -> Any:
        gone = {"metadata": {"name": "gone", "namespace": "k", "deletionTimestamp": "now"}}
        names = self.answers  # type: ignore[attr-defined]
        return [{"metadata": {"name": name, "namespace": "k"}} for name in names] + [gone]

    def run(self, *args: str, stdin: str | None = None, timeout: float = 60) -> Any:
        from subprocess import CompletedProcess

        name = args[1].split("/pods/")[1].split(":")[0]
        return CompletedProcess(args, *self.answers[name])  # type: ignore[attr-defined]


def test_pods_that_are_not_ready_say_what_they_lack() -> None:
    words = 'Error from server (ServiceUnavailable): {"status":"not ready","reason":"loading"}'
    found = pods.serving_pods(
        FakeKubectl({"a": (0, '{"status":"ready"}', ""), "b": (1, "", words), "c": (1, "", "no")})
    )
    assert [(one.name, one.answer.get("reason", "-")) for one in found] == [
        ("a", "-"), ("b", "loading"), ("c", "-"),
    ]  # fmt: skip
