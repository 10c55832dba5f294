"""Ansible action: a container engine that can run kind's nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: container_engine
short_description: Use the working container engine, or run one of our own
description:
  - A Docker engine that answers is used as it is, after a privileged container has proven it.
  - Without one, on Debian or Ubuntu as root, the distribution's engine is installed and started;
    where this machine withholds capabilities that it asks for, that of a newer Debian release is
    unpacked into the cache and started from there.
  - Our own engine keeps its data, log and pid in one folder below Kindling's cache.
options:
  state:
    description: Whether the engine shall run; C(absent) stops our own one only.
    type: str
    choices: [present, absent]
    default: present
  source:
    description: Where an engine that is missing comes from.
    type: str
    choices: [auto, distribution, unpacked, none]
    default: auto
  purge:
    description: With C(state=absent), remove what our engine stored.
    type: bool
    default: false
author: Kindling
"""

EXAMPLES = r"""
- name: The container engine runs
  container_engine:
    state: present
"""

RETURN = r"""
docker:
  description: Path of the Docker client.
  returned: when present
  type: str
host:
  description: Address of the engine, as DOCKER_HOST takes it.
  returned: when present
  type: str
source:
  description: Where the engine comes from when it is missing, as asked for.
  returned: when present
  type: str
owned:
  description: Whether this engine is our own.
  returned: when present
  type: bool
"""

from typing import ClassVar

from kindling.action import Action


class ActionModule(Action):
    """The action."""

    ARGUMENTS: ClassVar = {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "source": {
            "type": "str",
            "choices": ["auto", "distribution", "unpacked", "none"],
            "default": "auto",
        },
        "purge": {"type": "bool", "default": False},
    }
