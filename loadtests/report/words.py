"""Numbers and times as people read them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

DASH = "–"  # noqa: RUF001


def value(found: Any) -> str:
    """A fact: numbers without needless digits, nothing as a dash."""
    if found is None or found == "":
        return DASH
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, int | float):
        return amount(found)
    return str(found)


def amount(found: float | None, digits: int = 3) -> str:
    """To ``digits`` significant digits, thousands apart."""
    if found is None or not math.isfinite(found):
        return DASH
    if found == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(found))))
    text = f"{found:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float | None) -> str:
    """A latency or a span: milliseconds below a second, minutes above two."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds == 0:
        return "0 s"
    if abs(seconds) < 1:
        return f"{amount(seconds * 1000)} ms"
    if abs(seconds) < 120:
        return f"{amount(seconds)} s"
    whole = round(seconds)
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def latency(row: dict[str, Any], name: str) -> str:
    """A percentile of requests; of one that failed there is no response to wait for."""
    found = row["latency"][name]
    return "no answer" if found is None and row["requests"] else duration(found)


def clock(seconds: float) -> str:
    """Seconds since the start, as minutes or hours."""
    whole = max(0, round(seconds))
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def moment(seconds: float) -> str:
    """A Unix time for people, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def count(many: int, one: str, more: str | None = None) -> str:
    """``1 request``, ``2 requests``."""
    return f"{many:,} {one if many == 1 else more or one + 's'}"


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def printable(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(c if c.isprintable() or c in "\t\n" else "\ufffd" for c in text)


def glued(text: str) -> str:
    """With no break between a number and its unit."""
    found = re.sub(r"(?<=\d) (?=(?:ms|s|min|h|cores?|pods?)\b|%)", "\u00a0", text)
    return re.sub(r"(?<=\d\u00a0(?:min)) (?=\d)|(?<=\d\u00a0h) (?=\d)", "\u00a0", found)


def key(name: str) -> str:
    """A key of the environment or of numbers as a phrase; keys that are phrases stay."""
    return name.replace("_", " ")


def measured(name: str, found: float | None) -> str:
    """One of a scenario's own numbers, whose name ends with its unit."""
    if name.endswith("_seconds"):
        return duration(found)
    return amount(found)


def named(name: str) -> str:
    """The name of such a number, without the unit that its value has."""
    return key(name.removesuffix("_seconds"))
