"""Dashboards and rules against the cluster's Prometheus: what they ask for is really there."""

from __future__ import annotations

from conftest import Cluster
from loading import LoadTest

from kindling.dashboards import queries
from kindling.dashboards.live import rules, unknown_metrics, without_data

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


def test_every_query_has_data_under_load(cluster: Cluster, load_test: LoadTest) -> None:
    steady = load_test.stage("steady")
    wrong = without_data(cluster.prometheus, queries(), at=steady.end)
    assert not wrong, "\n".join(wrong)


def test_every_metric_that_a_dashboard_or_a_rule_reads_is_exported_or_recorded(
    cluster: Cluster,
) -> None:
    found = rules()
    expressions = [asked.promql for asked in queries()] + [str(rule["expr"]) for rule in found]
    recorded = [rule["record"] for rule in found if "record" in rule]
    assert not unknown_metrics(cluster.prometheus, expressions, known=[*recorded, *_AT_TIMES])
