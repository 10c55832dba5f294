from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from kindling import charts
from kindling.errors import KindlingError
from kindling.rules import shortened

CHART = "prometheus"
Render = Callable[..., dict[str, Any]]


def config(manifests: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        manifests["ConfigMap/prometheus"]["data"]["prometheus.yml"]
    )
    return found


def jobs(manifests: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {job["job_name"]: job for job in config(manifests)["scrape_configs"]}


def notified(manifests: dict[str, Any]) -> list[str]:
    text = manifests["ConfigMap/prometheus-alertmanager"]["data"]["alertmanager.yml"]
    (receiver,) = yaml.safe_load(text)["receivers"]
    return [hook["url"] for hook in receiver["webhook_configs"]]


def checksum(manifests: dict[str, Any], name: str) -> str:
    template = manifests[f"StatefulSet/{name}"]["spec"]["template"]
    found: str = template["metadata"]["annotations"]["checksum/config"]
    return found


def pod(manifests: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = manifests[f"StatefulSet/{name}"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def kept(job: dict[str, Any], scrape: str, namespace: str, name: str) -> bool:
    """Whether the job scrapes a running pod with this annotation, namespace and name."""
    meta = {
        "__meta_kubernetes_pod_annotation_prometheus_io_scrape": scrape,
        "__meta_kubernetes_pod_annotation_kindling_dev_honor_labels": "true",
        "__meta_kubernetes_namespace": namespace,
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": name,
        "__meta_kubernetes_pod_phase": "Running",
    }
    rules = [rule for rule in job["relabel_configs"] if rule.get("action") in ("keep", "drop")]
    return all(
        (
            re.fullmatch(
                rule["regex"], ";".join(meta.get(one, "") for one in rule["source_labels"])
            )
            is not None
        )
        == (rule["action"] == "keep")
        for rule in rules
    )


def scraped_by(manifests: dict[str, Any], *pod: str) -> list[str]:
    found = jobs(manifests)
    return [name for name in ("pods", "pods-own-labels") if kept(found[name], *pod)]


def test_pods_are_scraped_once_and_only_if_they_ask(render: Render) -> None:
    manifests = render()
    assert scraped_by(manifests, "true", "kindling", "serving") == ["pods"]
    assert scraped_by(manifests, "true", "kindling", "kube-state-metrics") == ["pods-own-labels"]
    for scrape in ("", "false"):
        assert scraped_by(manifests, scrape, "kindling", "serving") == []
        assert scraped_by(manifests, scrape, "kindling", "kube-state-metrics") == []
    assert jobs(manifests)["pods-own-labels"]["honor_labels"]
    assert "honor_labels" not in jobs(manifests)["pods"]


def test_no_pod_speaks_for_others_by_its_own_word(render: Render) -> None:
    """By its namespace, which it cannot choose, and its name it is known, not by an annotation."""
    for namespace, name in (
        ("default", "kube-state-metrics"),
        ("kindling", "gpu-device-plugin"),
        ("kindling", "serving"),
        ("kindlingx", "kube-state-metrics"),
    ):
        assert scraped_by(render(), "true", namespace, name) == ["pods"]
    trusted = [{"namespace": "gpus", "name": "dcgm-exporter"}]
    manifests = render(scrape={"honorLabels": trusted})
    assert scraped_by(manifests, "true", "gpus", "dcgm-exporter") == ["pods-own-labels"]
    assert scraped_by(manifests, "true", "kindling", "kube-state-metrics") == ["pods"]
    nobody = render(scrape={"honorLabels": []})
    assert scraped_by(nobody, "true", "kindling", "kube-state-metrics") == ["pods"]


@pytest.mark.parametrize("shortened_by", [1, 10])
def test_alerts_are_about_workloads_of_the_namespaces_that_are_named(
    render: Render, shortened_by: float
) -> None:
    files = sorted((charts.CHARTS / CHART / "rules").glob("*.yml"))
    overrides = {file.name: shortened(file.read_text(), shortened_by, floor=1) for file in files}

    def chosen(**rules: Any) -> set[str]:
        made = render(rules=rules | {"overrides": overrides if shortened_by > 1 else {}})
        text = " ".join(
            rule["expr"]
            for content in made["ConfigMap/prometheus-rules"]["data"].values()
            for group in yaml.safe_load(content)["groups"]
            for rule in group["rules"]
        )
        assert 'namespace="' not in text
        return set(re.findall(r'namespace=~"([^"]+)"', text))

    assert chosen() == {"kindling.*|kube-.*"}
    assert chosen(namespaces="ml|kube-.*") == {"ml|kube-.*"}


def test_pods_that_run_no_more_or_not_yet_are_not_scraped(render: Render) -> None:
    for job in (jobs(render())[name] for name in ("pods", "pods-own-labels")):
        (drop,) = (
            re.compile(rule["regex"])
            for rule in job["relabel_configs"]
            if rule["source_labels"] == ["__meta_kubernetes_pod_phase"] and rule["action"] == "drop"
        )
        phases = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
        assert [phase for phase in phases if not drop.fullmatch(phase)] == ["Running"]


def test_the_token_is_shown_to_the_clusters_own_servers_alone(render: Render) -> None:
    shown = {
        name: job["kubernetes_sd_configs"]
        for name, job in jobs(render()).items()
        if "authorization" in job
    }
    assert shown == {
        "kubelet": [{"role": "node"}],
        "cadvisor": [{"role": "node"}],
        "apiserver": [{"role": "endpointslice", "namespaces": {"names": ["default"]}}],
        "metrics-server": [{"role": "pod", "namespaces": {"names": ["kube-system"]}}],
    }


def test_it_may_read_what_it_finds_targets_by_and_nothing_else(render: Render) -> None:
    rules = render()["ClusterRole"]["rules"]
    resources = {one for rule in rules for one in rule.get("resources", [])}
    assert resources == {"nodes", "services", "pods", "endpointslices", "nodes/metrics"}
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_pods_are_confined_and_only_prometheus_has_a_token(render: Render) -> None:
    manifests = render()
    pods = {
        name.partition("/")[2]: manifest["spec"]["template"]["spec"]
        for name, manifest in manifests.items()
        if name.startswith("StatefulSet/")
    }
    tokens = {name for name, pod in pods.items() if pod.get("automountServiceAccountToken", True)}
    assert (len(pods), tokens) == (3, {"prometheus"})
    for pod in pods.values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["enableServiceLinks"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_only_those_who_may_call_do_and_the_receiver_calls_nobody(render: Render) -> None:
    peer = {"podSelector": {"matchLabels": {"may": "call"}}}
    manifests = render(networkPolicy={"ingressFrom": [peer]})
    for name in ("prometheus", "prometheus-alertmanager"):
        (rule,) = manifests[f"NetworkPolicy/{name}"]["spec"]["ingress"]
        own, asked = rule["from"]
        assert own["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "prometheus"
        assert asked == peer
        (rule,) = render()[f"NetworkPolicy/{name}"]["spec"]["ingress"]
        assert rule == {"ports": [{"port": "http", "protocol": "TCP"}]}
    receiver = manifests["NetworkPolicy/prometheus-alert-receiver"]["spec"]
    assert "Egress" in receiver["policyTypes"]
    assert not receiver.get("egress")


def relabelled(job: dict[str, Any], annotation: str, value: str) -> dict[str, str]:
    """The labels that the job sets for a pod whose annotation has this value."""
    source = "__meta_kubernetes_pod_annotation_" + re.sub("[^a-z]", "_", annotation)
    rules = [rule for rule in job["relabel_configs"] if rule["source_labels"] == [source]]
    matches = {rule["target_label"]: re.fullmatch(rule["regex"], value) for rule in rules}
    return {label: match[1] for label, match in matches.items() if match}


def test_a_pod_may_ask_to_be_scraped_more_often(render: Render) -> None:
    for job in (jobs(render())[name] for name in ("pods", "pods-own-labels")):
        asked = {
            value: relabelled(job, "kindling.dev/scrape-interval", value)
            for value in ("2s", "60s", "", "0s", "100ms", "2s,1s")
        }
        # Prometheus drops a target whose timeout is longer than its interval.
        assert asked.pop("2s") == {"__scrape_interval__": "2s", "__scrape_timeout__": "2s"}
        assert asked.pop("60s") == {"__scrape_interval__": "60s"}
        assert set(map(str, asked.values())) == {"{}"}


def test_rules_are_files_whose_runbooks_get_the_prefix(render: Render) -> None:
    manifests = render(rules={"runbookUrlPrefix": "https://wiki.example/"})
    files = manifests["ConfigMap/prometheus-rules"]["data"]
    rules = [
        rule
        for text in files.values()
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    assert "Watchdog" in [rule["alert"] for rule in rules]
    for rule in rules:
        wanted = f"https://wiki.example/docs/runbooks/{rule['alert']}.md"
        assert rule["annotations"]["runbook_url"] == wanted


def test_runbooks_that_prometheus_serves_are_linked_where_people_reach_it(render: Render) -> None:
    def links(**values: Any) -> set[str]:
        text = "".join(render(**values)["ConfigMap/prometheus-rules"]["data"].values())
        return {url.rpartition("docs/")[0] for url in re.findall("runbook_url: (.*)", text)}

    served = {"Watchdog.md": "# Watchdog"}
    assert links() == {""}
    assert links(externalUrl="http://x:1/") == {""}
    assert links(externalUrl="http://x:1/", rules={"runbooks": served}) == {"http://x:1/user/"}
    chosen = {"runbooks": served, "runbookUrlPrefix": "https://wiki/"}
    assert links(externalUrl="http://x:1", rules=chosen) == {"https://wiki/"}
    mounts = pod(render(rules={"runbooks": served}), "prometheus")["volumeMounts"]
    assert {"name": "runbooks", "mountPath": "/etc/kindling/docs/runbooks"} in mounts


def test_links_lead_to_where_people_reach_the_servers(render: Render) -> None:
    made = render(externalUrl="http://p:1", alertmanager={"externalUrl": "http://a:2"})
    for name, url in (("prometheus", "http://p:1"), ("prometheus-alertmanager", "http://a:2")):
        # Their own paths stay at the root, whatever path the address has.
        args = pod(made, name)["args"]
        assert {f"--web.external-url={url}", "--web.route-prefix=/"} <= set(args)
        assert not [one for one in pod(render(), name)["args"] if "external-url" in one]


def inhibited(manifests: dict[str, Any], source: dict[str, str], target: dict[str, str]) -> bool:
    """Whether the second alert is not notified while the first one fires."""
    text = manifests["ConfigMap/prometheus-alertmanager"]["data"]["alertmanager.yml"]

    def match(matchers: list[str], labels: dict[str, str]) -> bool:
        parts = [re.fullmatch(r'(\w+)(=~?)"(.+)"', matcher) for matcher in matchers]
        return all(part and re.fullmatch(part[3], labels.get(part[1], "")) for part in parts)

    return any(
        match(rule["source_matchers"], source)
        and match(rule["target_matchers"], target)
        and all(source.get(label, "") == target.get(label, "") for label in rule["equal"])
        for rule in yaml.safe_load(text)["inhibit_rules"]
    )


def test_one_cause_is_told_of_once_and_hides_no_other(render: Render) -> None:
    def absent(job: str, severity: str, **labels: str) -> dict[str, str]:
        return {"alertname": "ScrapeJobAbsent", "severity": severity, "job": job, **labels}

    def disk(name: str, severity: str, **labels: str) -> dict[str, str]:
        return {"alertname": name, "severity": severity, "node": "cpu", **labels}

    made = render()
    lost = absent("serving", "critical")
    assert inhibited(made, lost, absent("serving", "warning", namespace="kindling"))
    assert not inhibited(made, lost, absent("drift", "warning"))
    full = disk("NodeDiskAlmostFull", "critical", device="/dev/sda1")
    assert inhibited(made, full, disk("NodeDiskFillingUp", "warning", device="/dev/sda1"))
    assert not inhibited(made, full, disk("NodeDiskFillingUp", "warning", device="/dev/sdb1"))
    volume = {"namespace": "kindling", "persistentvolumeclaim": "mlflow"}
    full = disk("VolumeAlmostFull", "critical", **volume)
    assert inhibited(made, full, disk("VolumeFillingUp", "warning", **volume))
    other = volume | {"persistentvolumeclaim": "prometheus"}
    assert not inhibited(made, full, disk("VolumeFillingUp", "warning", **other))


def test_what_is_inhibited_by_an_alert_names_alerts_that_there_are(render: Render) -> None:
    manifests = render()
    text = "".join(manifests["ConfigMap/prometheus-rules"]["data"].values())
    known = set(re.findall(r"alert: (\w+)", text))
    config = manifests["ConfigMap/prometheus-alertmanager"]["data"]["alertmanager.yml"]
    matchers = [
        matcher
        for rule in yaml.safe_load(config)["inhibit_rules"]
        for matcher in rule["source_matchers"] + rule["target_matchers"]
    ]
    named = [re.fullmatch(r'alertname=~?"(.+)"', matcher) for matcher in matchers]
    names = {name for match in named if match for name in match[1].split("|")}
    assert names
    assert names <= known


def test_a_rule_file_can_be_replaced_and_the_same_pod_reloads_it(render: Render) -> None:
    plain = render()
    changed = render(
        rules={"overrides": {"monitoring.yml": "groups: []\n"}}, evaluationInterval="10s"
    )
    assert changed["ConfigMap/prometheus-rules"]["data"]["monitoring.yml"].strip() == "groups: []"
    assert changed["ConfigMap/prometheus"] != plain["ConfigMap/prometheus"]
    assert changed["StatefulSet/prometheus"] == plain["StatefulSet/prometheus"]
    (container,) = plain["StatefulSet/prometheus"]["spec"]["template"]["spec"]["containers"]
    assert "--config.auto-reload" in container["args"]


def test_alertmanager_starts_again_with_another_configuration(render: Render) -> None:
    name = "prometheus-alertmanager"
    assert checksum(render(alertmanager={"groupWait": "45s"}), name) != checksum(render(), name)


def test_notifications_go_to_the_receiver_and_to_webhooks(render: Render) -> None:
    own = "http://prometheus-alert-receiver:8080/alerts"
    assert notified(render()) == [own]
    added = render(alertmanager={"webhookUrls": ["https://pager.example/x"]})
    assert notified(added) == [own, "https://pager.example/x"]
    alone = render(
        receiver={"enabled": False}, alertmanager={"webhookUrls": ["https://pager.example/x"]}
    )
    assert notified(alone) == ["https://pager.example/x"]
    assert not [name for name in alone if "receiver" in name]


def test_a_configuration_of_ones_own_comes_from_a_secret(render: Render) -> None:
    manifests = render(alertmanager={"configSecret": "mine"})
    assert "ConfigMap/prometheus-alertmanager" not in manifests
    pod = manifests["StatefulSet/prometheus-alertmanager"]["spec"]["template"]["spec"]
    assert {"name": "config", "secret": {"secretName": "mine"}} in pod["volumes"]


def test_alertmanager_is_found_at_the_port_of_its_service(render: Render) -> None:
    manifests = render(alertmanager={"service": {"port": 80}})
    (alertmanager,) = config(manifests)["alerting"]["alertmanagers"]
    assert alertmanager["static_configs"] == [{"targets": ["prometheus-alertmanager:80"]}]
    (port,) = manifests["Service/prometheus-alertmanager"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, "http")


def test_certificates_of_kubelets_are_checked_unless_told_otherwise(render: Render) -> None:
    for job in ("kubelet", "cadvisor"):
        assert "insecure_skip_verify" not in jobs(render())[job]["tls_config"]
        insecure = jobs(render(scrape={"kubeletInsecureTLS": True}))[job]
        assert insecure["tls_config"]["insecure_skip_verify"] is True


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"service": {"nodePort": 30900}}, "service.nodePort has no effect"),
        (
            {"alertmanager": {"service": {"nodePort": 30930}}},
            "alertmanager.service.nodePort has no effect",
        ),
        ({"receiver": {"enabled": False}}, "nobody would be notified"),
        (
            {"alertmanager": {"configSecret": "a", "webhookUrls": ["http://b"]}},
            "webhookUrls has no effect",
        ),
        ({"rules": {"overrides": {"other.yml": "groups: []"}}}, "takes the place of no file"),
        (
            {"networkPolicy": {"enabled": False, "ingressFrom": [{"podSelector": {}}]}},
            "ingressFrom has no effect",
        ),
        ({"scrape": {"interval": "5"}}, "does not match pattern"),
        ({"rules": {"namespaces": 'a"b'}}, "does not match pattern"),
    ],
)
def test_values_that_contradict_or_do_nothing_are_refused(
    render: Render, values: dict[str, Any], why: str
) -> None:
    with pytest.raises(KindlingError, match=re.escape(why)):
        render(**values)


def test_an_operator_gets_the_same_rules_and_targets_and_no_second_server(
    template: Callable[..., list[Any]], render: Render
) -> None:
    made = template(charts.CHARTS / CHART, {"mode": "operator"})
    files = render()["ConfigMap/prometheus-rules"]["data"]
    rules = {one["metadata"]["name"]: one for one in made if one["kind"] == "PrometheusRule"}
    assert {name: rule["spec"] for name, rule in rules.items()} == {
        f"prometheus-{name.removesuffix('.yml')}": yaml.safe_load(text)
        for name, text in files.items()
    }
    (monitor,) = (one for one in made if one["kind"] == "PodMonitor")
    assert monitor["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/part-of": "kindling"}
    own, honored = monitor["spec"]["podMetricsEndpoints"]
    assert (own["honorLabels"], honored["honorLabels"]) == (False, True)
    chosen = {"kindling;kube-state-metrics|kindling-system;gpu-device-plugin"}
    for endpoint, action in ((own, "drop"), (honored, "keep")):
        (rule,) = (
            rule
            for rule in endpoint["relabelings"]
            if rule["sourceLabels"][0] == "__meta_kubernetes_namespace"
        )
        assert ({rule["regex"]}, rule["action"]) == (chosen, action)
    assert len(made) == len(rules) + 1
