"""What would stop ``cluster-up`` on this machine, each with what to do about it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from kindling import settings as inventories
from kindling.doctor import containers, disk, host, ports, supply, tools
from kindling.doctor.check import Check, fail, warn
from kindling.doctor.context import Context
from kindling.doctor.machine import Machine, gather
from kindling.doctor.report import as_json, passes, render
from kindling.errors import KindlingError
from kindling.settings import Settings
from kindling.supply.versions import Versions
from kindling.supply.versions import load as load_versions
from kindling.table import console

__all__ = ["Check", "critical", "main", "passes", "render", "run_checks"]

Area = Callable[[Context], Check | list[Check]]

_SECONDS = 4.5
_CRITICAL_SECONDS = 2.0
_CRITICAL: dict[str, Area] = {
    "platform": host.platform,
    "rights": host.rights,
    "disk": disk.disk,
    "memory": host.memory,
    "cluster": containers.same_name,
}
_ALL: dict[str, Area] = {
    "platform": host.platform,
    "rights": host.rights,
    "capabilities": host.capabilities,
    "engine": containers.engine,
    "privileged containers": containers.privileged,
    "container network": containers.network,
    "image store": containers.image_store,
    "cgroups": host.cgroups,
    "inotify": host.inotify,
    "memory": host.memory,
    "disk": disk.disk,
    "ports": ports.ports,
    "kind": partial(tools.tool, name="kind"),
    "kubectl": partial(tools.tool, name="kubectl"),
    "helm": partial(tools.tool, name="helm"),
    "supplies": supply.supplies,
    "CA bundle": supply.certificates,
    "cluster": containers.same_name,
    "pod network": containers.pod_network,
}


def run_checks(
    settings: Settings,
    machine: Machine | None = None,
    versions: Versions | None = None,
    areas: Mapping[str, Area] = _ALL,
    seconds: float = _SECONDS,
) -> list[Check]:
    """Run all checks at once, in ``seconds`` at most, and return them in their usual order."""
    context = Context(settings, machine or Machine(), versions or load_versions())
    results = gather({name: partial(area, context) for name, area in areas.items()}, seconds)
    checks: list[Check] = []
    for name, result in results.items():
        if result is None:
            checks.append(warn(name, f"no answer in {seconds:g} s", "run nox -s doctor again"))
        elif isinstance(result, Exception):
            checks.append(
                warn(name, f"could not be looked at: {result}", "run nox -s doctor again")
            )
        else:
            checks += result if isinstance(result, list) else [result]
    return checks


def critical(settings: Settings, machine: Machine | None = None) -> list[Check]:
    """The few checks with which ``cluster-up`` begins; they take a tenth of a second.

    Ports are checked by ``settings.load`` already, and the next free ones are taken anyway.
    """
    return run_checks(settings, machine, areas=_CRITICAL, seconds=_CRITICAL_SECONDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the findings. Returns 1 when one of them would stop ``cluster-up``."""
    parser = argparse.ArgumentParser(
        prog="nox -s doctor --", description=__doc__, allow_abbrev=False
    )
    inventories.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(argv)
    try:
        checks = run_checks(inventories.load(options.inventory, options.set))
    except KindlingError as error:
        checks = [fail("inventory", error.message, error.next_step)]
    if options.json:
        print(as_json(checks))
    else:
        console().print(render(checks))
    return 0 if passes(checks) else 1
