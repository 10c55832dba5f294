from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling import charts
from kindling.errors import KindlingError

Template = Callable[..., list[dict[str, Any]]]

EVERY = [pytest.param(chart, id=chart.name) for chart in charts.all_charts()]

# Values whose change shows only with others, or must have a certain form: what to set.
CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "serving": {
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
        "image.pullSecrets": {"image": {"pullSecrets": ["s"]}},
        **{
            f"autoscaling.behavior.{way}.{key}": {"autoscaling": {"behavior": {way: {key: value}}}}
            for way in ("scaleUp", "scaleDown")
            for key, value in {
                "policies": [{"type": "Pods", "value": 1, "periodSeconds": 30}],
                "selectPolicy": "Min",
            }.items()
        },
        "autoscaling.extraMetrics": {"autoscaling": {"extraMetrics": [{"type": "Pods"}]}},
        "service.type": {"service": {"type": "ClusterIP"}},
        "service.nodePort": {"service": {"nodePort": 30080}},
        "service.loadBalancerSourceRanges": {
            "service": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}
        },
        "models": {"models": ["other"]},
        "registry.uri": {"registry": {"uri": "https://elsewhere"}},
        "registry.alias": {"registry": {"alias": "challenger"}},
        "registry.fallbackAlias": {"registry": {"fallbackAlias": "stable"}},
        "registry.others": {"registry": {"others": 10}},
        "tracing.enabled": {"tracing": {"enabled": False}},
        "tracing.endpoint": {"tracing": {"endpoint": "http://collector:4318/v1/traces"}},
        "tracing.sampleRatio": {"tracing": {"sampleRatio": 1}},
        "tracing.experiment": {"tracing": {"experiment": "other"}},
        "feedback.secretName": {"feedback": {"secretName": ""}},
        "feedback.key": {"feedback": {"key": "other"}},
        "feedback.tokenKey": {"feedback": {"tokenKey": "token"}},
        **{
            f"upstream.{key}": {
                "upstream": {"url": "https://api.example.com/v1", key: value},
                "networkPolicy": {"extraEgress": [{}]},
            }
            for key, value in {
                "url": "https://api.example.com/v1",
                "name": "gpt",
                "model": "large",
                "secretName": "other",
                "secretKey": "other",
                "egress": [{"cidr": "10.0.0.0/8", "port": 443}],
            }.items()
        },
        "upstream.urlKey": {"upstream": {"urlKey": "url"}, "networkPolicy": {"extraEgress": [{}]}},
        "env": {"env": {"A": "b"}},
        "secretEnv": {"secretEnv": {"A": {"secretName": "s", "key": "k"}}},
        "modelCacheSizeLimit": {"modelCacheSizeLimit": "1Gi"},
        "tmpSizeLimit": {"tmpSizeLimit": "2Gi"},
        "affinity": {"affinity": {"nodeAffinity": {}}},
        "networkPolicy.ingressFrom": {"networkPolicy": {"ingressFrom": [{"podSelector": {}}]}},
        "networkPolicy.metricsFrom": {
            "networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}]}
        },
        "networkPolicy.extraEgress": {"networkPolicy": {"extraEgress": [{}]}},
    },
    "mlflow": {
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
        "auth.defaultPermission": {"auth": {"defaultPermission": "EDIT"}},
        "allowedHosts": {"allowedHosts": ["models.example.com"]},
        "corsAllowedOrigins": {"corsAllowedOrigins": ["https://example.com"]},
        "service.type": {"service": {"type": "NodePort"}},
        "service.nodePort": {"service": {"type": "NodePort", "nodePort": 30500}},
        "storage.size": {"storage": {"size": "1Gi"}},
        "networkPolicy.metricsFrom": {"networkPolicy": {"metricsFrom": [{"podSelector": {}}]}},
        "networkPolicy.ingressFrom": {"networkPolicy": {"ingressFrom": [{"podSelector": {}}]}},
    },
    "postgresql": {
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
        "auth.database": {"auth": {"database": "other"}},
        "auth.username": {"auth": {"username": "other"}},
        "exporter.username": {"exporter": {"username": "other"}},
        "exporter.image.pullPolicy": {"exporter": {"image": {"pullPolicy": "Never"}}},
        "networkPolicy.metricsFrom": {"networkPolicy": {"metricsFrom": [{"podSelector": {}}]}},
        "parameters": {"parameters": {"max_connections": "200"}},
        "storage.size": {"storage": {"size": "1Gi"}},
        "networkPolicy.enabled": {
            "networkPolicy": {
                "enabled": False,
                "ingressFrom": [
                    {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "mlflow"}}}
                ],
            }
        },
        "networkPolicy.ingressFrom": {"networkPolicy": {"ingressFrom": [{"podSelector": {}}]}},
    },
    "prometheus": {
        "externalUrl": {"externalUrl": "http://a:1"},
        "alertmanager.externalUrl": {"alertmanager": {"externalUrl": "http://a:1"}},
        "scrape.honorLabels": {"scrape": {"honorLabels": [{"namespace": "a", "name": "b"}]}},
        "rules.runbooks": {"rules": {"runbooks": {"A.md": "a"}}},
        "mode": {"mode": "operator"},
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
        "scrape.namespaces": {"scrape": {"namespaces": ["one"]}},
        "retention.size": {"retention": {"size": "1GB"}},
        "rules.overrides": {"rules": {"overrides": {"monitoring.yml": "groups: []"}}},
        "service.type": {"service": {"type": "NodePort"}},
        "service.nodePort": {"service": {"type": "NodePort", "nodePort": 30900}},
        "alertmanager.image.tag": {"alertmanager": {"image": {"tag": "v2"}}},
        "alertmanager.webhookUrls": {"alertmanager": {"webhookUrls": ["https://a.example/b"]}},
        "alertmanager.service.type": {"alertmanager": {"service": {"type": "NodePort"}}},
        "alertmanager.service.nodePort": {
            "alertmanager": {"service": {"type": "NodePort", "nodePort": 30930}}
        },
        "receiver.enabled": {
            "receiver": {"enabled": False},
            "alertmanager": {"configSecret": "other"},
        },
        "receiver.image.tag": {"receiver": {"image": {"tag": "v2"}}},
        "networkPolicy.ingressFrom": {"networkPolicy": {"ingressFrom": [{"podSelector": {}}]}},
    },
    "grafana": {
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
        "prometheus.scrapeInterval": {"prometheus": {"scrapeInterval": "5s"}},
        "rootUrl": {"rootUrl": "https://grafana.example.com"},
        "service.type": {"service": {"type": "NodePort"}},
        "service.nodePort": {"service": {"type": "NodePort", "nodePort": 30300}},
        "storage.size": {"storage": {"size": "1Gi"}},
        "storage.className": {"storage": {"size": "1Gi", "className": "fast"}},
        "networkPolicy.ingressFrom": {"networkPolicy": {"ingressFrom": [{"podSelector": {}}]}},
    },
    "dashboards": {
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
        "prometheus.scrapeInterval": {"prometheus": {"scrapeInterval": "5s"}},
        "service.type": {"service": {"type": "NodePort"}},
        "service.nodePort": {"service": {"type": "NodePort", "nodePort": 30300}},
        "networkPolicy.ingressFrom": {"networkPolicy": {"ingressFrom": [{"podSelector": {}}]}},
    },
    "metrics-server": {
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
    },
    "prometheus-adapter": {
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
        "prometheusUrl": {"prometheusUrl": "https://elsewhere"},
        "podGauges": {"podGauges": ["queue_length"]},
    },
    "drift": {
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
        "registry.uri": {"registry": {"uri": "https://elsewhere"}},
        "networkPolicy.ingressFrom": {"networkPolicy": {"ingressFrom": [{"podSelector": {}}]}},
    },
    "load-generator": {
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
    },
    "kube-state-metrics": {
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
        "collectors": {"collectors": ["pods"]},
        "networkPolicy.ingressFrom": {"networkPolicy": {"ingressFrom": [{"podSelector": {}}]}},
    },
    "node-exporter": {
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
        "collectors": {"collectors": ["filesystem"]},
        "tolerations": {"tolerations": []},
        "networkPolicy.ingressFrom": {"networkPolicy": {"ingressFrom": [{"podSelector": {}}]}},
    },
    "gpu-device-plugin": {
        "image.tag": {"image": {"tag": "v2"}},
        "image.pullPolicy": {"image": {"pullPolicy": "Never"}},
        "networkPolicy.ingressFrom": {"networkPolicy": {"ingressFrom": [{"podSelector": {}}]}},
    },
}


CLUSTER_SCOPED = {
    "ClusterRole", "ClusterRoleBinding", "APIService", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}  # fmt: skip


def leaves(
    values: dict[str, Any], above: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for key, value in values.items():
        path = (*above, key)
        found += leaves(value, path) if isinstance(value, dict) and value else [(path, value)]
    return found


def another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return f"9{value[1:]}"
    return {"key": "value"} if isinstance(value, dict) else [{"operator": "Exists"}]


def nested(path: tuple[str, ...], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def without_empty(values: dict[str, Any]) -> dict[str, Any]:
    inner = {
        key: without_empty(value) if isinstance(value, dict) else value
        for key, value in values.items()
    }
    return {key: value for key, value in inner.items() if value != {}}


def defaults(chart: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((chart / "values.yaml").read_text())
    return values


def schema(chart: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((chart / "values.schema.json").read_text())
    return read


@pytest.mark.parametrize("chart", EVERY)
def test_it_passes_lint_and_kubernetes_schemas_with_its_defaults(
    helm: Path, template: Template, chart: Path
) -> None:
    charts.lint(helm, chart)
    charts.validate(template(chart))


@pytest.mark.parametrize("chart", EVERY)
def test_every_value_has_an_effect(template: Template, chart: Path) -> None:
    changes = CHANGES.get(chart.name, {})
    paths = leaves(defaults(chart))
    assert set(changes) <= {".".join(path) for path, _ in paths}
    for path, value in paths:
        change = changes.get(".".join(path)) or nested(path, another(value))
        before = copy.deepcopy(change)
        parent = before
        for key in path[:-1]:
            parent = parent[key]
        del parent[path[-1]]
        # Helm merges tables: what is left without anything in it changes nothing.
        assert template(chart, change) != template(chart, without_empty(before)), path


@pytest.mark.parametrize("chart", EVERY)
def test_an_unknown_value_is_refused_at_every_level(helm: Path, chart: Path) -> None:
    tables = {path[:depth] for path, _ in leaves(defaults(chart)) for depth in range(len(path))}
    # Names of node labels are the user's.
    for table in tables - {("nodeSelector",)}:
        with pytest.raises(KindlingError, match="additional properties 'surprise' not allowed"):
            charts.render(helm, chart, nested((*table, "surprise"), "x"))


@pytest.mark.parametrize("chart", EVERY)
def test_every_value_of_the_schema_has_a_default_that_is_documented(chart: Path) -> None:
    def compare(described: dict[str, Any], values: dict[str, Any], where: str) -> None:
        described = {**_resolve(chart, described), **described}
        if "properties" not in described:
            return
        assert described["additionalProperties"] is False, where
        if where.endswith(("requests", "limits", "behavior", "affinity")):
            return
        assert described["properties"].keys() == values.keys(), where
        required = {key for key, value in values.items() if value is not None}
        assert set(described["required"]) == required, where
        for key, inner in described["properties"].items():
            if isinstance(values[key], dict):
                compare(inner, values[key], f"{where}.{key}")

    compare(schema(chart), defaults(chart), chart.name)
    assert charts.documented_values(chart / "values.yaml")


def _resolve(chart: Path, described: dict[str, Any]) -> dict[str, Any]:
    name = described.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = schema(chart)["$defs"][name] if name else {}
    return found


@pytest.mark.parametrize("chart", EVERY)
def test_its_readme_matches_its_values(chart: Path) -> None:
    written = (chart / "README.md").read_text()
    assert written == charts.readme(chart), "run: python -m kindling.charts readme"


@pytest.mark.parametrize("chart", EVERY)
def test_everything_it_makes_is_labelled_as_ours(template: Template, chart: Path) -> None:
    for manifest in template(chart, release="other"):
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "kindling"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/name"] == chart.name
        assert labels["app.kubernetes.io/instance"] == "other"
        template = manifest["spec"].get("template") if "spec" in manifest else None
        if template:
            selected = manifest["spec"]["selector"]["matchLabels"]
            assert selected.items() <= template["metadata"]["labels"].items()
            assert template["metadata"]["labels"]["app.kubernetes.io/part-of"] == "kindling"


@pytest.mark.parametrize("chart", EVERY)
def test_no_command_says_two_dollars(template: Template, chart: Path) -> None:
    """Kubernetes makes one of them, so that a shell reads a variable in place of a character."""
    words = [word for one in template(chart) for word in commands(one)]
    assert not [word for word in words if "$$" in word]


def commands(node: Any) -> list[str]:
    """The words of the commands of all containers in ``node``."""
    if isinstance(node, list):
        return [word for item in node for word in commands(item)]
    if not isinstance(node, dict):
        return []
    own = [word for key in ("command", "args") for word in node.get(key) or [] if "image" in node]
    return own + [word for value in node.values() for word in commands(value)]


@pytest.mark.parametrize("chart", EVERY)
def test_it_is_named_after_its_release(template: Template, chart: Path) -> None:
    def account(release: str) -> str:
        manifests = template(chart, release=release)
        (name,) = (m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount")
        return str(name)

    assert account(chart.name) == chart.name
    assert account("other") == f"other-{chart.name}"


@pytest.mark.parametrize("chart", EVERY)
def test_all_that_has_a_namespace_is_in_the_releases(template: Template, chart: Path) -> None:
    for manifest in template(chart, namespace="elsewhere"):
        name = manifest["metadata"]["name"]
        if manifest["kind"] in CLUSTER_SCOPED:
            assert "namespace" not in manifest["metadata"], name
        elif name not in {"metrics-server-auth-reader", "prometheus-adapter-auth-reader"}:
            assert manifest["metadata"]["namespace"] == "elsewhere", name
