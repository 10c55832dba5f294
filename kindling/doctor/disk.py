"""Room for builds and images."""

from __future__ import annotations

from pathlib import Path

from kindling.doctor.check import Check, fail, ok, warn
from kindling.doctor.context import Context
from kindling.doctor.host import GIB

# GiB that are comfortable, and those below which the first run certainly stops.
_COLD = {"packages": (25, 12), "auto": (25, 5)}
_COLD_PULLED = (10, 5)
_WARM = (5, 1)


def disk(context: Context) -> Check:
    """Free space where the cache is and where the engine keeps images."""
    name, machine = "disk", context.machine
    state = context.engine
    places = {machine.cache: "the cache"}
    if state.host.startswith("unix:") or not state.info:
        places[Path(state.info.get("DockerRootDir") or machine.cache / "engine")] = "the engine"
    store = machine.cache / "store"
    warm = context.has_cluster or (store.is_dir() and any(store.iterdir()))
    supply = context.settings.supply
    wanted, needed = _WARM if warm else _COLD.get(supply, _COLD_PULLED)
    systems: dict[int, tuple[int, int, list[str]]] = {}
    for place, what in places.items():
        device, free, inodes = machine.free(place)
        systems.setdefault(device, (free, inodes, []))[2].append(f"{what} ({place})")
    found = "; ".join(
        f"{free / GIB:.1f} GiB free for {' and '.join(of)}" for free, _, of in systems.values()
    )
    least = min(free for free, _, _ in systems.values())
    if any(not inodes for _, inodes, _ in systems.values()):
        return fail(name, f"{found}, but no inodes", "delete what you do not need")
    if least < needed * GIB:
        return fail(
            name,
            f"{found}: {needed} GiB are needed",
            "delete what you do not need, or set KINDLING_CACHE to a folder on another disk",
        )
    if least < wanted * GIB:
        return warn(
            name,
            f"{found}: a {'warm' if warm else 'first'} run with {supply} takes up to {wanted} GiB",
            "make room, or set KINDLING_CACHE to a folder on another disk",
        )
    return ok(name, found)
