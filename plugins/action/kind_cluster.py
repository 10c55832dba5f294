"""Ansible action: a kind cluster of ours."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: kind_cluster
short_description: Make, start or remove a kind cluster of ours
description:
  - A cluster of the same name that Kindling did not make is never touched.
  - What an interrupted run left is removed and made again.
options:
  state:
    description:
      - Whether the cluster shall run. C(present) returns once the control plane of a new cluster
        takes releases; C(joined) waits until its workers have joined.
    type: str
    choices: [present, joined, absent]
    default: present
  name:
    description: Name of the cluster.
    type: str
    required: true
  docker:
    description: Path of the Docker client; needed when present.
    type: path
  host:
    description: Address of the engine; needed when present.
    type: str
  node_image:
    description: The image of its nodes.
    type: str
  node_pools:
    description: Lists of alike nodes, each with name, role, count, gpus and labels.
    type: list
    elements: dict
    default: []
  ports:
    description: Ports of 127.0.0.1 by service; the next free one is taken for one in use.
    type: dict
    default: {}
  tools:
    description: Paths of kind, kubectl and helm.
    type: dict
    default: {}
  images:
    description: Images that every node shall hold.
    type: list
    elements: str
    default: []
  mirror:
    description: C(host:port) of a registry that nodes pull upstream names through.
    type: str
    default: ""
  autoscaler_period:
    description: Time between two looks of a HorizontalPodAutoscaler; empty means Kubernetes' own.
    type: str
    default: ""
  about:
    description: What else to record of the cluster for C(status).
    type: dict
    default: {}
author: Kindling
"""

EXAMPLES = r"""
- name: The cluster runs
  kind_cluster:
    name: kindling
    docker: /usr/bin/docker
    host: unix:///var/run/docker.sock
    node_image: docker.io/kindest/node:v1.36.4
    node_pools: [{name: control-plane, role: control-plane}]
    tools: {kind: /usr/bin/kind, kubectl: /usr/bin/kubectl}
"""

RETURN = r"""
facts:
  description: What cluster.json holds.
  returned: when present
  type: dict
notes:
  description: What a person should know, such as a port that was taken.
  returned: when present
  type: list
  elements: str
"""

from typing import ClassVar

from kindling.action import Action


class ActionModule(Action):
    """The action."""

    ARGUMENTS: ClassVar = {
        "state": {"type": "str", "choices": ["present", "joined", "absent"], "default": "present"},
        "name": {"type": "str", "required": True},
        "docker": {"type": "path"},
        "host": {"type": "str"},
        "node_image": {"type": "str"},
        "node_pools": {"type": "list", "elements": "dict", "default": []},
        "ports": {"type": "dict", "default": {}},
        "tools": {"type": "dict", "default": {}},
        "images": {"type": "list", "elements": "str", "default": []},
        "mirror": {"type": "str", "default": ""},
        "autoscaler_period": {"type": "str", "default": ""},
        "about": {"type": "dict", "default": {}},
    }
    REQUIRED_IF: ClassVar = (("state", "present", ("docker", "host", "node_image")),)
