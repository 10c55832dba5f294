from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from manifests import assert_confined, container, pod

from kindling import paths
from kindling.errors import KindlingError
from service.settings import Settings

CHART = "serving"
Render = Callable[..., dict[str, Any]]


def test_three_pods_run_without_autoscaling(render: Render) -> None:
    assert render(autoscaling={"enabled": False})["Deployment"]["spec"]["replicas"] == 3


def test_production_resources_are_the_default(render: Render) -> None:
    assert container(render())["resources"] == {
        "requests": {"cpu": "500m", "memory": "512Mi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }


def test_a_rollout_never_takes_a_ready_pod_away(render: Render) -> None:
    strategy = render()["Deployment"]["spec"]["strategy"]
    assert strategy["type"] == "RollingUpdate"
    assert strategy["rollingUpdate"]["maxUnavailable"] == 0
    assert strategy["rollingUpdate"]["maxSurge"] == 1


@pytest.mark.parametrize(
    ("probe", "path"),
    [("startupProbe", "/health"), ("livenessProbe", "/health"), ("readinessProbe", "/ready")],
)
def test_each_probe_asks_its_own_path(render: Render, probe: str, path: str) -> None:
    assert container(render())[probe]["httpGet"] == {"path": path, "port": "http"}


def test_a_probe_keeps_its_other_numbers_when_one_is_set(render: Render) -> None:
    probe = container(render(probes={"startup": {"failureThreshold": 7}}))["startupProbe"]
    assert (probe["failureThreshold"], probe["periodSeconds"]) == (7, 1)


def test_the_container_listens_on_8000_and_takes_no_arguments(render: Render) -> None:
    shown = container(render())
    assert [port["containerPort"] for port in shown["ports"]] == [8000, 8001]
    assert "args" not in shown
    assert "command" not in shown


def test_pods_meet_the_restricted_pod_security_standard(render: Render) -> None:
    manifests = render()
    assert_confined(manifests)


def test_only_tmp_and_the_models_are_writable_and_both_are_bounded(render: Render) -> None:
    manifests = render(tmpSizeLimit="300Mi", modelCacheSizeLimit="3Gi")
    assert container(manifests)["securityContext"]["readOnlyRootFilesystem"] is True
    assert container(manifests)["volumeMounts"] == [
        {"name": "models", "mountPath": str(Settings().cache_dir)},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    assert pod(manifests)["volumes"] == [
        {"name": "models", "emptyDir": {"sizeLimit": "3Gi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "300Mi"}},
    ]


def test_models_and_registry_reach_the_service_under_names_that_it_knows(render: Render) -> None:
    registry = {"alias": "challenger", "others": 3}
    given = container(render(models=["a", "b"], registry=registry))["env"]
    by_name = {one["name"]: one for one in given}
    assert by_name["KINDLING_SERVICE_MODELS"]["value"] == "a,b"
    assert by_name["KINDLING_SERVICE_MODEL_ALIAS"]["value"] == "challenger"
    assert by_name["KINDLING_SERVICE_OTHERS"]["value"] == "3"
    password = by_name["KINDLING_SERVICE_REGISTRY_PASSWORD"]
    assert password["valueFrom"]["secretKeyRef"] == {"name": "mlflow", "key": "reader-password"}
    prefix = "KINDLING_SERVICE_"
    assert {name.removeprefix(prefix).lower() for name in by_name} <= Settings.model_fields.keys()


def variables(manifests: dict[str, Any]) -> dict[str, Any]:
    return {
        one["name"].removeprefix("KINDLING_SERVICE_"): one for one in container(manifests)["env"]
    }


def test_traces_go_to_the_registrys_mlflow_unless_told_otherwise(render: Render) -> None:
    given = variables(render(registry={"uri": "https://models.example.com/mlflow/"}))
    assert given["OTLP_ENDPOINT"]["value"] == "https://models.example.com/mlflow/v1/traces"
    assert given["TRACE_SAMPLE_RATIO"]["value"] == "0.05"
    assert given["TRACE_EXPERIMENT"]["value"] == "traces"
    elsewhere = {"endpoint": "http://collector:4318/v1/traces"}
    given = variables(render(tracing=elsewhere))
    assert given["OTLP_ENDPOINT"]["value"] == elsewhere["endpoint"]
    assert "OTLP_ENDPOINT" not in variables(render(tracing={"enabled": False}))


@pytest.mark.parametrize(
    "tracing",
    [
        {"enabled": False, "sampleRatio": 0.5},
        {"enabled": False, "endpoint": "http://collector:4318/v1/traces"},
        {"enabled": False, "experiment": "other"},
        {"endpoint": "http://collector:4318/v1/traces", "experiment": "other"},
    ],
)
def test_values_of_traces_that_have_no_effect_are_refused(
    render: Render, tracing: dict[str, Any]
) -> None:
    with pytest.raises(KindlingError, match=r"tracing\.\w+ has no effect"):
        render(tracing=tracing)


def test_all_pods_sign_with_the_same_key_or_none(render: Render) -> None:
    key = variables(render())["FEEDBACK_KEY"]["valueFrom"]["secretKeyRef"]
    assert key == {"name": "serving", "key": "feedback-key"}
    assert "FEEDBACK_KEY" not in variables(render(feedback={"secretName": ""}))
    with pytest.raises(KindlingError, match=r"feedback\.key has no effect"):
        render(feedback={"secretName": "", "key": "other"})


def test_labels_can_need_a_token(render: Render) -> None:
    assert "FEEDBACK_TOKEN" not in variables(render())
    token = variables(render(feedback={"tokenKey": "token"}))["FEEDBACK_TOKEN"]["valueFrom"]
    assert token["secretKeyRef"] == {"name": "serving", "key": "token"}
    with pytest.raises(KindlingError, match=r"feedback\.tokenKey has no effect"):
        render(feedback={"secretName": "", "tokenKey": "token"})


def test_what_observes_the_service_has_a_port_of_its_own(render: Render) -> None:
    assert variables(render())["METRICS_PORT"]["value"] == "8001"


def test_pods_hold_no_cluster_credentials(render: Render) -> None:
    manifests = render()
    assert pod(manifests)["automountServiceAccountToken"] is False
    assert manifests["ServiceAccount"]["automountServiceAccountToken"] is False
    assert pod(manifests)["serviceAccountName"] == manifests["ServiceAccount"]["metadata"]["name"]


def test_pods_get_no_variables_made_from_service_names(render: Render) -> None:
    assert pod(render())["enableServiceLinks"] is False


def test_pods_spread_over_nodes_but_are_never_kept_pending_for_it(render: Render) -> None:
    manifests = render()
    (spread,) = pod(manifests)["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


def test_prometheus_is_told_where_the_metrics_are(render: Render) -> None:
    annotations = render(podAnnotations={"team": "a"})["Deployment"]["spec"]["template"][
        "metadata"
    ]["annotations"]
    assert annotations == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8001",
        "prometheus.io/path": "/metrics",
        "kindling.dev/scrape-interval": "5s",
        "team": "a",
    }


def test_plain_variables_keep_their_text_and_secrets_are_only_named(render: Render) -> None:
    manifests = render(
        env={"KINDLING_SERVICE_MODEL": "iris", "KINDLING_SERVICE_WORKERS": "1000000"},
        secretEnv={"KINDLING_SERVICE_TOKEN": {"secretName": "tokens", "key": "serving"}},
    )
    own = len(container(render())["env"])
    assert container(manifests)["env"][own:] == [
        {"name": "KINDLING_SERVICE_MODEL", "value": "iris"},
        {"name": "KINDLING_SERVICE_WORKERS", "value": "1000000"},
        {
            "name": "KINDLING_SERVICE_TOKEN",
            "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "serving"}},
        },
    ]


def test_a_variable_cannot_be_both_plain_and_secret(render: Render) -> None:
    with pytest.raises(KindlingError, match="TWICE is in env and in secretEnv"):
        render(env={"TWICE": "a"}, secretEnv={"TWICE": {"secretName": "s", "key": "k"}})


@pytest.mark.parametrize(
    "name",
    [
        "KINDLING_SERVICE_LISTEN_PORT",
        "KINDLING_SERVICE_LISTEN_HOST",
        "KINDLING_SERVICE_MODELS",
        "KINDLING_SERVICE_REGISTRY_PASSWORD",
        "KINDLING_SERVICE_OTLP_ENDPOINT",
        "KINDLING_SERVICE_FEEDBACK_KEY",
        "KINDLING_SERVICE_UPSTREAM_KEY",
    ],
)
@pytest.mark.parametrize("where", ["env", "secretEnv"])
def test_what_the_chart_sets_cannot_be_set_beside_it(render: Render, name: str, where: str) -> None:
    value = "8001" if where == "env" else {"secretName": "s", "key": "k"}
    with pytest.raises(KindlingError, match=f"{name} may not be set"):
        render(**{where: {name: value}})


def test_a_pod_is_not_killed_before_the_service_has_drained_and_finished(render: Render) -> None:
    shortest = 30
    settings = Settings()
    assert settings.drain_seconds + settings.shutdown_seconds < shortest
    assert pod(render(terminationGracePeriodSeconds=shortest))
    with pytest.raises(KindlingError, match="terminationGracePeriodSeconds"):
        render(terminationGracePeriodSeconds=shortest - 1)


def test_annotations_of_the_chart_cannot_be_overwritten(render: Render) -> None:
    with pytest.raises(KindlingError, match=r"may not set prometheus\.io/port"):
        render(podAnnotations={"prometheus.io/port": "1"})


def test_pods_go_to_the_nodes_that_the_values_name(render: Render) -> None:
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists"}
    affinity: dict[str, Any] = {"podAntiAffinity": {}}
    shown = pod(
        render(
            nodeSelector={"kindling.dev/pool": "gpu"}, tolerations=[toleration], affinity=affinity
        )
    )
    assert shown["nodeSelector"] == {"kindling.dev/pool": "gpu"}
    assert shown["tolerations"] == [toleration]
    assert shown["affinity"] == affinity


def test_an_image_can_be_pinned_by_digest(render: Render) -> None:
    tag = "v1@sha256:" + "0" * 64
    manifests = render(image={"tag": tag, "pullSecrets": ["registry"]})
    assert container(manifests)["image"] == f"kindling/service:{tag}"
    assert pod(manifests)["imagePullSecrets"] == [{"name": "registry"}]


def test_the_local_values_fit_a_small_machine(render: Render) -> None:
    inventory = paths.REPOSITORY / "inventories" / "local" / "group_vars" / "all.yml"
    values = yaml.safe_load(inventory.read_text())["serving_values"]
    manifests = render(**values)
    assert container(manifests)["resources"] == values["resources"]
    assert manifests["Deployment"]["spec"]["replicas"] == 1
    assert manifests["Service/serving"]["spec"]["ports"][0]["nodePort"] == 30080
    scaling = manifests["HorizontalPodAutoscaler"]["spec"]
    assert (scaling["minReplicas"], scaling["maxReplicas"]) == (1, 4)
