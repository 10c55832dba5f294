"""Ansible filters: how long alerts pend, as rule files say and as Prometheus does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kindling.rules import running_waits, waits


def alert_waits(folder: str, overrides: Mapping[str, str]) -> list[str]:
    """Of the rule files in ``folder``, or the overrides of the same name."""
    return waits(
        overrides.get(file.name) or file.read_text() for file in sorted(Path(folder).glob("*.yml"))
    )


def running_alert_waits(response: Mapping[str, Any]) -> list[str]:
    """Of a response of Prometheus' API that lists rules."""
    return running_waits(response["data"]["groups"])


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """The filters by name."""
        return {"alert_waits": alert_waits, "running_alert_waits": running_alert_waits}
