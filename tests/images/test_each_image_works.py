"""Each image has a test of a cluster in which its program does its real work inside that image."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kindling import paths
from kindling.supply.containers import IMAGES

CLUSTER = paths.REPOSITORY / "tests" / "cluster"
# By file and test, the images whose work it needs.
WORK: dict[str, dict[str, tuple[str, ...]]] = {
    "test_alerts.py": {
        "test_shifted_inputs_fire_model_drift": (
            "drift",
        ),
    },
    "test_autoscaling_signals.py": {
        "test_requests_that_wait_bring_more_pods_than_their_cpu_would": (
            "kube-controller-manager",
        ),
        "test_the_autoscaler_sees_both_signals_and_their_targets": (
            "metrics-server",
        ),
        "test_the_custom_metrics_api_has_the_gauge_of_each_serving_pod": (
            "prometheus-adapter",
        ),
    },
    "test_gpu.py": {
        "test_pods_get_distinct_gpus_on_the_gpu_node_and_one_too_many_stays_pending": (
            "gpu-device-plugin", "kube-scheduler",
        ),
    },
    "test_images_work.py": {
        "test_the_viewer_serves_its_page_its_dashboards_and_their_data": (
            "dashboards",
        ),
        "test_a_volume_is_made_written_and_removed": (
            "local-path-helper", "local-path-provisioner",
        ),
        "test_the_database_makes_text_lower_case_and_sorts_it": (
            "postgres",
        ),
        "test_promtool_accepts_the_rules_that_its_prometheus_runs": (
            "prometheus",
        ),
        "test_the_service_runs_a_graph_that_makes_text_lower_case": (
            "service",
        ),
    },
    "test_import_model.py": {
        "test_a_model_becomes_a_version_that_says_the_same": (
            "importer",
        ),
    },
    "test_lifecycle.py": {
        "test_stopped_nodes_are_started_again": (
            "node",
        ),
    },
    "test_live_dashboards.py": {
        "test_every_metric_that_a_dashboard_or_a_rule_reads_is_exported_or_recorded": (
            "kube-state-metrics", "node-exporter", "postgres-exporter",
        ),
    },
    "test_loadtest.py": {
        "test_it_passes_scales_and_fires_an_alert": (
            "alert-receiver", "alertmanager",
        ),
        "test_pods_of_the_cluster_send_the_load_and_are_gone_then": (
            "load-generator",
        ),
    },
    "test_network.py": {
        "test_names_of_services_and_of_the_world_outside_resolve": (
            "coredns", "kube-proxy",
        ),
        "test_pods_on_every_pair_of_nodes_reach_each_other": (
            "kindnetd", "pause",
        ),
    },
    "test_registry_data.py": {
        "test_a_backup_is_restored_into_an_empty_registry": (
            "mlflow",
        ),
    },
    "test_releases.py": {
        "test_installed_unchanged_changed_and_removed": (
            "etcd", "kube-apiserver",
        ),
    },
}  # fmt: skip
# What others are built on: their programs run in those.
BASES = {"kubernetes", "node-base", "python"}


def test_each_image_has_one() -> None:
    folders = {file.parent.name for file in IMAGES.glob("*/Dockerfile")} | {"service"}
    named = [image for tests in WORK.values() for images in tests.values() for image in images]
    assert sorted(named) == sorted(folders - BASES)


@pytest.mark.parametrize(("file", "test"), [(file, test) for file in WORK for test in WORK[file]])
def test_it_is_there(file: str, test: str) -> None:
    assert re.search(rf"^def {test}\(", Path(CLUSTER, file).read_text(), re.MULTILINE)
