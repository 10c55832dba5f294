"""What the local inventory says of itself."""

from __future__ import annotations

import re
from typing import Any

import yaml

from kindling import paths, settings

FILE = paths.REPOSITORY / "inventories/local/group_vars/all.yml"
# What Kubernetes does where a role leaves it alone.
KUBERNETES = {"cluster_autoscaler_period": "15s"}


def at(values: Any, path: list[str]) -> str:
    for key in path:
        values = values[key]
    return str(values)


def test_what_it_says_is_shortened_is_so_and_production_differs_as_it_says() -> None:
    said = re.findall(r"^#   ([\w.]+): (\S+) \((\S+)\)$", FILE.read_text(), re.MULTILINE)
    assert len(said) > 5
    local = settings.load("local")
    for path, here, production in said:
        key, *inner = path.split(".")
        assert at(local[key], inner) == here, path
        if not inner:
            role = yaml.safe_load(
                (paths.REPOSITORY / "roles/cluster/defaults/main.yml").read_text()
            )
            assert production == (role[key] or KUBERNETES[key]), path
            continue
        chart = key.removesuffix("_values").replace("_", "-")
        defaults = yaml.safe_load((paths.REPOSITORY / f"charts/{chart}/values.yaml").read_text())
        assert at(defaults, inner) == production, path
