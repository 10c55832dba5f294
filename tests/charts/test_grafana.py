from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from manifests import env, pod

from kindling.dashboards import load_all
from kindling.errors import KindlingError

CHART = "grafana"
Render = Callable[..., dict[str, Any]]


def provisioned(manifests: dict[str, Any], file: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(manifests["ConfigMap/grafana"]["data"][file])
    return content


def mounted(manifests: dict[str, Any]) -> dict[str, str]:
    return {m["mountPath"]: m["name"] for m in pod(manifests)["containers"][0]["volumeMounts"]}


def test_the_administrators_password_and_the_key_come_from_a_secret(render: Render) -> None:
    given = env(render(auth={"secretName": "s"}))
    taken = {
        name: (ref["name"], ref["key"])
        for name, one in given.items()
        if (ref := one.get("valueFrom", {}).get("secretKeyRef"))
    }
    assert taken == {
        "GF_SECURITY_ADMIN_PASSWORD": ("s", "admin-password"),
        "GF_SECURITY_SECRET_KEY": ("s", "secret-key"),
    }


def test_nobody_gets_in_without_an_account(render: Render) -> None:
    given = env(render())
    assert given["GF_AUTH_ANONYMOUS_ENABLED"]["value"] == "false"
    assert given["GF_USERS_ALLOW_SIGN_UP"]["value"] == "false"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GF_ANALYTICS_REPORTING_ENABLED", "false"),
        ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false"),
        ("GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "false"),
        ("GF_NEWS_NEWS_FEED_ENABLED", "false"),
        ("GF_SECURITY_DISABLE_GRAVATAR", "true"),
        ("GF_SNAPSHOTS_EXTERNAL_ENABLED", "false"),
        ("GF_PLUGINS_PREINSTALL_DISABLED", "true"),
        ("GF_PLUGINS_PLUGIN_ADMIN_ENABLED", "false"),
    ],
)
def test_it_asks_and_tells_other_hosts_nothing(render: Render, name: str, value: str) -> None:
    assert env(render())[name]["value"] == value


def test_the_only_data_source_is_prometheus_under_the_uid_that_dashboards_name(
    render: Render,
) -> None:
    manifests = render(prometheus={"host": "p.other", "port": 9, "scrapeInterval": "5s"})
    (source,) = provisioned(manifests, "datasources.yaml")["datasources"]
    assert source["url"] == "http://p.other:9"
    assert source["jsonData"]["timeInterval"] == "5s"
    assert source["uid"] == "prometheus"
    assert source["isDefault"]
    assert not source["editable"]
    for file, text in manifests["ConfigMap/grafana-dashboards"]["data"].items():
        for panel in json.loads(text)["panels"]:
            if panel["type"] != "row":
                assert panel["datasource"]["uid"] == source["uid"], file


def test_every_dashboard_is_where_grafana_looks_and_the_home_page_is_model_serving(
    render: Render,
) -> None:
    manifests = render()
    files = manifests["ConfigMap/grafana-dashboards"]["data"]
    assert set(files) == {f"{dashboard.uid}.json" for dashboard in load_all()}
    (provider,) = provisioned(manifests, "providers.yaml")["providers"]
    folder = provider["options"]["path"]
    volume = {one["name"]: one for one in pod(manifests)["volumes"]}[mounted(manifests)[folder]]
    assert volume["configMap"]["name"] == "grafana-dashboards"
    home = env(manifests)["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]["value"]
    assert home == f"{folder}/model-serving.json"
    assert not provider["allowUiUpdates"]


def test_the_dashboards_fit_a_config_map(render: Render) -> None:
    data = render()["ConfigMap/grafana-dashboards"]["data"]
    assert sum(len(text.encode()) for text in data.values()) < 2**20


def test_a_change_of_its_configuration_starts_it_anew(render: Render) -> None:
    def checksum(**values: Any) -> str:
        template = render(**values)["Deployment"]["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum() == checksum(service={"port": 80})
    assert checksum() != checksum(prometheus={"host": "other"})


def test_its_data_is_on_a_volume_only_where_one_is_asked_for(render: Render) -> None:
    without = render()
    assert "PersistentVolumeClaim" not in without
    (data,) = (one for one in pod(without)["volumes"] if one["name"] == "data")
    assert "emptyDir" in data
    with_one = render(storage={"size": "2Gi", "className": "fast"})
    claim = with_one["PersistentVolumeClaim"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert claim["spec"]["storageClassName"] == "fast"
    (data,) = (one for one in pod(with_one)["volumes"] if one["name"] == "data")
    assert data["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert with_one["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}


def test_only_dns_and_prometheus_are_reachable(render: Render) -> None:
    policy = render(prometheus={"port": 9091})["NetworkPolicy"]["spec"]
    dns, prometheus = policy["egress"]
    assert {one["port"] for one in dns["ports"]} == {53}
    assert prometheus == {"ports": [{"port": 9091, "protocol": "TCP"}]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"service": {"nodePort": 30300}}, "nodePort has no effect with service.type ClusterIP"),
        ({"storage": {"className": "fast"}}, "no effect while storage.size is empty"),
        ({"prometheus": {"scrapeInterval": "soon"}}, "scrapeInterval"),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    render: Render, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(KindlingError, match=message):
        render(**values)


def test_the_container_is_confined_and_writes_to_its_volumes_only(render: Render) -> None:
    manifests = render()
    (container,) = pod(manifests)["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod(manifests)["securityContext"]["runAsNonRoot"] is True
    assert pod(manifests)["automountServiceAccountToken"] is False
    assert {"/var/lib/grafana", "/tmp"} <= set(mounted(manifests))
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] == "/api/health"
