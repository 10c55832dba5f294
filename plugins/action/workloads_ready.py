"""Ansible action: wait for several workloads at once."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: workloads_ready
short_description: Wait until workloads are ready
description:
  - One bounded wait for all of them; fails early where waiting cannot help.
options:
  workloads:
    description: Each with kind (Deployment, DaemonSet, APIService, Node, URL), name, namespace.
    type: list
    elements: dict
    required: true
  kubeconfig:
    description: The kubeconfig file.
    type: path
    required: true
  context:
    description: The context in it.
    type: str
    required: true
  kubectl_binary:
    description: Path of kubectl.
    type: path
    required: true
  timeout:
    description: Seconds to wait at most.
    type: int
    default: 900
author: Kindling
"""

EXAMPLES = r"""
- name: Everything is ready
  workloads_ready:
    kubeconfig: "{{ cluster.kubeconfig }}"
    context: kind-kindling
    kubectl_binary: /usr/bin/kubectl
    workloads:
      - {kind: Deployment, namespace: kindling, name: serving}
"""

RETURN = r"""
ready_after:
  description: Seconds after which each was ready.
  returned: success
  type: dict
"""

from typing import ClassVar

from kindling.action import Action
from kindling.kubectl import ARGUMENTS

_KINDS = ["Deployment", "StatefulSet", "DaemonSet", "APIService", "Node", "URL"]
_WORKLOAD = {
    "kind": {"type": "str", "required": True, "choices": _KINDS},
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "default": ""},
}


class ActionModule(Action):
    """The action."""

    ARGUMENTS: ClassVar = {
        "workloads": {"type": "list", "elements": "dict", "required": True, "options": _WORKLOAD},
        **ARGUMENTS,
        "timeout": {"type": "int", "default": 900},
    }
