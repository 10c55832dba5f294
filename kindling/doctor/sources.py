"""Where the package clients of this machine would fetch from, by their own configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kindling import pip_config
from kindling.doctor.context import Context
from kindling.doctor.web import Answer, without_credentials


@dataclass(frozen=True)
class Reach:
    """Whether a source would deliver; None where that cannot be known. ``words`` say why."""

    useful: bool | None
    words: str
    date: float | None = None


Probe = Callable[[Context], Reach]


def go_modules(context: Context) -> Reach:
    """The Go module proxy, asked for the version of kind that is pinned."""
    machine = context.machine
    configured = machine.env.get("GOPROXY", "")
    if not configured:
        go = machine.which("go") or _built_go(context)
        if go is None:
            return Reach(None, "known once Go is there, which comes as a Python package")
        configured = machine.run([go, "env", "GOPROXY"]).out.strip()
    for entry in configured.replace("|", ",").split(","):
        if entry == "off":
            return Reach(False, "GOPROXY is off")
        if entry.startswith("http"):
            module = f"sigs.k8s.io/kind/@v/{context.versions.tools['kind']}.info"
            return _reach(entry, machine.ask(f"{entry.rstrip('/')}/{module}"))
    return Reach(None, f"GOPROXY is {configured or 'empty'}: each module's own host is asked")


def python_packages(context: Context) -> Reach:
    """The index that pip is configured with, with pip's own certificates and proxy."""
    machine = context.machine
    config = pip_config.parse(machine.run(pip_config.command()).out)
    if pip_config.asks_no_index(config):
        return Reach(None, f"pip asks no index, only {config.get('find-links', 'nothing')}")
    index = config.get("index-url") or machine.run(pip_config.default_index_command()).out.strip()
    answer = machine.ask(
        f"{index.rstrip('/')}/pip/", proxy=config.get("proxy", ""), cafile=config.get("cert", "")
    )
    return _reach(index, answer)


def debian_packages(context: Context) -> Reach:
    """The first archive in apt's configuration."""
    machine = context.machine
    listed = machine.run(["apt-get", "--print-uris", "update"])
    uris = [line.split()[0].strip("'") for line in listed.out.splitlines() if line.strip()]
    first = next((uri for uri in uris if uri.startswith("http")), None)
    if first is None:
        return Reach(False, "apt has no archive that is reached over HTTP")
    shell = machine.run(["apt-config", "shell", "proxy", "Acquire::http::Proxy"]).out
    proxy = shell.partition("=")[2].strip().strip("'")
    answer = machine.ask(first, proxy="" if proxy == "DIRECT" else proxy)
    return _reach(first.partition("/dists/")[0], answer)


def _reach(url: str, answer: Answer) -> Reach:
    shown = without_credentials(url)
    if answer.useful:
        return Reach(True, f"{shown} answers", answer.date)
    return Reach(False, f"{shown}: {answer.words}", answer.date)


def _built_go(context: Context) -> str | None:
    found = sorted((context.machine.cache / "store").glob("go-toolchain-*/go/bin/go"))
    return str(found[-1]) if found else None
