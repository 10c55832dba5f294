"""Ansible action: what only builds needed is removed."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: prune_builds
short_description: Remove what only builds needed
description:
  - Results that are part of others, and in an engine of ours BuildKit's cache and what is unpacked
    of images that only nodes run. A later build makes again what it needs of them.
  - Where builds left no such results, as in every run that builds no node image, nothing is done.
options:
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
- name: Only what later runs need is kept
  prune_builds:
    versions_file: images/versions.yml
    docker: /usr/bin/docker
    host: unix:///var/run/docker.sock
"""

RETURN = r"""
"""

from typing import ClassVar

from kindling.action import Action


class ActionModule(Action):
    """The action."""

    ARGUMENTS: ClassVar = {
        "versions_file": {"type": "path", "required": True},
        "docker": {"type": "path", "required": True},
        "host": {"type": "str", "required": True},
    }
