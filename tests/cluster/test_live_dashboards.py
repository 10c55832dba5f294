"""Dashboards and rules against the cluster's Prometheus: what they ask for is really there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from cluster_load import Load
from conftest import Cluster

from kindling import cluster as clusters
from kindling.dashboards import queries
from kindling.dashboards.live import rules, unknown_metrics, without_data
from kindling.prometheus import Prometheus

# Windows of rates are a minute; the first scrapes of a pod come some seconds after its start.
_FILL = 75

# What a healthy cluster need not have, and when it has it.
_AT_TIMES = {
    "kube_pod_container_status_waiting_reason": "a container waits",
    "kube_pod_container_status_last_terminated_reason": "a container has ended",
    "kubelet_volume_stats_available_bytes": "a volume is more than a folder of its node",
    "kubelet_volume_stats_capacity_bytes": "the same",
    "kubelet_volume_stats_used_bytes": "the same",
    "kubelet_volume_stats_inodes": "the same",
    "kubelet_volume_stats_inodes_free": "the same",
}


@pytest.fixture(scope="module")
def prometheus(cluster: Cluster) -> Prometheus:
    return Prometheus(f"http://127.0.0.1:{clusters.known(cluster.name)['ports']['prometheus']}")


@pytest.fixture(scope="module")
def loaded(cluster: Cluster, holdout: dict[str, object]) -> Iterator[None]:
    """A service that has been asked for longer than a window lasts, and still is."""
    body = json.dumps(holdout["request"]).encode()
    with Load(cluster.url, body, threads=2, seconds=300, pause=0.2):
        time.sleep(_FILL)
        yield


@pytest.mark.usefixtures("loaded")
def test_every_query_has_data_under_load(prometheus: Prometheus) -> None:
    wrong = without_data(prometheus, queries())
    assert not wrong, "\n".join(wrong)


def test_every_metric_that_a_dashboard_or_a_rule_reads_is_exported_or_recorded(
    prometheus: Prometheus,
) -> None:
    found = rules()
    expressions = [asked.promql for asked in queries()] + [str(rule["expr"]) for rule in found]
    recorded = [rule["record"] for rule in found if "record" in rule]
    assert not unknown_metrics(prometheus, expressions, known=[*recorded, *_AT_TIMES])
