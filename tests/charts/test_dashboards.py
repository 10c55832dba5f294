"""The chart of the viewer of dashboards."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from manifests import pod

from kindling.dashboards import load_all
from kindling.errors import KindlingError

CHART = "dashboards"
Render = Callable[..., dict[str, Any]]


def test_it_reads_the_prometheus_that_is_named(render: Render) -> None:
    manifests = render(prometheus={"host": "p.other", "port": 9, "scrapeInterval": "5s"})
    (container,) = pod(manifests)["containers"]
    assert {"--prometheus=http://p.other:9", "--scrape-interval=5s"} <= set(container["args"])
    _, prometheus = manifests["NetworkPolicy"]["spec"]["egress"]
    assert prometheus == {"ports": [{"port": 9, "protocol": "TCP"}]}


def test_every_dashboard_and_their_index_are_where_the_program_looks(render: Render) -> None:
    manifests = render()
    data = manifests["ConfigMap"]["data"]
    assert sum(len(text.encode()) for text in data.values()) < 2**20
    uids = [dashboard.uid for dashboard in load_all()]
    assert [one["uid"] for one in json.loads(data["index.json"])] == uids
    assert set(data) == {"index.json", *(f"{uid}.json" for uid in uids)}
    (container,) = pod(manifests)["containers"]
    (folder,) = (m["mountPath"] for m in container["volumeMounts"] if m["name"] == "dashboards")
    assert f"--dashboards={folder}" in container["args"]
    (volume,) = pod(manifests)["volumes"]
    assert volume["configMap"]["name"] == manifests["ConfigMap"]["metadata"]["name"]


def test_a_fixed_port_of_the_nodes_is_possible(render: Render) -> None:
    service = render(service={"type": "NodePort", "nodePort": 30300})["Service"]["spec"]
    assert service["ports"][0]["nodePort"] == 30300


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"service": {"nodePort": 30300}}, "nodePort has no effect with service.type ClusterIP"),
        (
            {"networkPolicy": {"enabled": False, "ingressFrom": [{}]}},
            "no effect while networkPolicy.enabled is false",
        ),
        ({"prometheus": {"host": "http://p"}}, "host"),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    render: Render, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(KindlingError, match=message):
        render(**values)


def test_the_container_is_confined(render: Render) -> None:
    manifests = render()
    (container,) = pod(manifests)["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod(manifests)["securityContext"]["runAsNonRoot"] is True
    assert pod(manifests)["automountServiceAccountToken"] is False
