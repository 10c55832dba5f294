"""Ansible filter: rule files of Prometheus with shorter windows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ansible.errors import AnsibleFilterError

from kindling.errors import KindlingError
from kindling.rules import shortened


def shortened_rules(folder: str, factor: float, floor: float) -> dict[str, str]:
    """The rule files in ``folder`` by name, shortened; none for a factor of 1."""
    if float(factor) == 1:
        return {}
    try:
        return {
            file.name: shortened(file.read_text(), float(factor), floor=float(floor))
            for file in sorted(Path(folder).glob("*.yml"))
        }
    except KindlingError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., dict[str, str]]]:
        """The filters by name."""
        return {"shortened_rules": shortened_rules}
