"""What is under test is the cluster of the inventory, or it is said what that lacks."""

from __future__ import annotations

from typing import Any

import cluster_objects as made
import pytest

from kindling import settings
from kindling.errors import KindlingError
from loadtests import intervals, usual
from loadtests.environment import Environment, Probes, find, foreign
from loadtests.facts import facts, shortened
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


def test_bounds_that_are_held_for_a_while_are_not_the_bounds() -> None:
    raised = {"kind": "HorizontalPodAutoscaler", **made.autoscaler()}
    raised["spec"]["minReplicas"] = 2
    assert found(raised, {"kind": "Deployment", **made.deployment(2, 2)}).minimum == 2
    raised["metadata"]["annotations"] = {"kindling.dev/bounds-before": "1 6"}
    held = found(raised)
    assert (held.minimum, held.maximum) == (1, 6)


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
    about = {
        "cluster": "kindling", "kubernetes": "v1.36.4", "url": HERE, "cores": 2,
        "gpu_mode": "simulated", "service_image": "service:1", "node_image": "node:1",
        "prometheus": "3.9.1", "supply": "packages",
        "nodes": [
            {"name": "n1", "pool": "gpu", "cpu": "2", "memory": "8388608Ki", "gpus": "2"},
            {"name": "n2", "pool": "cpu", "cpu": "2", "memory": "8388608Ki", "gpus": "0"},
        ],
        "resources": {"requests": {"cpu": "100m"}, "limits": dict(usual.limits())},
        "autoscaler": {
            "minimum": 1, "maximum": usual.maximum(),
            "metrics": made.autoscaler()["spec"]["metrics"],
        },
    }  # fmt: skip
    return Described(Intervals(**{**usual.intervals(), **changed}), usual.waits(), about)


def test_only_what_is_less_than_in_production_is_said_to_be() -> None:
    assert shortened(described()) == {}
    here = described(scrape=5.0, stabilization=600.0, control_loop=None)
    assert shortened(here) == {"scrape interval": "5 s, in production 30 s"}
    here.waits["HighErrorRate"] = 30.0
    here.about["resources"]["limits"]["cpu"] = "300m"
    here.about["autoscaler"]["maximum"] = 4
    assert shortened(here) == {
        "scrape interval": "5 s, in production 30 s",
        "HighErrorRate pends": "30 s, in production 300 s",
        "cpu limit of a pod": "300m, in production 2",
        "most pods": "4, in production 10",
    }


def test_the_facts_are_in_words() -> None:
    found = facts(described(control_loop=None))
    assert found["cluster"] == "kindling, Kubernetes v1.36.4"
    assert found["nodes"] == {
        "n1": "pool gpu, 2 cores, 8 GiB, 2 GPUs", "n2": "pool cpu, 2 cores, 8 GiB",
    }  # fmt: skip
    assert found["autoscaler"] == {
        "pods": "1 to 10", "target of cpu": 70.0, "target of in_flight": 4.0,
    }  # fmt: skip
    assert isinstance(found["intervals"], dict)
    assert found["intervals"]["autoscaler's period"] == "not shown by the cluster"
    assert found["shortened"] == {}


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
