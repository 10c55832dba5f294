"""Ansible action: Helm releases, installed at the same time."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: helm_release
short_description: Install, upgrade or remove Helm releases
description:
  - Several releases are carried out at the same time.
  - C(changed) compares the chart's files, the values and the live release.
  - A release that a killed client left pending is recovered.
options:
  releases:
    description:
      - Each with name, namespace, chart, values, create_namespace and namespace_labels.
    type: list
    elements: dict
    required: true
  state:
    description: Whether they shall be there.
    type: str
    choices: [present, absent]
    default: present
  kubeconfig:
    description: The kubeconfig file.
    type: path
    required: true
  context:
    description: The context in it.
    type: str
    required: true
  helm_binary:
    description: Path of helm.
    type: path
    required: true
  kubectl_binary:
    description: Path of kubectl.
    type: path
    required: true
  wait:
    description: Whether to wait until each is ready; C(workloads_ready) waits for many at once.
    type: bool
    default: false
  timeout:
    description: Seconds that Helm may take.
    type: int
    default: 300
author: Kindling
"""

EXAMPLES = r"""
- name: The service is installed
  helm_release:
    releases:
      - {name: serving, namespace: kindling, chart: charts/serving, create_namespace: true}
    kubeconfig: "{{ cluster.kubeconfig }}"
    context: kind-kindling
    helm_binary: /usr/bin/helm
    kubectl_binary: /usr/bin/kubectl
"""

RETURN = r"""
releases:
  description: For each release its name, whether it changed, and whether it was recovered.
  returned: success
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any, ClassVar

from kindling import helm
from kindling.action import Action
from kindling.kubectl import ARGUMENTS, Kubectl

_RELEASE = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "chart": {"type": "path", "required": True},
    "values": {"type": "dict", "default": {}},
    "create_namespace": {"type": "bool", "default": False},
    "namespace_labels": {"type": "dict", "default": {}},
}


class ActionModule(Action):
    """The action."""

    ARGUMENTS: ClassVar = {
        "releases": {"type": "list", "elements": "dict", "required": True, "options": _RELEASE},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        **ARGUMENTS,
        "helm_binary": {"type": "path", "required": True},
        "wait": {"type": "bool", "default": False},
        "timeout": {"type": "int", "default": 300},
    }

    def perform(self, params: dict[str, Any], *, check: bool) -> dict[str, Any]:
        kubectl, releases = Kubectl.of(params), params["releases"]
        wanted = [helm.Release(**{**raw, "chart": Path(raw["chart"])}) for raw in releases]
        plans = helm.plan(kubectl, wanted, remove=params["state"] == "absent")
        changed = [plan for plan in plans if plan.changed]
        result: dict[str, Any] = {
            "changed": bool(changed),
            "releases": [
                {"name": p.release.name, "changed": p.changed, "recovered": p.recovered}
                for p in plans
            ],
        }
        if changed:
            client = helm.Helm(Path(params["helm_binary"]), kubectl, params["timeout"])
            if self._task.diff:
                result["diff"] = [_diff(client, plan) for plan in changed]
            if not check:
                client.carry_out(changed, wait=params["wait"])
        return result


def _diff(client: helm.Helm, plan: helm.Plan) -> dict[str, str]:
    header = f"{plan.release.namespace}/{plan.release.name}"
    return {
        "before_header": header,
        "after_header": header,
        "before": helm.masked_manifest(plan.live.manifest) if plan.live else "",
        "after": "" if plan.remove else client.render(plan.release),
    }
