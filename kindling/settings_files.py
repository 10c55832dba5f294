"""Reading an inventory's YAML files, with the line where one is broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from kindling.errors import KindlingError


class _Loader(yaml.SafeLoader):
    """Safe YAML in which Ansible's tags are known."""


def _tagged(_: yaml.SafeLoader, node: yaml.Node) -> str:
    # Read as a template: what is in it is Ansible's to know.
    return "{{ " + node.tag + " }}"


_Loader.add_constructor("!vault", _tagged)
_Loader.add_constructor("!unsafe", _tagged)


def parse(text: str, source: str) -> Any:
    """The value that ``text`` holds in YAML. Raises KindlingError naming ``source`` and line."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}, line {mark.line + 1}" if mark else source
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise KindlingError(
            f"{where}: not valid YAML: {problem}", next_step=f"correct {where}"
        ) from None


def read_mapping(file: Path) -> dict[str, Any]:
    """The mapping in ``file``; empty where the file is missing or empty.

    Raises KindlingError when it cannot be read or holds something else.
    """
    try:
        content = parse(file.read_text(), str(file))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise KindlingError(f"{file} cannot be read: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise KindlingError(
            f"{file} does not hold a mapping of keys to values", next_step=f"correct {file}"
        )
    return content


def inventory_vars(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Files and their variables, in Ansible's order: what comes later wins.

    Raises KindlingError for a file that Ansible would read and nobody here does.
    """
    hosts = folder / "hosts.yml"
    read = set(_all_files(folder / "group_vars"))
    for place in ("group_vars", "host_vars"):
        for file in sorted((folder / place).rglob("*")):
            if file.is_file() and file not in read:
                raise KindlingError(
                    f"{file} is not read", next_step="move its keys to group_vars/all.yml beside it"
                )
    groups, of_hosts = _hosts(read_mapping(hosts), hosts)
    yield hosts, groups
    for file in _all_files(folder / "group_vars"):
        yield file, read_mapping(file)
    yield hosts, of_hosts


def _all_files(folder: Path) -> list[Path]:
    files = [folder / "all.yml", *sorted((folder / "all").glob("*.yml"))]
    return [file for file in files if file.is_file()]


def _hosts(groups: dict[str, Any], file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Variables of groups and of hosts, from a hosts file or a group's ``children``."""
    of_groups: dict[str, Any] = {}
    of_hosts: dict[str, Any] = {}
    for name in groups:
        group = _below(groups, name, file)
        of_groups.update(_below(group, "vars", file))
        hosts = _below(group, "hosts", file)
        for host in hosts:
            of_hosts.update(_below(hosts, host, file))
        below = _hosts(_below(group, "children", file), file)
        of_groups.update(below[0])
        of_hosts.update(below[1])
    return of_groups, of_hosts


def _below(mapping: dict[str, Any], key: str, file: Path) -> dict[str, Any]:
    value = mapping.get(key) or {}
    if not isinstance(value, dict):
        raise KindlingError(f"{file}: {key} is not a mapping", next_step=f"correct {file}")
    return value
