"""Ansible action: Secrets with random values."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: generated_secret
short_description: Make sure that Secrets have a value for each key
description:
  - A key without a value gets a random one of 32 letters and digits; what is there stays.
  - Workloads that run with an earlier value of such a key are restarted.
  - Values are never returned.
options:
  secrets:
    description: Each with name, namespace and keys.
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
author: Kindling
"""

EXAMPLES = r"""
- name: The passwords are there
  generated_secret:
    secrets:
      - {name: postgresql, namespace: kindling, keys: [password]}
    kubeconfig: "{{ cluster.kubeconfig }}"
    context: kind-kindling
    kubectl_binary: /usr/bin/kubectl
"""

RETURN = r"""
generated:
  description: What was generated, as C(NAMESPACE/NAME KEY).
  returned: success
  type: list
  elements: str
restarted:
  description: Workloads that were restarted, as C(NAMESPACE/NAME).
  returned: success
  type: list
  elements: str
"""

from typing import ClassVar

from kindling.action import Action
from kindling.kubectl import ARGUMENTS

_SECRET = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
}


class ActionModule(Action):
    """The action."""

    ARGUMENTS: ClassVar = {
        "secrets": {
            "type": "list", "elements": "dict", "required": True, "options": _SECRET,
            "no_log": False,
        },
        **ARGUMENTS,
    }  # fmt: skip
