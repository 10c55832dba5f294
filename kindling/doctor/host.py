"""The machine itself: system, rights, control groups, limits, memory."""

from __future__ import annotations

import re

from kindling.doctor.check import Check, fail, ok, skip, warn
from kindling.doctor.context import Context

GIB = 1024**3
_ARCHITECTURES = ("x86_64", "aarch64")
_CONTROLLERS = ("memory", "cpu", "pids")
_CAP_SYS_RESOURCE = 24
_MEMORY_NEEDED, _MEMORY_WANTED = 4 * GIB, 6 * GIB
# Each node takes some dozens: systemd, containerd, kubelet.
_INSTANCES_NEEDED, _INSTANCES_WANTED = 128, 512
_WATCHES_WANTED = 524288


def platform(context: Context) -> Check:
    """Linux on a processor that images exist for; Debian or Ubuntu for installing anything."""
    machine, name = context.machine, "platform"
    if machine.system != "Linux":
        return fail(name, machine.system, "use a Linux machine or a Linux VM")
    release = _release(machine.read("/etc/os-release"))
    shown = f"{release.get('PRETTY_NAME', 'Linux')}, {machine.arch}"
    if machine.arch not in _ARCHITECTURES:
        return fail(name, shown, f"use a machine with {' or '.join(_ARCHITECTURES)}")
    if not {"debian", "ubuntu"} & {release.get("ID"), *release.get("ID_LIKE", "").split()}:
        return warn(
            name,
            f"{shown}: neither Debian nor Ubuntu",
            "start Docker yourself; nothing can be installed or built from packages here",
        )
    return ok(name, shown)


def rights(context: Context) -> Check:
    """Root, or somebody whom the engine lets in."""
    name, machine = "rights", context.machine
    if machine.uid == 0:
        return ok(name, "root")
    state = context.engine
    if state.info:
        return ok(name, "not root, and the engine lets you in")
    if "permission denied" in state.why.lower():
        return fail(
            name,
            f"not root, and {state.host} refuses you",
            "sudo usermod -aG docker $USER, then log in again",
        )
    return fail(
        name,
        "not root, and no engine answers",
        "start Docker, or run as root so that an engine can be installed",
    )


def capabilities(context: Context) -> Check:
    """Whether even root lacks CAP_SYS_RESOURCE here."""
    name = "capabilities"
    found = re.search(r"^CapBnd:\s*([0-9a-f]+)", context.machine.read("/proc/self/status"), re.M)
    if not found:
        return skip(name, "/proc/self/status does not tell")
    if int(found[1], 16) >> _CAP_SYS_RESOURCE & 1:
        return ok(name, "CAP_SYS_RESOURCE is there")
    return ok(
        name,
        "this machine withholds CAP_SYS_RESOURCE: nodes are patched for it by themselves, "
        "and an engine of ours is built from packages",
    )


def cgroups(context: Context) -> Check:
    """The version of control groups, and the controllers that a kubelet needs."""
    name, machine = "cgroups", context.machine
    unified = machine.read("/sys/fs/cgroup/cgroup.controllers").split()
    table = [line.split() for line in machine.read("/proc/cgroups").splitlines()]
    legacy = [row[0] for row in table if len(row) == 4 and row[3] == "1"]
    version, there = ("v2", unified) if unified else ("v1", legacy)
    if not there:
        return skip(name, "neither /sys/fs/cgroup nor /proc/cgroups tells")
    missing = [controller for controller in _CONTROLLERS if controller not in there]
    if missing:
        return fail(
            name,
            f"{version} without {', '.join(missing)}",
            "boot with cgroup_enable=memory, or let the host pass these controllers on",
        )
    note = "" if unified else ": the kubelet is told to accept it, nothing is to be done"
    return ok(name, f"{version}{note}")


def inotify(context: Context) -> Check:
    """Limits that three nodes on one kernel share."""
    name, folder = "inotify", "/proc/sys/fs/inotify"
    values = [
        context.machine.read(f"{folder}/{limit}").strip()
        for limit in ("max_user_instances", "max_user_watches")
    ]
    if not all(value.isdigit() for value in values):
        return skip(name, f"{folder} does not tell")
    instances, watches = map(int, values)
    found = f"{instances} instances, {watches} watches"
    low = []
    if instances < _INSTANCES_WANTED:
        low.append(f"fs.inotify.max_user_instances={_INSTANCES_WANTED}")
    if watches < _WATCHES_WANTED:
        low.append(f"fs.inotify.max_user_watches={_WATCHES_WANTED}")
    fix = f"sudo sysctl -w {' '.join(low)}"
    if instances < _INSTANCES_NEEDED:
        return fail(name, f"{found}: nodes stop with 'too many open files'", fix)
    return warn(name, f"{found}: more nodes may need more", fix) if low else ok(name, found)


def memory(context: Context) -> Check:
    """What is available now; a cluster of ours that runs already has its share."""
    name, machine = "memory", context.machine
    match = re.search(r"^MemAvailable:\s+(\d+) kB", machine.read("/proc/meminfo"), re.M)
    if not match:
        return skip(name, "/proc/meminfo does not tell")
    available = int(match[1]) * 1024
    limit = machine.read("/sys/fs/cgroup/memory.max").strip()
    if limit.isdigit():
        available = min(available, int(limit))
    found = f"{available / GIB:.1f} GiB available"
    if context.has_cluster:
        return ok(name, f"{found} beside the cluster that is there")
    if available < _MEMORY_NEEDED:
        return fail(name, f"{found}, 4 are needed", "stop other programs, or add memory")
    if available < _MEMORY_WANTED:
        return warn(name, f"{found}, 6 are comfortable", "close what you do not need")
    return ok(name, found)


def _release(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value.strip().strip('"') for key, _, value in pairs}
