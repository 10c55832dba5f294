from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from manifests import env

from kindling.errors import KindlingError
from service.settings import Settings

CHART = "serving"
Render = Callable[..., dict[str, Any]]

URL = "https://api.example.com/v1"
EGRESS = [{"cidr": "203.0.113.0/24", "port": 443}]
PREFIX = "KINDLING_SERVICE_UPSTREAM_"


def variables(manifests: dict[str, Any]) -> dict[str, Any]:
    """What the pods are told of the upstream."""
    found = {name: one for name, one in env(manifests).items() if name.startswith(PREFIX)}
    return {name.removeprefix(PREFIX): one for name, one in found.items()}


def secret(name: str, key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}


def test_there_is_none_unless_it_is_named(render: Render) -> None:
    manifests = render()
    assert variables(manifests) == {}
    assert len(manifests["NetworkPolicy"]["spec"]["egress"]) == 2


def test_the_key_comes_from_a_secret_and_the_rest_under_names_that_the_service_knows(
    render: Render,
) -> None:
    given = variables(render(upstream={"url": URL, "egress": EGRESS}))
    assert given["URL"]["value"] == URL
    assert given["NAME"]["value"] == Settings().upstream_name
    assert given["KEY"]["valueFrom"] == secret("upstream", "key")
    assert "MODEL" not in given
    chosen = {"name": "gpt", "model": "lab/large", "secretName": "llm", "secretKey": "token"}
    given = variables(render(upstream={"url": URL, "egress": EGRESS, **chosen}))
    assert (given["NAME"]["value"], given["MODEL"]["value"]) == ("gpt", "lab/large")
    assert given["KEY"]["valueFrom"] == secret("llm", "token")
    assert {f"upstream_{name.lower()}" for name in given} <= Settings.model_fields.keys()


def test_the_address_may_come_from_the_secret_too_and_the_key_be_none(render: Render) -> None:
    given = variables(render(upstream={"urlKey": "url", "egress": EGRESS}))
    assert given["URL"] == {"name": f"{PREFIX}URL", "valueFrom": secret("upstream", "url")}
    assert "KEY" in given
    assert "KEY" not in variables(render(upstream={"url": URL, "secretKey": "", "egress": EGRESS}))


def test_pods_reach_the_networks_and_ports_that_are_named_and_no_others(render: Render) -> None:
    more = [*EGRESS, {"cidr": "2001:db8::/32", "port": 8443}]
    policy = render(upstream={"url": URL, "egress": more})["NetworkPolicy"]["spec"]
    assert policy["egress"][2:] == [
        {
            "to": [{"ipBlock": {"cidr": one["cidr"]}}],
            "ports": [{"port": one["port"], "protocol": "TCP"}],
        }
        for one in more
    ]


def test_one_that_pods_may_not_reach_is_refused(render: Render) -> None:
    with pytest.raises(KindlingError, match=r"upstream\.egress must say where"):
        render(upstream={"url": URL})
    inside = {"to": [{"podSelector": {"matchLabels": {"app": "llm"}}}]}
    assert variables(render(upstream={"url": URL}, networkPolicy={"extraEgress": [inside]}))
    assert variables(render(upstream={"url": URL}, networkPolicy={"enabled": False}))


@pytest.mark.parametrize(
    "values",
    [
        {"name": "gpt"},
        {"model": "large"},
        {"secretName": "other"},
        {"secretKey": "other"},
        {"egress": EGRESS},
        {"url": URL, "urlKey": "url", "egress": EGRESS},
        {"url": URL, "secretName": "other", "secretKey": "", "egress": EGRESS},
    ],
)
def test_values_that_have_no_effect_are_refused(render: Render, values: dict[str, Any]) -> None:
    with pytest.raises(KindlingError, match=r"upstream\.\w+ has no effect"):
        render(upstream=values)
    with pytest.raises(KindlingError, match=r"upstream\.egress has no effect"):
        render(upstream={"url": URL, "egress": EGRESS}, networkPolicy={"enabled": False})


def test_its_name_is_none_of_the_models(render: Render) -> None:
    values = {"url": URL, "egress": EGRESS, "name": "text"}
    assert variables(render(models=["digits"], upstream=values))["NAME"]["value"] == "text"
    with pytest.raises(KindlingError, match=r"upstream\.name \(text\) is one of models"):
        render(models=["digits", "text"], upstream=values)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:password@api.example.com/v1",
        "ftp://api.example.com",
        "api.example.com",
        "https://api.example.com/v1?key=a",
    ],
)
def test_an_address_with_a_password_or_of_another_kind_is_refused(render: Render, url: str) -> None:
    with pytest.raises(KindlingError, match=r"upstream\.url must be http") as error:
        render(upstream={"url": url, "egress": EGRESS})
    assert "password@" not in str(error.value)
