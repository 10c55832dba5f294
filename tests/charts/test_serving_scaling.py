from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kindling.errors import KindlingError

CHART = "serving"
Render = Callable[..., dict[str, Any]]


def test_two_to_ten_pods_at_70_percent_cpu_or_8_requests_each_by_default(render: Render) -> None:
    manifests = render()
    scaling = manifests["HorizontalPodAutoscaler"]
    assert scaling["apiVersion"] == "autoscaling/v2"
    assert scaling["spec"] == {
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": manifests["Deployment"]["metadata"]["name"],
        },
        "minReplicas": 2,
        "maxReplicas": 10,
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 70},
                },
            },
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "http_requests_in_flight"},
                    "target": {"type": "AverageValue", "averageValue": "8"},
                },
            },
        ],
        "behavior": {
            "scaleUp": {
                "stabilizationWindowSeconds": 0,
                "policies": [
                    {"type": "Percent", "value": 100, "periodSeconds": 15},
                    {"type": "Pods", "value": 4, "periodSeconds": 15},
                ],
                "selectPolicy": "Max",
            },
            "scaleDown": {
                "stabilizationWindowSeconds": 300,
                "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
                "selectPolicy": "Max",
            },
        },
    }


def test_the_pace_of_scaling_can_be_set(render: Render) -> None:
    plain = render()["HorizontalPodAutoscaler"]["spec"]["behavior"]
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 15}}
    scaling = render(autoscaling={"behavior": behavior})["HorizontalPodAutoscaler"]
    assert scaling["spec"]["behavior"] == {
        "scaleUp": plain["scaleUp"],
        "scaleDown": {**plain["scaleDown"], **behavior["scaleDown"]},
    }


def test_a_pace_that_kubernetes_does_not_know_is_refused(render: Render) -> None:
    for wrong in ({"selectPolicy": "Most"}, {"policies": [{"type": "Pods", "value": 4}]}, {"a": 1}):
        with pytest.raises(KindlingError, match=r"autoscaling.*scaleUp"):
            render(autoscaling={"behavior": {"scaleUp": wrong}})


def test_without_a_target_of_requests_in_flight_cpu_alone_counts(render: Render) -> None:
    scaling = render(autoscaling={"targetInFlightRequests": 0})["HorizontalPodAutoscaler"]
    assert [each["type"] for each in scaling["spec"]["metrics"]] == ["Resource"]


def test_the_gauge_of_requests_in_flight_is_one_that_the_service_exports() -> None:
    from service.metrics import Metrics

    assert "http_requests_in_flight" in {family.name for family in Metrics().registry.collect()}


def test_pods_ask_to_be_scraped_as_often_as_told(render: Render) -> None:
    def asked(**values: Any) -> Any:
        template = render(**values)["Deployment"]["spec"]["template"]
        return template["metadata"]["annotations"].get("kindling.dev/scrape-interval")

    assert asked() == "5s"
    assert asked(scrapeInterval="2s") == "2s"
    assert asked(scrapeInterval="") is None
    with pytest.raises(KindlingError, match="scrapeInterval"):
        render(scrapeInterval="500ms")


def test_other_metrics_stand_beside_cpu(render: Render) -> None:
    metric = {
        "type": "Pods",
        "pods": {
            "metric": {"name": "requests_in_flight"},
            "target": {"type": "AverageValue", "averageValue": "4"},
        },
    }
    scaling = render(autoscaling={"extraMetrics": [metric]})["HorizontalPodAutoscaler"]
    assert [each["type"] for each in scaling["spec"]["metrics"]] == ["Resource", "Pods", "Pods"]
    assert scaling["spec"]["metrics"][-1] == metric


def test_no_autoscaler_without_autoscaling(render: Render) -> None:
    assert "HorizontalPodAutoscaler" not in render(autoscaling={"enabled": False})


def test_bounds_in_the_wrong_order_are_refused(render: Render) -> None:
    with pytest.raises(KindlingError, match=r"minReplicas \(5\) is above .*maxReplicas \(4\)"):
        render(autoscaling={"minReplicas": 5, "maxReplicas": 4})


def test_equal_bounds_are_accepted(render: Render) -> None:
    scaling = render(autoscaling={"minReplicas": 3, "maxReplicas": 3})["HorizontalPodAutoscaler"]
    assert scaling["spec"]["minReplicas"] == scaling["spec"]["maxReplicas"] == 3


@pytest.mark.parametrize("count", [1, 11])
def test_a_replica_count_outside_the_bounds_is_refused(render: Render, count: int) -> None:
    with pytest.raises(KindlingError, match=rf"replicaCount \({count}\) is outside .* 2 to 10"):
        render(replicaCount=count)


@pytest.mark.parametrize(
    "unused",
    [
        {"minReplicas": 1},
        {"maxReplicas": 11},
        {"targetCPUUtilizationPercentage": 60},
        {"targetInFlightRequests": 0},
        {"behavior": {"scaleUp": {"selectPolicy": "Min"}}},
        {"extraMetrics": [{"type": "x"}]},
    ],
    ids=lambda unused: next(iter(unused)),
)
def test_settings_of_an_absent_autoscaler_are_refused(
    render: Render, unused: dict[str, object]
) -> None:
    (name,) = unused
    message = rf"autoscaling\.{name} has no effect while autoscaling\.enabled is false"
    with pytest.raises(KindlingError, match=message):
        render(autoscaling={"enabled": False, **unused})


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"autoscaling": {"enabled": False}},
        {"autoscaling": {"minReplicas": 1, "maxReplicas": 4}},
        {"autoscaling": {"enabled": False}, "replicaCount": 2},
    ],
)
def test_a_drain_stops_one_pod_at_a_time_where_there_can_be_several(
    render: Render, values: dict[str, object]
) -> None:
    manifests = render(**values)
    budget = manifests["PodDisruptionBudget"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == manifests["Deployment"]["spec"]["selector"]


@pytest.mark.parametrize(
    "scaling", [{"enabled": False}, {"minReplicas": 1, "maxReplicas": 1}], ids=["off", "one"]
)
def test_what_can_only_be_one_pod_has_no_budget(render: Render, scaling: dict[str, object]) -> None:
    assert "PodDisruptionBudget" not in render(replicaCount=1, autoscaling=scaling)


@pytest.mark.parametrize(
    "scaling", [{"enabled": False}, {"minReplicas": 1, "maxReplicas": 1}], ids=["off", "one"]
)
@pytest.mark.parametrize("allowed", [2, "50%"])
def test_the_size_of_an_absent_budget_is_refused(
    render: Render, scaling: dict[str, object], allowed: int | str
) -> None:
    with pytest.raises(KindlingError, match=r"maxUnavailable has no effect where .* one pod"):
        render(replicaCount=1, autoscaling=scaling, podDisruptionBudget={"maxUnavailable": allowed})


@pytest.mark.parametrize("refused", [0, "0%", "100%", "two"])
def test_a_budget_that_blocks_or_allows_everything_is_refused(
    render: Render, refused: int | str
) -> None:
    with pytest.raises(KindlingError, match="maxUnavailable"):
        render(podDisruptionBudget={"maxUnavailable": refused})
