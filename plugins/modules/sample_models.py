#!/usr/bin/python
"""Ansible module: sample models in a cluster's registry."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: sample_models
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

from ansible.module_utils.basic import AnsibleModule

from kindling import sample_models
from kindling.errors import KindlingError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "models": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        made = sample_models.ensure(params["cluster"], params["models"], check=module.check_mode)
    except KindlingError as error:
        module.fail_json(msg=error.message, next_step=error.next_step)
    module.exit_json(changed=bool(made), made=made)


if __name__ == "__main__":
    main()
