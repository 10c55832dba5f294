"""The units of panels, as Grafana and as Perses call them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

UnitName = Literal[
    "short", "count", "percent", "seconds", "days", "bytes", "bytes/s", "requests/s", "tokens/s",
    "rows", "cores", "celsius", "watts",
]  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """``label`` stands beside Perses' axis where it has no such unit itself."""

    grafana: str
    perses: dict[str, Any] = field(default_factory=dict)
    label: str = ""


_DECIMAL = {"unit": "decimal", "shortValues": True}

# Bytes in powers of 1000: Perses knows no others, and both are to show the same number.
UNITS: dict[UnitName, Unit] = {
    "short": Unit("short", _DECIMAL),
    "count": Unit("none", _DECIMAL),
    "percent": Unit("percentunit", {"unit": "percent-decimal"}),
    "seconds": Unit("s", {"unit": "seconds"}),
    "days": Unit("d", {"unit": "days"}),
    "bytes": Unit("decbytes", {"unit": "bytes", "shortValues": True}),
    "bytes/s": Unit("Bps", {"unit": "bytes/sec", "shortValues": True}),
    "requests/s": Unit("reqps", _DECIMAL, "req/s"),
    "tokens/s": Unit("suffix:tokens/s", _DECIMAL, "tokens/s"),
    "rows": Unit("suffix:rows", _DECIMAL, "rows"),
    "cores": Unit("suffix:cores", _DECIMAL, "cores"),
    "celsius": Unit("celsius", _DECIMAL, "°C"),
    "watts": Unit("watt", _DECIMAL, "W"),
}
