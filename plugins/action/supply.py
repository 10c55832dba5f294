"""Ansible action: images and tools, fetched or built."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: supply
short_description: Make sure that the images and tools of a cluster are there
description:
  - Chooses a supply, then fetches or builds what is missing. What is there already costs nothing.
options:
  mode:
    description: Where images and tools come from.
    type: str
    choices: [auto, bundle, mirror, registry, packages]
    default: auto
  mirror:
    description: C(host:port) of a registry that serves upstream names.
    type: str
    default: ""
  cluster:
    description: Name of the cluster; C(auto) keeps to the supply that it was made with.
    type: str
    default: ""
  also:
    description: Images that not every cluster needs, by name.
    type: list
    elements: str
    default: []
  versions_file:
    description: The file of versions and digests.
    type: path
    required: true
  docker:
    description: Path of the Docker client.
    type: path
    required: true
  host:
    description: Address of the engine.
    type: str
    required: true
author: Kindling
"""

EXAMPLES = r"""
- name: Images and tools are there
  supply:
    mode: auto
    versions_file: images/versions.yml
    docker: /usr/bin/docker
    host: unix:///var/run/docker.sock
"""

RETURN = r"""
mode:
  description: The supply that was taken.
  returned: success
  type: str
why:
  description: Why it was taken.
  returned: success
  type: str
node_image:
  description: The image of kind's nodes.
  returned: success
  type: str
images:
  description: The images that charts name.
  returned: success
  type: dict
tools:
  description: Paths of kind, kubectl and helm.
  returned: success
  type: dict
kubernetes_version:
  description: The version of Kubernetes in the node image.
  returned: success
  type: str
pod_network:
  description: Name of the node image's pod network, and whether it enforces NetworkPolicies.
  returned: success
  type: dict
mirror:
  description: The mirror that images came through, or empty.
  returned: success
  type: str
made:
  description: What was fetched or built.
  returned: success
  type: list
  elements: str
notes:
  description: What to tell people of it.
  returned: success
  type: list
  elements: str
"""

from typing import ClassVar

from kindling.action import Action
from kindling.supply.modes import MODES


class ActionModule(Action):
    """The action."""

    ARGUMENTS: ClassVar = {
        "mode": {"type": "str", "choices": list(MODES), "default": "auto"},
        "mirror": {"type": "str", "default": ""},
        "cluster": {"type": "str", "default": ""},
        "also": {"type": "list", "elements": "str", "default": []},
        "versions_file": {"type": "path", "required": True},
        "docker": {"type": "path", "required": True},
        "host": {"type": "str", "required": True},
    }
