"""The ports of 127.0.0.1 that services are to have."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from kindling.doctor.check import Check, fail, ok, warn
from kindling.doctor.context import Context
from kindling.doctor.machine import Machine

_LISTEN = "0A"


def bind_error(port: int) -> int:
    """0 when 127.0.0.1:``port`` can be bound, else the system's error number."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno or errno.EADDRINUSE
    return 0


def ports(context: Context, bind: Callable[[int], int] = bind_error) -> list[Check]:
    """One check per service."""
    ours = context.facts.get("ports", {})
    return [
        _port(context, service, port, ours.get(service), bind)
        for service, port in context.settings.ports.items()
    ]


def _port(
    context: Context, service: str, port: int, held: int | None, bind: Callable[[int], int]
) -> Check:
    name = f"port of {service}"
    if context.has_cluster and held is not None:
        if held == port:
            return ok(name, f"{port} is the cluster's")
        return ok(name, f"the cluster has {held}, as {port} was in use when it was made")
    error = bind(port)
    if not error:
        return ok(name, f"{port} is free")
    if error == errno.EACCES:
        return fail(name, f"{port} is only for root", "set cluster_ports above 1023")
    holder = holder_of(context.machine, port)
    return warn(
        name,
        f"{port} is in use{f' by {holder}' if holder else ''}: the next free one is used",
        f"stop {holder or 'what listens there'}, or set cluster_ports in the inventory",
    )


def holder_of(machine: Machine, port: int) -> str:
    """``NAME (pid N)`` of who listens on ``port``, or nothing where /proc does not tell."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in machine.read(f"/proc/net/{table}").splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return ""
    for process in (machine.root / "proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue
    return ""
