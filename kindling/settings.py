"""An inventory as one set of variables, refused as a whole when any of them cannot be meant."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kindling import paths
from kindling.errors import KindlingError
from kindling.settings_checks import (
    Spec,
    check_gpu_mode,
    check_name,
    check_pools,
    check_ports,
    check_value,
)
from kindling.settings_files import inventory_vars, parse, read_mapping

# The playbooks' own variable, which no single role owns.
_PLAYBOOK: dict[str, Spec] = {
    "gpu_mode": {"type": "str", "choices": ["simulated", "nvidia", "none"], "default": "none"}
}


@dataclass(frozen=True, eq=False)
class Settings(Mapping[str, Any]):
    """Merged and checked variables. Values that hold ``{{`` are Ansible's to work out."""

    inventory: str
    variables: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.variables[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables)

    def __len__(self) -> int:
        return len(self.variables)

    @property
    def cluster_name(self) -> str:
        return str(self.variables["cluster_name"])

    @property
    def ports(self) -> dict[str, int]:
        """Wanted ports of 127.0.0.1, by service."""
        ports = _literal(self.variables["cluster_ports"], {})
        return {service: int(port) for service, port in ports.items()}

    @property
    def supply(self) -> str:
        return str(self.variables["images_supply"])

    @property
    def mirror(self) -> str:
        """``host:port`` of the mirror, or empty."""
        return str(self.variables["images_mirror"])

    @property
    def gpu_mode(self) -> str:
        return str(self.variables["gpu_mode"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` the options that name an inventory: ``inventory`` and ``set``."""
    parser.add_argument("--inventory", default="local", help="a folder of inventories/")
    parser.add_argument(
        "-e", "--set", action="append", default=[], metavar="KEY=VALUE",
        help="a variable of the inventory, for this run",
    )  # fmt: skip


def load(
    inventory: str = "local",
    overrides: Sequence[str] = (),
    repository: Path = paths.REPOSITORY,
) -> Settings:
    """Read ``inventories/INVENTORY`` on top of the roles' defaults.

    ``overrides`` are ``key=value`` with values in YAML, as after ``-e``. Raises KindlingError
    for a missing or broken file (with its line), an unknown key, and a value of the wrong type.
    """
    folder = repository / "inventories" / inventory
    if not (folder / "hosts.yml").is_file():
        there = sorted(path.parent.name for path in folder.parent.glob("*/hosts.yml"))
        raise KindlingError(
            f"there is no inventory {inventory}: {folder / 'hosts.yml'} is missing",
            next_step=f"--inventory {' or '.join(there)}" if there else "git status",
        )
    defaults, specs = _roles(repository)
    merged = dict(defaults)
    given = [(str(f.relative_to(repository)), found) for f, found in inventory_vars(folder)]
    for shown, variables in [*given, ("-e", parse_overrides(overrides))]:
        for key, value in variables.items():
            if key.startswith("ansible_"):
                continue
            if key not in specs:
                raise _unknown(shown, key, specs)
            check_value(shown, key, value, specs[key])
            merged[key] = value
    check_name(merged.get("cluster_name"))
    check_gpu_mode(merged.get("gpu_mode"))
    check_pools(merged.get("cluster_node_pools"))
    check_ports(merged.get("cluster_ports"), defaults.get("cluster_ports"))
    return Settings(inventory, merged)


def _literal(value: Any, otherwise: Any) -> Any:
    return otherwise if "{{" in str(value) else value


def _roles(repository: Path) -> tuple[dict[str, Any], dict[str, Spec]]:
    defaults = {key: spec["default"] for key, spec in _PLAYBOOK.items()}
    specs = dict(_PLAYBOOK)
    for role in sorted((repository / "roles").glob("*")):
        own = read_mapping(role / "defaults" / "main.yml")
        defaults.update(own)
        described = read_mapping(role / "meta" / "argument_specs.yml")
        options = described.get("argument_specs", {}).get("main", {}).get("options", {})
        specs.update({key: {} for key in own if key not in _PLAYBOOK})
        specs.update(options)
    return defaults, specs


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Variables out of ``key=value`` with values in YAML. Raises KindlingError naming a bad one."""
    parsed = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise KindlingError(
                f"-e {override} is not of the form key=value",
                next_step="-e images_supply=packages",
            )
        parsed[key.strip()] = parse(value, f"-e {key.strip()}")
    return parsed


def _unknown(source: str, key: str, known: Mapping[str, Spec]) -> KindlingError:
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
    return KindlingError(
        f"{source}: unknown key {key}" + (f"; the closest known key is {near[0]}" if near else ""),
        next_step=f"correct {key} in {source}; roles/*/defaults/main.yml has every key",
    )
