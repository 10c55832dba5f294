"""Prometheus rules with shorter waits, so that a test sees an alert fire within its minutes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from kindling.errors import KindlingError

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_DURATION = r"(?:\d+(?:ms|[smhdwy]))+"
# Strings come first: what looks like a window in one is none.
_WINDOWS = re.compile(
    rf'"(?:[^"\\]|\\.)*"|\[\s*{_DURATION}\s*(?::\s*(?:{_DURATION})?\s*)?\]|\boffset\s+-?{_DURATION}'
)
_WAITS = ("for", "keep_firing_for")


def shortened(text: str, factor: float, *, floor: float) -> str:
    """The rule file ``text`` with every ``for``, window and offset divided by ``factor``.

    None becomes shorter than ``floor`` seconds, none longer than it was; a floor of four scrape
    intervals leaves ``rate`` enough samples. Thresholds, and how far ``predict_linear`` looks
    ahead, stay as they are, so a least number of requests is then asked for in less time.
    Raises KindlingError when ``text`` is no rule file.
    """
    if factor <= 0 or floor <= 0:
        raise KindlingError(f"factor ({factor:g}) and floor ({floor:g}) must be above zero")
    document = yaml.safe_load(text)
    try:
        for group in document["groups"]:
            for rule in group["rules"]:
                _shorten(rule, factor, floor)
    except (KeyError, TypeError) as error:
        raise KindlingError(f"this is no file of Prometheus rules: {error}") from error
    return yaml.safe_dump(document, sort_keys=False, width=1000)


def _shorten(rule: dict[str, Any], factor: float, floor: float) -> None:
    def shorter(match: re.Match[str]) -> str:
        return _written(min(seconds(match[0]), max(seconds(match[0]) / factor, floor)))

    def window(match: re.Match[str]) -> str:
        whole = match[0]
        return whole if whole.startswith('"') else re.sub(_DURATION, shorter, whole)

    rule["expr"] = _WINDOWS.sub(window, str(rule["expr"]))
    for key in _WAITS:
        if key in rule:
            rule[key] = re.sub(_DURATION, shorter, str(rule[key]))


def waits(texts: Iterable[str]) -> list[str]:
    """The name of each alert in these rule files and for how long it pends, sorted."""
    return sorted(
        f"{rule['alert']}: {seconds(str(rule.get('for', '0s'))):g} s"
        for text in texts
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    )


def running_waits(groups: Iterable[Mapping[str, Any]]) -> list[str]:
    """The same of the ``groups`` that Prometheus' API lists."""
    return sorted(
        f"{rule['name']}: {float(rule['duration']):g} s"
        for group in groups
        for rule in group["rules"]
        if rule["type"] == "alerting"
    )


def seconds(duration: str) -> float:
    """The seconds of a duration such as ``1m30s``."""
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))


def _written(value: float) -> str:
    milliseconds = round(value * 1000)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"
