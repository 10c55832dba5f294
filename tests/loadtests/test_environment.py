"""What is under test is the cluster of the inventory, or it is said what that lacks."""

from __future__ import annotations

from typing import Any

import cluster_objects as made
import pytest

from kindling import settings
from kindling.errors import KindlingError
from loadtests import intervals
from loadtests.environment import Environment, Probes, find, foreign
from loadtests.intervals import Described, Intervals

FACTS = {
    "name": "kindling", "context": "kind-kindling", "kubeconfig": "/state/kubeconfig",
    "tools": {"kubectl": "/cache/kubectl"}, "complete": True,
    "node_pools": [
        {"name": "control-plane", "role": "control-plane"}, {"name": "cpu", "role": "worker"},
        {"name": "gpu", "role": "worker", "gpus": 2},
    ],
}  # fmt: skip
PORTS = {"serving": 8081, "mlflow": 5000, "prometheus": 9090, "alertmanager": 9093}
HERE = "http://127.0.0.1:8081"


def found(
    *objects: dict[str, Any], missing: str = "", ready: Any = None, **facts: Any
) -> Environment:
    given = [
        {"kind": "Deployment", **made.deployment()},
        {"kind": "HorizontalPodAutoscaler", **made.autoscaler()},
    ]
    changed = {one["kind"]: one for one in objects}
    return find(
        settings.load(),
        Probes(
            known=lambda _: {**FACTS, "ports": PORTS, **facts},
            objects=lambda *_: [
                changed.get(one["kind"], one) for one in given if one["kind"] != missing
            ],
            ready=ready or (lambda _: {"status": "ready"}),
            receiver=lambda _: [],
        ),
    )


def refused(*objects: dict[str, Any], **changed: Any) -> KindlingError:
    with pytest.raises(KindlingError) as raised:
        found(*objects, **changed)
    assert "\n" not in raised.value.message
    assert "nox -s cluster-up" in raised.value.next_step
    return raised.value


def test_the_cluster_of_the_inventory() -> None:
    environment = found()
    assert (environment.name, environment.url) == ("kindling", HERE)
    assert (environment.namespace, environment.minimum, environment.maximum) == ("kindling", 1, 4)
    assert environment.prometheus_url == "http://127.0.0.1:9090"
    assert environment.receiver
    assert (environment.pools, environment.gpu_pools) == (["cpu", "gpu"], ["gpu"])
    alone = found(node_pools=[{"name": "main", "role": "control-plane"}])
    assert (alone.pools, alone.gpu_pools) == (["main"], [])


def test_a_minimum_that_was_raised_for_a_while_is_not_the_minimum() -> None:
    raised = {"kind": "HorizontalPodAutoscaler", **made.autoscaler()}
    raised["spec"]["minReplicas"] = 2
    assert found(raised, {"kind": "Deployment", **made.deployment(2, 2)}).minimum == 2
    raised["metadata"]["annotations"] = {"kindling.dev/minimum-before": "1"}
    assert found(raised).minimum == 1


def test_no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(KindlingError, match="there is no cluster kindling of ours") as raised:
        find(settings.load())
    assert raised.value.next_step == "nox -s cluster-up"


def test_a_cluster_that_is_half_up_says_what_is_missing() -> None:
    assert "interrupted, or still runs" in refused(complete=False).message
    words = refused(missing="Deployment").message
    assert words == (
        "the cluster kindling is not all there: there is no Deployment kindling/serving"
    )
    assert found({"kind": "Deployment", **made.deployment(2, 1)})
    words = refused({"kind": "Deployment", **made.deployment(2, 0)}).message
    assert "kindling/serving has 0 of 1 pods ready" in words
    words = refused(missing="HorizontalPodAutoscaler").message
    assert "no HorizontalPodAutoscaler kindling/serving" in words
    blind = {"kind": "HorizontalPodAutoscaler", **made.autoscaler()}
    blind["status"] = {
        "conditions": [{"type": "ScalingActive", "status": "False", "message": "no metrics"}]
    }
    assert "does not scale: no metrics" in refused(blind).message
    ports = {name: port for name, port in PORTS.items() if name != "prometheus"}
    assert "it has no prometheus" in refused(ports=ports).message


def test_what_does_not_answer_is_named_with_its_url() -> None:
    def ready(url: str) -> dict[str, str] | None:
        return None if "9093" in url else {"status": "not ready" if "8081" in url else "ready"}

    words = refused(ready=ready).message
    assert "serving is not ready at http://127.0.0.1:8081" in words
    assert "alertmanager is not ready at http://127.0.0.1:9093" in words
    assert "prometheus" not in words


@pytest.mark.parametrize("target", ["", HERE, HERE + "/", "http://localhost:8081/predict"])
def test_the_clusters_own_service_is_no_foreign_target(target: str) -> None:
    assert foreign(target, HERE) is False


def test_a_foreign_target_must_be_named_too() -> None:
    target = "https://models.example.com"
    with pytest.raises(KindlingError, match="is not the cluster of the inventory") as raised:
        foreign(target, HERE)
    assert raised.value.next_step == "--yes-target models.example.com, if load may be put on it"
    with pytest.raises(KindlingError, match=r"and other\.example\.com is another host"):
        foreign(target, HERE, named="other.example.com")
    assert foreign(target, HERE, named="models.example.com") is True
    # Another port of this machine is another service.
    with pytest.raises(KindlingError):
        foreign("http://127.0.0.1:8082", HERE)
    with pytest.raises(KindlingError):
        foreign("http://models.example.com", "")


@pytest.mark.parametrize("target", ["models.example.com", "http://", "http://h:port", "ftp://h"])
def test_what_is_no_url_is_refused(target: str) -> None:
    with pytest.raises(KindlingError, match="is no URL of a service"):
        foreign(target, HERE, named="h")


def test_a_name_without_a_target_is_refused() -> None:
    with pytest.raises(KindlingError, match="goes with --target"):
        foreign("", HERE, named="models.example.com")


def described(**changed: float | None) -> Described:
    usual = intervals._usual()
    waits = intervals._usual_waits()
    return Described(Intervals(**{**usual, **changed}), dict(waits), waits, {})


def test_only_what_is_shorter_than_in_production_is_said_to_be() -> None:
    assert described().shortened() == []
    here = described(scrape=5.0, stabilization=600.0, control_loop=None)
    assert here.shortened() == [{"what": "scrape", "here": 5.0, "usual": 30.0}]
    here.waits["HighErrorRate"] = 30.0
    assert here.document()["shortened"][1] == {
        "what": "for of HighErrorRate", "here": 30.0, "usual": 300.0,
    }  # fmt: skip


def test_a_rule_has_the_intervals_of_the_cluster() -> None:
    rule = described(scrape=5.0).rule("HighErrorRate", model="digits")
    assert (rule.wait, rule.scrape, rule.labels) == (300.0, 5.0, {"model": "digits"})
    with pytest.raises(KindlingError, match="no alert Unheard"):
        described().rule("Unheard")


def test_flags_are_read_where_they_can_be_seen() -> None:
    pod = {"spec": {"containers": [{"command": ["kube-controller-manager", "--sync=5s"]}]}}
    assert intervals._flag([pod], "--sync=", 15) == 5
    assert intervals._flag([pod], "--other=", 15) == 15
    assert intervals._flag([], "--sync=", 15) is None
