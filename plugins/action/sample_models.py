"""Ansible action: sample models in a cluster's registry."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: sample_models
short_description: Train, register and promote models that the registry has no champion for
description:
  - A model that has a champion is left alone, whatever version that is.
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  models:
    description: Names of models that the pipeline knows.
    type: list
    elements: str
    required: true
author: Kindling
"""

EXAMPLES = r"""
- name: The registry has a champion for each sample model
  sample_models:
    cluster: kindling
    models: [digits, text]
"""

RETURN = r"""
made:
  description: The models that had no champion.
  returned: success
  type: list
  elements: str
"""

from typing import ClassVar

from kindling.action import Action


class ActionModule(Action):
    """The action."""

    ARGUMENTS: ClassVar = {
        "cluster": {"type": "str", "required": True},
        "models": {"type": "list", "elements": "str", "required": True},
    }
