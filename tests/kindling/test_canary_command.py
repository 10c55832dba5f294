"""A canary from the operator's side: what it is asked for, how it is judged, and that it ends."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from test_model_registry import Client

from kindling import canary, cluster
from kindling.canary_judge import Counts, Margins, Verdict, judge
from kindling.errors import KindlingError
from kindling.model_registry import Canary, ModelRegistry
from kindling.pods import ServingPod

MARGINS = Margins(requests=50, errors=0.02, latency=1.5)


def timed(requests: int, p95: float, slow: int = 0, errors: int = 0) -> Counts:
    """Of so many requests some took more than 0.25 s, the others less than 0.1 s."""
    within = dict.fromkeys((0.1, 0.25), requests - slow) | {math.inf: requests}
    return Counts(requests, errors, p95, within)


CHAMPION = timed(500, 0.1, slow=25, errors=5)


@pytest.mark.parametrize(
    ("champion", "found", "so_far", "at_the_end"),
    [
        (CHAMPION, Counts(), Verdict.GO_ON, Verdict.UNKNOWN),
        # All of a few failed: few they are.
        (CHAMPION, Counts(49, 49, 9.0), Verdict.GO_ON, Verdict.UNKNOWN),
        (CHAMPION, Counts(100, 0, 0.1), Verdict.GO_ON, Verdict.PASSED),
        (CHAMPION, Counts(100, 3, 0.1), Verdict.GO_ON, Verdict.PASSED),
        (CHAMPION, Counts(1000, 31, 0.1), Verdict.GO_ON, Verdict.UNKNOWN),
        (CHAMPION, Counts(1000, 60, 0.1), Verdict.WORSE, Verdict.WORSE),
        (Counts(), Counts(50, 2, 0.1), Verdict.WORSE, Verdict.WORSE),
        (CHAMPION, Counts(50, 10, 0.1), Verdict.WORSE, Verdict.WORSE),
        (CHAMPION, timed(100, 0.149, 100), Verdict.GO_ON, Verdict.PASSED),
        (CHAMPION, timed(100, 0.151, 100), Verdict.WORSE, Verdict.WORSE),
        # Chance makes a few of a hundred slow, or fail.
        (CHAMPION, timed(100, 0.3, 12), Verdict.GO_ON, Verdict.PASSED),
        (CHAMPION, timed(100, 0.3, 20), Verdict.WORSE, Verdict.WORSE),
        # All of them between two bounds, the limit too.
        (CHAMPION, Counts(99, 0, 0.24, {0.1: 0, 0.25: 99, math.inf: 99}), *[Verdict.WORSE] * 2),
        (CHAMPION, Counts(100, 5, 0.1), Verdict.GO_ON, Verdict.UNKNOWN),
        # A champion that fails more makes no canary worse, nor one that nobody asks.
        (Counts(500, 250, 0.1), Counts(100, 51, 0.1), Verdict.GO_ON, Verdict.PASSED),
        (timed(49, 0.1), timed(100, 9.0, 100), Verdict.GO_ON, Verdict.PASSED),
        # All are faster than the first bound of the buckets, and slower than it.
        (timed(500, 0.01), timed(100, 0.09), Verdict.GO_ON, Verdict.PASSED),
        (timed(500, 0.01), timed(100, 0.2, 90), Verdict.WORSE, Verdict.WORSE),
        (CHAMPION, Counts(100, 0, math.nan), Verdict.GO_ON, Verdict.PASSED),
        # Refusals are compared as errors are.
        (CHAMPION, Counts(227, 0, 0.1, refusals=128), Verdict.WORSE, Verdict.WORSE),
        (CHAMPION, Counts(100, 0, 0.1, refusals=3), Verdict.GO_ON, Verdict.UNKNOWN),
        (CHAMPION, Counts(100, 5, 0.1, refusals=50), Verdict.WORSE, Verdict.WORSE),
        (Counts(), Counts(50, 0, 0.1, refusals=2), Verdict.WORSE, Verdict.WORSE),
        # Clients that send nonsense send it to both.
        (
            Counts(500, 0, 0.1, refusals=250),
            Counts(100, 0, 0.1, refusals=50),
            Verdict.GO_ON,
            Verdict.PASSED,
        ),
        # The metrics are gone between two questions.
        (CHAMPION, Counts(100, 0, 9.0), Verdict.GO_ON, Verdict.PASSED),
    ],
)
def test_a_canary_is_judged_beside_the_champion(
    champion: Counts, found: Counts, so_far: Verdict, at_the_end: Verdict
) -> None:
    assert judge(champion, found, MARGINS, is_over=False).verdict is so_far
    assert judge(champion, found, MARGINS, is_over=True).verdict is at_the_end


def test_the_reason_has_the_figures() -> None:
    failed = judge(CHAMPION, Counts(100, 20, 0.1), MARGINS, is_over=False)
    assert failed.reason == "20.0% of its requests failed, more than 3.0% (champion 1.0%)"
    refused = judge(CHAMPION, Counts(227, 0, 0.1, refusals=128), MARGINS, is_over=True)
    assert refused.reason == "56.4% of its requests were refused, more than 2.0% (champion 0.0%)"
    passed = judge(CHAMPION, Counts(100, 1, 0.1, refusals=2), MARGINS, is_over=True)
    assert passed.reason == "1.0% of its 100 requests failed, 2.0% were refused"
    unsure = judge(CHAMPION, Counts(100, 5, 0.1), MARGINS, is_over=True)
    assert unsure.reason == (
        "5.0% of its requests failed, more than 3.0% (champion 1.0%), too few of them to be sure"
    )
    slow = judge(CHAMPION, timed(100, 0.4, 90), MARGINS, is_over=False)
    assert slow.reason == "its p95 is 400 ms, more than 1.5 times the champion's 100 ms"


class Answering(canary.Prometheus):
    """Has the same buckets and numbers of each version, and keeps what it was asked."""

    asked: list[str]

    def get(self, path: str, **parameters: str) -> Any:
        query = parameters["query"]
        self.asked.append(query)
        if query.startswith("sum by (le)"):
            found = {"0.1": 20, "0.25": 29, "+Inf": 30}
            series = [{"metric": {"le": le}, "value": [0, str(n)]} for le, n in found.items()]
        else:
            answers = {"quantile": "0.2", '"200|': "30", '"500|': "2", '"400|': "3"}
            (value,) = [answers[part] for part in answers if part in query]
            series = [{"metric": {}, "value": [0, value]}]
        return {"resultType": "vector", "result": series}


def test_what_each_version_answered_is_asked_of_prometheus() -> None:
    prometheus = Answering("http://127.0.0.1:9")
    object.__setattr__(prometheus, "asked", [])
    champion, found = canary.Comparison("digits", "1", "2", prometheus).counts(9.2)
    assert champion == found == Counts(30, 2, 0.2, {0.1: 20, 0.25: 29, math.inf: 30}, refusals=3)
    versions = ['version="1"' in query for query in prometheus.asked]
    assert versions == [True] * 5 + [False] * 5
    counted = next(query for query in prometheus.asked if '"200|' in query)
    assert all(status in counted for status in ("400", "422", "500", "504"))
    assert all("[10s]" in query and 'model="digits"' in query for query in prometheus.asked)


class Compared(canary.Comparison):
    """Each look finds the next counts."""

    looks: list[Counts]

    def counts(self, seconds: float) -> tuple[Counts, Counts]:
        return CHAMPION, self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


def compared(*looks: Counts) -> Compared:
    made = Compared("digits", "1", "2", canary.Prometheus("http://127.0.0.1:9"))
    object.__setattr__(made, "looks", list(looks))
    return made


def test_it_looks_until_the_canary_is_worse_and_renews_it_each_time() -> None:
    renewed: list[int] = []
    said: list[Any] = []
    looks = compared(Counts(10), Counts(40, 8), Counts(60, 12, 0.1))
    judged = canary.compare(looks, MARGINS, 60, lambda: renewed.append(1), said.append, pause=0.0)
    assert judged.verdict is Verdict.WORSE
    assert len(renewed) == 3
    assert [line for line in said if isinstance(line, str)] == [
        "   0 s  canary 10 requests, 0.0% failed, 0.0% refused; champion 500, 1.0%, 0.0%",
        "   0 s  canary 40 requests, 20.0% failed, 0.0% refused; champion 500, 1.0%, 0.0%",
    ]


def test_it_passes_when_its_time_is_over() -> None:
    looks = compared(Counts(100, 0, 0.1))
    judged = canary.compare(looks, MARGINS, 0.05, lambda: None, lambda _: None, pause=0.01)
    assert judged.verdict is Verdict.PASSED


def pod(name: str, told: dict[str, Any] | None, not_ready: str = "") -> ServingPod:
    answer = {"models": [{"name": "digits", "canary": told}]}
    return ServingPod("kindling", name, {} if not_ready else answer, not_ready)


def served(version: str, refused: dict[str, str] | None = None) -> dict[str, Any]:
    return {"version": version, "share": 0.1, "refused": refused}


def wait(*rounds: list[ServingPod], seconds: float = 5) -> str:
    left = list(rounds)
    return canary.wait_until_served(
        lambda: left.pop(0) if len(left) > 1 else left[0],
        "digits", "2", lambda: None, timeout_seconds=seconds, pause_seconds=0,
    )  # fmt: skip


def test_it_waits_until_every_ready_pod_has_the_canary() -> None:
    before = [pod("a", served("2")), pod("b", None)]
    other = [pod("a", served("2")), pod("b", served("3"))]
    assert wait(before, other, [pod("a", served("2"))]) == "1 pod serves it"
    with pytest.raises(KindlingError, match="after 0 s version 2 is not served by b"):
        wait(other, seconds=0)


@pytest.mark.parametrize("reason", ["Pending", "Failed: Evicted", "CrashLoopBackOff", "not ready"])
def test_pod_that_gets_no_requests_does_not_hold_up_a_canary(reason: str) -> None:
    found = wait([pod("a", served("2")), pod("b", None, reason)], seconds=0)
    assert found == f"1 pod serves it; not counted: b ({reason})"


def test_canary_of_a_model_that_no_pod_serves_is_an_error() -> None:
    with pytest.raises(KindlingError, match="no pod serves digits"):
        wait([ServingPod("kindling", "a", {"models": [{"name": "text"}]})])


def test_a_pod_that_refuses_it_says_why() -> None:
    refused = served("2", {"version": "2", "reason": "it is a pickle"})
    with pytest.raises(KindlingError, match="pod a refuses version 2: it is a pickle"):
        wait([pod("a", refused)])


@pytest.fixture
def client() -> Client:
    passed = {"gate": "passed"}
    return Client({"1": dict(passed), "2": dict(passed), "3": dict(passed), "4": {}})


@pytest.fixture
def registry(client: Client) -> ModelRegistry:
    return ModelRegistry(client)  # type: ignore[arg-type]


def test_it_is_asked_for_while_it_is_looked_after(client: Client, registry: ModelRegistry) -> None:
    with canary.looked_after(registry, "digits", "2", 0.1) as renew:
        first = json.loads(client.model_tags["canary"])
        assert (first["version"], first["share"]) == ("2", 0.1)
        assert 50 < first["until"] - time.time() <= 60
        time.sleep(0.01)
        renew()
        assert json.loads(client.model_tags["canary"])["until"] > first["until"]
    assert client.model_tags == {}


def test_it_is_ended_whatever_happens(client: Client, registry: ModelRegistry) -> None:
    with pytest.raises(KeyboardInterrupt), canary.looked_after(registry, "digits", "2", 0.1):
        raise KeyboardInterrupt
    assert client.model_tags == {}


def test_what_cannot_be_a_canary_is_told(client: Client, registry: ModelRegistry) -> None:
    with pytest.raises(KindlingError, match="has no champion to compare a canary with"):
        registry.check_canary("digits", "2")
    registry.promote("digits", "1")
    assert registry.check_canary("digits", "2") == "1"
    for version, reason in (
        ("1", "version 1 of digits is its champion"),
        ("4", "has not passed the evaluation gate"),
        ("9", "there is no version 9 of digits"),
    ):
        with pytest.raises(KindlingError, match=reason):
            registry.check_canary("digits", version)
    registry.set_canary("digits", Canary("3", 0.1, time.time() + 30))
    with pytest.raises(KindlingError, match="version 3 of digits is a canary already"):
        registry.check_canary("digits", "2")
    registry.set_canary("digits", Canary("3", 0.1, time.time() - 1))
    assert registry.check_canary("digits", "2") == "1"
    client.model_tags["canary"] = "somebody's own"
    assert registry.check_canary("digits", "2") == "1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: name"),
        (["digits", "--share=51"], "51 is no number from 0.1 to 50"),
        (["digits", "--share=some"], "some is no number"),
        (["digits", "--requests=0"], "at least 1"),
        (["digits", "--latency=0.5"], "no number from 1 to 1000"),
    ],
)
def test_bad_arguments_are_named(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        canary.main(words)
    assert message in capsys.readouterr().err


def test_without_a_cluster_it_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "facts", lambda _: None)
    assert canary.main(["digits"]) == 1
    error = capsys.readouterr().err
    assert "there is no cluster" in error
    assert "nox -s cluster-up" in error
