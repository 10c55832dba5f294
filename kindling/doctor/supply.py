"""Which supplies can be reached, whether the one that is wanted is among them, and the clock."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

from kindling.doctor.check import Check, fail, ok, skip, warn
from kindling.doctor.context import Context
from kindling.doctor.machine import gather
from kindling.doctor.sources import Reach, debian_packages, go_modules, python_packages
from kindling.supply.modes import registry_of

_PROBE_SECONDS = 3.8
_SKEW_SECONDS = 300
_PACKAGES = {
    "Go modules": go_modules,
    "Python packages": python_packages,
    "Debian packages": debian_packages,
}
# Built here from these, whichever way images come: the service and the GPU plugin.
_ALWAYS = ("Go modules", "Python packages")
_FIX = {
    "registry": "let this machine reach it, or set images_supply to packages",
    "mirror": "correct images_mirror, or set images_supply to auto",
    "Go modules": "export GOPROXY=<a proxy that you reach>",
    "Python packages": "python3 -m pip config set global.index-url <an index that you reach>",
    "Debian packages": "correct /etc/apt/sources.list.d, then apt-get update",
}


def supplies(context: Context) -> list[Check]:
    """One check per source, one for the supply that would be taken, and the clock's."""
    probes = {name: partial(probe, context) for name, probe in _PACKAGES.items()}
    if context.settings.mirror:
        probes["mirror"] = partial(_mirror, context)
    probes["registry"] = partial(_registries, context)
    reached: dict[str, Reach] = {}
    for name, result in gather(probes, _PROBE_SECONDS).items():
        if isinstance(result, Exception):
            result = Reach(None, f"could not be asked: {result}")
        reached[name] = result or Reach(False, f"no answer in {_PROBE_SECONDS:g} s")
    running = str(context.facts.get("supply", ""))
    mode = taken(context.settings.supply, reached, running)
    checks = [_supply(context.settings.supply, mode, reached, running)]
    checks += [_source(context, name, reach, mode) for name, reach in reached.items()]
    return [*checks, clock(context, reached)]


def taken(wanted: str, reached: Mapping[str, Reach], running: str = "") -> str:
    """The supply that ``cluster-up`` would take, as ``auto`` tries them in order.

    ``running`` is the supply of the cluster that is up, to which ``auto`` keeps.
    """
    if wanted != "auto":
        return wanted
    if running:
        return running
    for name in ("mirror", "registry"):
        if name in reached and reached[name].useful:
            return name
    return "packages"


def certificates(context: Context) -> Check:
    """A company's CA bundle that the environment names, and whether it can be read."""
    name, variables = "CA bundle", ("SSL_CERT_FILE", "PIP_CERT")
    named = {v: context.machine.env[v] for v in variables if context.machine.env.get(v)}
    if not named:
        return ok(name, "the system's own")
    for variable, file in named.items():
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:
            return fail(
                name,
                f"{variable}={file}: {error.strerror or error}",
                f"point {variable} to a PEM file, or unset it",
            )
    shown = ", ".join(f"{variable}={Path(file)}" for variable, file in named.items())
    return ok(name, f"{shown}: builds get it as a secret")


def clock(context: Context, reached: Mapping[str, Reach]) -> Check:
    """The clock of this machine beside that of whoever answered."""
    name, now = "clock", context.machine.now()
    fix = "sudo timedatectl set-ntp true, or set the clock with date"
    date = next((reach.date for reach in reached.values() if reach.date is not None), None)
    if date is not None:
        skew = now - date
        if abs(skew) <= _SKEW_SECONDS:
            return ok(name, f"within {max(1, round(abs(skew)))} s of the servers'")
        ahead = "ahead" if skew > 0 else "behind"
        return fail(
            name, f"{abs(skew) / 60:.0f} minutes {ahead}: certificates and tokens fail", fix
        )
    newest = _newest_release(context)
    if newest is not None and now < newest - _SKEW_SECONDS:
        day = time.strftime("%Y-%m-%d", time.gmtime(newest))
        return fail(name, f"behind Debian's archive, which was signed on {day}", fix)
    return skip(name, "nothing answered that tells the time")


def _newest_release(context: Context) -> float | None:
    dates = []
    for file in (context.machine.root / "var/lib/apt/lists").glob("*Release"):
        found = re.search(r"^Date: (.+)$", file.read_text(errors="replace")[:4000], re.M)
        if found:
            dates.append(parsedate_to_datetime(found[1]).timestamp())
    return max(dates, default=None)


def _supply(wanted: str, mode: str, reached: Mapping[str, Reach], running: str) -> Check:
    name = "supply"
    if wanted == "bundle":
        return fail(
            name,
            "bundle cannot be installed from yet",
            "set images_supply to auto in the inventory",
        )
    if wanted != "auto":
        return ok(name, f"{wanted}, as the inventory says")
    if running:
        return ok(name, f"auto keeps to {mode}: the cluster was made with it")
    silent = [n for n in ("mirror", "registry") if n in reached and n != mode]
    if mode == "packages":
        return ok(name, f"auto takes packages: {' and '.join(silent)} cannot be reached")
    return ok(name, f"auto takes {mode}: it answers")


def _source(context: Context, name: str, reach: Reach, mode: str) -> Check:
    title = f"supply: {name}"
    needed = name in _PACKAGES if mode == "packages" else name == mode
    if reach.useful:
        return ok(title, reach.words)
    if reach.useful is None or not (needed or name in _ALWAYS):
        return skip(title, f"{reach.words}{'' if needed else f' (not needed for {mode})'}")
    if context.has_cluster:
        return warn(title, f"{reach.words}; what was made already stays", _FIX[name])
    if not needed:
        return warn(title, f"{reach.words}; what is not in the cache is built from it", _FIX[name])
    return fail(title, reach.words, _FIX[name])


def _mirror(context: Context) -> Reach:
    host = context.settings.mirror
    answers = context.machine.registry_answers(host)
    return Reach(answers, f"{host} {'answers' if answers else 'does not answer'}")


def _registries(context: Context) -> Reach:
    hosts = sorted({registry_of(image.upstream) for image in context.versions.images.values()})
    asked = gather(
        {host: partial(context.machine.registry_answers, host) for host in hosts},
        _PROBE_SECONDS - 0.3,
    )
    silent = [host for host in hosts if asked[host] is not True]
    if silent:
        return Reach(False, f"no answer from {', '.join(silent)}")
    return Reach(True, f"{', '.join(hosts)} answer")
