"""kind, kubectl and helm on PATH, beside the versions that are wanted."""

from __future__ import annotations

from kindling.doctor.check import Check, ok
from kindling.doctor.context import Context
from kindling.supply.tools import Tool, catalogue, parse


def tool(context: Context, name: str) -> Check:
    """Whether the user's own tool is used, or another takes its place for Kindling."""
    wanted = catalogue(context.versions.kubernetes, context.versions.tools)[name]
    recorded = context.facts.get("tools", {}).get(name)
    path = context.machine.which(name)
    other = f"Kindling uses {recorded}" if recorded else f"{wanted.wanted} is downloaded or built"
    if path is None:
        return ok(name, f"not on PATH: {other}")
    done = context.machine.run([path, *wanted.ask])
    version = parse(done.out)
    if version is None:
        return ok(name, f"{path} does not tell its version: {other}, yours stays untouched")
    shown = "v" + ".".join(map(str, version))
    if _fits(wanted, version):
        return ok(name, f"{shown} at {path}")
    return ok(name, f"{shown} does not fit {wanted.wanted}: {other}, yours stays untouched")


def _fits(wanted: Tool, version: tuple[int, int, int]) -> bool:
    target = parse(wanted.wanted)
    return target is not None and wanted.fits(version, target)
