"""Objects of the API server as fields of moments."""

from __future__ import annotations

import cluster_objects as made

from loadtests.observers import objects


def test_a_ready_pod() -> None:
    name, fields = objects.pod(made.pod(restarts=2), "cpu")
    assert name == "serving-a"
    assert fields == {
        "phase": "Running", "ready": True, "ready_at": 1767225605.0, "created": 1767225600.0,
        "node": "n1", "pool": "cpu", "restarts": 2, "deleting": False, "gone": False, "reason": "",
        "requests": {"cpu": 0.1, "nvidia.com/gpu": 0.0},
    }  # fmt: skip


def test_a_pod_that_fits_nowhere_says_why() -> None:
    _, fields = objects.pod(made.pod(node="", ready=False), "")
    assert (fields["ready"], fields["ready_at"], fields["node"]) == (False, None, "")
    assert fields["reason"] == "Unschedulable: 0/3 nodes are available: 3 Insufficient cpu."


def test_a_pod_that_was_restarted_says_why() -> None:
    item = made.pod(restarts=1)
    last = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    item["status"]["containerStatuses"][0]["lastState"] = last
    assert objects.pod(item, "cpu")[1]["reason"] == "restarted after OOMKilled (exit code 137)"


def test_a_pod_on_its_way_out() -> None:
    item = made.pod()
    item["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    assert objects.pod(item, "cpu")[1]["deleting"] is True


def test_an_autoscaler_with_two_kinds_of_metrics() -> None:
    name, fields = objects.autoscaler(made.autoscaler(desired=3))
    assert name == "serving"
    assert fields == {
        "current": 1, "desired": 3, "minimum": 1, "maximum": 4,
        "metrics": [
            {"name": "cpu", "value": 40.0, "target": 70.0},
            {"name": "in_flight", "value": 1.5, "target": 4.0},
        ],
        "conditions": {"ScalingActive": "True"},
    }  # fmt: skip


def test_an_autoscaler_that_has_seen_nothing_yet() -> None:
    item = made.autoscaler()
    # What the controller leaves where a metric cannot be had.
    item["status"] = {"currentMetrics": [{"type": ""}], "desiredReplicas": 0}
    _, fields = objects.autoscaler(item)
    assert [one["value"] for one in fields["metrics"]] == [None, None]


def test_a_deployment_without_ready_pods_has_none() -> None:
    item = made.deployment(2)
    del item["status"]["readyReplicas"]
    assert objects.deployment(item)[1]["ready"] == 0


def test_an_event_counts_itself_or_its_series() -> None:
    assert objects.event(made.event("e", "SuccessfulRescale"))[1]["count"] == 1
    series = made.event("e", "FailedScheduling") | {"count": None, "series": {"count": 5}}
    assert objects.event(series)[1]["count"] == 5
