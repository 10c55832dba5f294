"""Following a promotion through the pods of the service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from imported import descriptor
from test_model_registry import Client

from kindling import models, rollout, serving
from kindling.errors import KindlingError
from kindling.model_registry import ModelRegistry, Move
from kindling.pods import ServingPod
from kindling.serving import Service
from service.package import parse_descriptor

MOVE = Move("digits", "1", "2")
PICKLE = {"version": "2", "reason": "it is a pickle"}
# Version 4 has a column that the others do not have.
COLUMN = {"name": "age", "type": "double"}
PACKAGES = {
    version: parse_descriptor(descriptor("digits", part={"inputs": columns}), "digits")
    for version, columns in (
        ("1", [COLUMN]), ("2", [COLUMN]), ("3", [COLUMN]), ("4", [COLUMN, {**COLUMN, "name": "b"}]),
    )
}  # fmt: skip
# What a pod that Kubernetes sends no requests is: with the reason, and whether it is for good.
STATES = {
    "pending": ("Pending: Unschedulable", False),
    "evicted": ("Failed: Evicted", True),
    "crashing": ("CrashLoopBackOff", False),
    "on a lost node": ("not ready", False),
}


def pod(
    name: str, version: str | None, refused: dict[str, str] | None = None, *, not_ready: str = ""
) -> ServingPod:
    serves = [{"name": "digits", "version": version, "refused": refused}]
    answer = {"status": "ready", "models": serves if version else []}
    return ServingPod("kindling", name, answer, not_ready)


def silent(name: str, not_ready: str, is_finished: bool = False) -> ServingPod:
    return ServingPod("kindling", name, {}, not_ready, is_finished)


class Looks:
    """The pods at each look; the last round is seen again and again."""

    def __init__(self, *rounds: list[ServingPod]) -> None:
        self.left = list(rounds)

    def __call__(self) -> list[ServingPod]:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


def follow(
    look: Callable[[], Sequence[ServingPod]],
    seconds: float = 5.0,
    champion: Callable[[], str] = lambda: "2",
) -> str:
    return serving.follow(MOVE, look, champion, timeout_seconds=seconds, pause_seconds=0)


def test_it_waits_for_every_ready_pod() -> None:
    starting = silent("c", "not ready")
    look = Looks(
        [pod("a", "1"), pod("b", "1"), starting],
        [pod("a", "2"), pod("b", "1"), starting],
        # One that became ready meanwhile gets requests too.
        [pod("a", "2"), pod("b", "1"), pod("c", "1")],
        [pod("a", "2"), pod("b", "2"), pod("c", "1")],
        [pod("a", "2"), pod("b", "2"), pod("c", "2")],
    )
    assert follow(look) == "3 pods serve it"
    assert len(look.left) == 1


@pytest.mark.parametrize("state", STATES)
def test_pod_that_gets_no_requests_is_named_and_not_waited_for(state: str) -> None:
    reason, is_finished = STATES[state]
    look = Looks([pod("a", "2"), silent("b", reason, is_finished)])
    assert follow(look, 0) == f"1 pod serves it; not counted: b ({reason})"


@pytest.mark.parametrize("reason", ["CrashLoopBackOff", "not ready"])
def test_pod_that_was_ready_before_the_move_is_waited_for(reason: str) -> None:
    look = Looks([pod("a", "1"), pod("b", "1")], [pod("a", "2"), silent("b", reason)])
    with pytest.raises(KindlingError, match=rf"version 2 is not served by b \({reason}\)"):
        follow(look, 0.01)


def test_evicted_pod_is_not_waited_for_although_it_was_ready() -> None:
    evicted = silent("b", *STATES["evicted"])
    look = Looks([pod("a", "1"), pod("b", "1")], [pod("a", "2"), evicted])
    assert follow(look) == "1 pod serves it; not counted: b (Failed: Evicted)"


def test_without_a_ready_pod_all_are_named_at_the_timeout() -> None:
    look = Looks([silent("a", "CrashLoopBackOff"), silent("b", "Pending")])
    with pytest.raises(KindlingError, match=r"none is ready: a \(Crash.*\), b \(Pending\)"):
        follow(look, 0)
    with pytest.raises(KindlingError, match="not served by any pod, as there is none"):
        follow(Looks([]), 0)


def test_pods_that_the_bad_champion_made_unready_become_ready_by_a_rollback() -> None:
    look = Looks([pod("a", "1", not_ready="not ready")], [pod("a", "2", not_ready="not ready")],
                 [pod("a", "2")])  # fmt: skip
    assert follow(look) == "1 pod serves it"


def test_a_refusal_is_told_with_its_reason() -> None:
    for refusing in (pod("a", "1", PICKLE), pod("a", "1", PICKLE, not_ready="not ready")):
        with pytest.raises(rollout.RefusedError, match="pod a refuses version 2: it is a pickle"):
            follow(Looks([refusing]))


def test_an_earlier_refusal_is_none() -> None:
    assert follow(Looks([pod("a", "2", PICKLE | {"version": "3"})])) == "1 pod serves it"


def test_at_the_bound_the_late_ones_are_named() -> None:
    look = Looks([pod("a", "2"), pod("b", "1")])
    with pytest.raises(KindlingError, match="after 0 s version 2 is not served by b"):
        follow(look, 0)


def test_api_server_that_is_away_for_a_moment_is_asked_again() -> None:
    failures = [KindlingError("`kubectl get pods` failed: connection refused")]

    def look() -> list[ServingPod]:
        if failures:
            raise failures.pop()
        return [pod("a", "2")]

    assert follow(look) == "1 pod serves it"
    failures += [KindlingError("`kubectl get pods` failed: connection refused")] * 3
    with pytest.raises(KindlingError, match=r"pod that could be asked: .*connection refused"):
        follow(look, 0)


def test_a_model_that_no_pod_is_set_to_serve_is_not_waited_for() -> None:
    assert follow(Looks([pod("a", None)])) == "no pod is set to serve it"


def test_pods_that_serve_others_are_given_time_to_notice_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noticing = ServingPod("kindling", "a", {"status": "ready", "models": [], "others": 3})
    look = Looks([noticing], [noticing], [pod("a", "2")])
    assert follow(look) == "1 pod serves it"
    assert len(look.left) == 1
    monkeypatch.setattr(rollout, "_NOTICE_SECONDS", 0.05)
    assert follow(Looks([noticing])) == "no pod is set to serve it"


def test_it_ends_when_somebody_else_moves_the_champion() -> None:
    champions = ["2", "2", "3"]
    with pytest.raises(KindlingError, match="not the champion any more: version 3 is"):
        follow(Looks([pod("a", "1")]), champion=lambda: champions.pop(0))


@pytest.fixture
def client() -> Client:
    passed = {"gate": "passed"}
    versions = {version: dict(passed) for version in PACKAGES}
    return Client(versions, {"champion": "1"})


@pytest.fixture
def service(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """One whose commands find it; ``pods_are`` says what its pods are."""
    kubectl: Any = None
    registry = ModelRegistry(client)  # type: ignore[arg-type]
    monkeypatch.setattr(registry, "descriptor", lambda _name, version: PACKAGES.get(version))
    made = Service(kubectl, "kindling", registry, tmp_path / "lock")
    monkeypatch.setattr(Service, "connect", lambda _: made)
    return made


def pods_are(monkeypatch: pytest.MonkeyPatch, *rounds: list[ServingPod]) -> None:
    look = Looks(*rounds)
    monkeypatch.setattr(Service, "pods", lambda _: look())


def test_promotion_that_a_pod_refuses_is_undone(
    client: Client,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client.aliases["challenger"] = "2"
    pods_are(monkeypatch, [pod("a", "1", PICKLE)])
    assert models.main(["promote", "digits", "2"]) == 1
    assert "it is a pickle; version 1 is champion again" in capsys.readouterr().err
    assert client.aliases == {"champion": "1", "challenger": "2"}


@pytest.mark.parametrize("state", STATES)
def test_promotion_that_no_pod_refuses_stays(
    client: Client,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    state: str,
) -> None:
    monkeypatch.setattr(rollout, "TIMEOUT_SECONDS", 0)
    pods_are(monkeypatch, [pod("a", "1"), silent("b", *STATES[state])])
    assert models.main(["promote", "digits", "2"]) == 1
    assert "version 2 is not served by a" in capsys.readouterr().err
    assert client.aliases == {"champion": "2", "previous": "1"}


@pytest.mark.parametrize("pods", [
    [pod("a", "2", {"version": "1", "reason": "no room"})],
    [pod("a", "2")],
    [silent("a", "CrashLoopBackOff")],
    [],
])  # fmt: skip
def test_rollback_is_never_undone(
    client: Client, service: Service, monkeypatch: pytest.MonkeyPatch, pods: list[ServingPod]
) -> None:
    monkeypatch.setattr(rollout, "TIMEOUT_SECONDS", 0)
    service.registry.promote("digits", "2")
    pods_are(monkeypatch, pods)
    assert models.main(["rollback", "digits"]) == 1
    assert client.aliases == {"champion": "1"}


@pytest.mark.parametrize("state", STATES)
def test_rollback_succeeds_beside_a_pod_that_gets_no_requests(
    client: Client,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    state: str,
) -> None:
    service.registry.promote("digits", "2")
    pods_are(monkeypatch, [pod("a", "1"), silent("b", *STATES[state])])
    assert models.main(["rollback", "digits"]) == 0
    assert f"not counted: b ({STATES[state][0]})" in capsys.readouterr().out
    assert client.aliases == {"champion": "1"}


def test_refused_promotion_leaves_the_champion_that_somebody_else_set(
    client: Client,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def promoted_by_others(_: Service) -> list[ServingPod]:
        service.registry.promote("digits", "3")
        return [pod("a", "1", PICKLE)]

    monkeypatch.setattr(Service, "pods", promoted_by_others)
    assert models.main(["promote", "digits", "2"]) == 1
    assert "it is a pickle; version 3 is champion" in capsys.readouterr().err
    assert client.aliases == {"champion": "3", "previous": "2"}


def test_promotions_at_the_same_time_do_not_mix(
    client: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one begins once the first one has moved all, and finds another champion."""
    codes: list[int] = []
    second = threading.Thread(target=lambda: codes.append(models.main(["promote", "digits", "3"])))
    moves: list[tuple[str, str]] = []
    move = client.set_registered_model_alias

    def move_slowly(name: str, alias: str, version: str) -> None:
        moves.append((alias, version))
        if (alias, version) == ("champion", "2"):
            second.start()
            second.join(0.5)
        move(name, alias, version)

    monkeypatch.setattr(client, "set_registered_model_alias", move_slowly)
    pods_are(monkeypatch, [pod("a", "2")])
    codes.append(models.main(["promote", "digits", "2"]))
    second.join(30)
    assert codes == [0, 1]
    assert moves == [("previous", "1"), ("champion", "2")]


def test_version_with_other_inputs_is_promoted_only_if_that_is_meant(
    client: Client,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pods_are(monkeypatch, [pod("a", "4")])
    assert models.main(["promote", "digits", "4"]) == 1
    assert "takes other inputs than version 1" in capsys.readouterr().err
    assert client.aliases == {"champion": "1"}
    assert models.main(["promote", "digits", "4", "--allow-input-changes"]) == 0
    assert client.aliases["champion"] == "4"
    # The way back is never barred.
    pods_are(monkeypatch, [pod("a", "1")])
    assert models.main(["rollback", "digits"]) == 0


def test_interrupted_command_says_where_to_look(
    client: Client,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(_: Service) -> list[ServingPod]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Service, "pods", interrupt)
    assert models.main(["promote", "digits", "2"]) == 130
    assert "nox -s models" in capsys.readouterr().err
    assert client.aliases["champion"] == "2"
