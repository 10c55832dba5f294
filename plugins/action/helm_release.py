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

from typing import Any, ClassVar

from kindling import actions
from kindling.action import Action
from kindling.kubectl import ARGUMENTS

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
        return actions.helm_release(params, check=check, diff=bool(self._task.diff))
