"""What the role makes of the inventory, by Ansible itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from kindling import paths

PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    cluster_facts: {{ports: {{prometheus: 9090, alertmanager: 9093}}}}
    images_supplied: {{images: {{prometheus: "p:1", alertmanager: "a:1", alert-receiver: "r:1"}}}}
  tasks:
    - ansible.builtin.include_vars: {role}/vars/main.yml
    - ansible.builtin.copy:
        content: "{{{{ _prometheus_defaults | to_json }}}}"
        dest: {out}
        mode: "0600"
"""


def values(folder: Path, **inventory: Any) -> Any:
    """Prometheus' values for an inventory with these variables."""
    role, out = paths.REPOSITORY / "roles/prometheus", folder / "values.json"
    # Where a playbook of ours would be: the role finds the chart from there.
    play = folder / "playbooks" / "play.yml"
    play.parent.mkdir()
    for name in ("charts", "docs"):
        (folder / name).symlink_to(paths.REPOSITORY / name)
    play.write_text(PLAY.format(role=role, out=out))
    variables = yaml.safe_load((role / "defaults/main.yml").read_text()) | inventory
    (folder / "inventory.yml").write_text(
        yaml.safe_dump({"all": {"hosts": {"localhost": None}, "vars": variables}})
    )
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", folder / "inventory.yml", "-c",
         "local", "-e", f"ansible_python_interpreter={sys.executable}", play],
        env={**os.environ, "ANSIBLE_CONFIG": str(paths.REPOSITORY / "ansible.cfg"),
             "ANSIBLE_HOME": str(folder / "home"), "PYTHONPATH": str(paths.REPOSITORY),
             "LC_ALL": "C.UTF-8"},
        cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
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
