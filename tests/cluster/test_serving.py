"""The model service as a user meets it: on a port of this host, and under load."""

from __future__ import annotations

import json

from cluster_autoscaler import hold_at_minimum, rest
from cluster_load import Load, predict
from conftest import Cluster, eventually

from kindling import paths
from kindling.pods import serving_pods


def test_rows_that_were_not_trained_on_get_the_right_digit(
    cluster: Cluster, holdout: dict[str, object]
) -> None:
    answer = predict(cluster.url, json.dumps(holdout["request"]).encode())
    predictions = answer["predictions"]
    assert isinstance(predictions, list)
    assert [prediction["label"] for prediction in predictions] == holdout["labels"]


def test_the_example_of_the_readme_is_a_one(cluster: Cluster) -> None:
    body = (paths.REPOSITORY / "service" / "example.json").read_bytes()
    (prediction,) = predict(cluster.url, body)["predictions"]  # type: ignore[misc]
    assert prediction["label"] == 1


def test_the_port_is_open_on_loopback_only(cluster: Cluster) -> None:
    ports = cluster.engine.run("port", f"{cluster.name}-control-plane")
    assert ports.strip()
    assert all(line.split("-> ")[1].startswith("127.0.0.1:") for line in ports.splitlines())


def test_no_request_fails_while_pods_are_replaced(
    cluster: Cluster, holdout: dict[str, object]
) -> None:
    body = json.dumps(holdout["request"]).encode()
    rollout = ("rollout", "status", "deployment/serving", "--namespace=kindling", "--timeout=120s")
    hold_at_minimum()
    try:
        with Load(cluster.url, body, threads=2) as load:
            before = {pod.name for pod in serving_pods(cluster.kubectl, "kindling")}
            cluster.kubectl.check("rollout", "restart", *rollout[2:4])
            cluster.kubectl.check(*rollout, timeout=130)
            eventually(
                lambda: (
                    not before & {pod.name for pod in serving_pods(cluster.kubectl, "kindling")}
                ),
                seconds=90,
                what="the old pod has drained and is gone",
            )
    finally:
        rest(cluster)
    assert load.answered > 0
    assert load.failed == []
