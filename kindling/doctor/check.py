"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Check:
    """One finding. ``fix`` is a command or an action, empty where nothing is to be done."""

    name: str
    status: Status
    found: str
    fix: str = ""


def ok(name: str, found: str) -> Check:
    """All is well, or Kindling copes by itself."""
    return Check(name, "ok", found)


def warn(name: str, found: str, fix: str) -> Check:
    """It works, but worse, or perhaps not for long."""
    return Check(name, "warn", found, fix)


def fail(name: str, found: str, fix: str) -> Check:
    """``cluster-up`` would stop here."""
    return Check(name, "fail", found, fix)


def skip(name: str, why: str) -> Check:
    """Nothing to judge, or not needed."""
    return Check(name, "skip", why)
