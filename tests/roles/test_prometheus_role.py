"""What the role makes of the inventory, by Ansible itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import yaml
from loopback import Loopback

from kindling import paths
from kindling.rules import seconds, shortened

ROLE = paths.REPOSITORY / "roles/prometheus"
FACTS = {
    "ports": {"prometheus": 9090, "alertmanager": 9093}, "kubeconfig": "k", "context": "c",
    "tools": {"kubectl": "false"},
}  # fmt: skip
IMAGES = {name: f"{name}:1" for name in ("prometheus", "alertmanager", "alert-receiver")}


def run(
    folder: Path,
    *tasks: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
    **inventory: Any,
) -> None:
    """Run tasks with the role's variables, for an inventory with these."""
    # Where a playbook of ours would be: the role finds the chart from there.
    play = folder / "playbooks" / "play.yml"
    play.parent.mkdir()
    for name in ("charts", "docs"):
        (folder / name).symlink_to(paths.REPOSITORY / name)
    known = {"cluster_facts": {**FACTS, **(facts or {})}, "images_supplied": {"images": IMAGES}}
    included = {"ansible.builtin.include_vars": str(ROLE / "vars/main.yml")}
    content = {
        "hosts": "localhost", "gather_facts": False, "vars": known, "tasks": [included, *tasks],
    }  # fmt: skip
    play.write_text(yaml.safe_dump([content]))
    variables = yaml.safe_load((ROLE / "defaults/main.yml").read_text()) | inventory
    hosts = {"all": {"hosts": {"localhost": None}, "vars": variables}}
    (folder / "inventory.yml").write_text(yaml.safe_dump(hosts))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", folder / "inventory.yml", "-c",
         "local", "-e", f"ansible_python_interpreter={sys.executable}", play],
        env={**os.environ, "ANSIBLE_CONFIG": str(paths.REPOSITORY / "ansible.cfg"),
             "ANSIBLE_HOME": str(folder / "home"), "PYTHONPATH": str(paths.REPOSITORY),
             "LC_ALL": "C.UTF-8"},
        cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


class _Rules(BaseHTTPRequestHandler):
    fake: Prometheus

    def do_GET(self) -> None:
        self.fake.asked.append(self.path)
        # It has the new ones from the third look on.
        rules = alerts(10 if len(self.fake.asked) > 2 else 20)
        body = json.dumps({"data": {"groups": [{"rules": rules}]}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """No line for each request."""


class Prometheus(Loopback):
    """Lists the chart's alerts as Prometheus does, with the waits of other rules at first."""

    handler = _Rules

    def __init__(self) -> None:
        self.asked: list[str] = []


def alerts(factor: float) -> list[dict[str, Any]]:
    """The alerts of the chart, shortened, in the words of Prometheus' API."""
    files = (paths.REPOSITORY / "charts/prometheus/rules").glob("*.yml")
    rules = [
        rule
        for file in files
        for group in yaml.safe_load(shortened(file.read_text(), factor, floor=20))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    return [
        {"type": "alerting", "name": one["alert"], "duration": seconds(str(one.get("for", "0s")))}
        for one in rules
    ]


def values(folder: Path, **inventory: Any) -> Any:
    """Prometheus' values for an inventory with these variables."""
    out = folder / "values.json"
    copy = {"content": "{{ _prometheus_defaults | to_json }}", "dest": str(out), "mode": "0600"}
    run(folder, {"ansible.builtin.copy": copy}, **inventory)
    return json.loads(out.read_text())


def test_what_the_inventory_does_not_name_is_as_in_the_chart(tmp_path: Path) -> None:
    chart = yaml.safe_load((paths.REPOSITORY / "charts/prometheus/values.yaml").read_text())
    made = values(tmp_path)
    assert made["rules"]["namespaces"] == chart["rules"]["namespaces"]
    assert made["rules"]["overrides"] == {}
    # Links in notifications open on this machine.
    assert made["externalUrl"] == "http://127.0.0.1:9090"
    assert made["alertmanager"]["externalUrl"] == "http://127.0.0.1:9093"
    page = paths.REPOSITORY / "docs/runbooks/Watchdog.md"
    assert made["rules"]["runbooks"]["Watchdog.md"] == page.read_text()
    assert made["scrape"]["honorLabels"] == chart["scrape"]["honorLabels"]
    for entry, role in zip(
        chart["scrape"]["honorLabels"], ("kube_state_metrics", "gpu"), strict=True
    ):
        defaults = paths.REPOSITORY / f"roles/{role}/defaults/main.yml"
        assert yaml.safe_load(defaults.read_text())[f"{role}_namespace"] == entry["namespace"]


def test_other_values_of_the_inventory_are_taken(tmp_path: Path) -> None:
    made = values(
        tmp_path, serving_namespace="ml", kube_state_metrics_namespace="metrics",
        prometheus_rules_shortened_by=10,
    )  # fmt: skip
    assert made["rules"]["namespaces"] == "kindling.*|kube-.*|metrics|ml"
    trusted = {"namespace": "metrics", "name": "kube-state-metrics"}
    assert made["scrape"]["honorLabels"][0] == trusted
    files = (paths.REPOSITORY / "charts/prometheus/rules").glob("*.yml")
    assert set(made["rules"]["overrides"]) == {file.name for file in files}


def test_it_waits_until_prometheus_has_the_rules_and_has_the_kubelet_look(tmp_path: Path) -> None:
    told = tmp_path / "told"
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {told}\n')
    kubectl.chmod(0o755)
    with Prometheus() as server:
        facts = {
            "ports": {"prometheus": server.port, "alertmanager": 9093},
            "tools": {"kubectl": str(kubectl)},
        }
        task = {"ansible.builtin.import_tasks": str(ROLE / "tasks/reloaded.yml")}
        run(tmp_path, task, facts=facts, prometheus_rules_shortened_by=10)
    assert server.asked == ["/api/v1/rules?type=alert"] * 3
    *words, annotation = told.read_text().splitlines()
    assert words == [
        "--kubeconfig=k", "--context=c", "--namespace=kindling", "annotate", "pod", "prometheus-0",
        "--overwrite",
    ]  # fmt: skip
    assert annotation.startswith("kindling.dev/rules=")
