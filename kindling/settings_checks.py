"""Whether values can be meant: types and choices as the roles declare them, pools, ports."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from kindling.errors import KindlingError

Spec = Mapping[str, Any]

_NAME_LENGTH = 50
_NAME = re.compile(rf"[a-z0-9][a-z0-9.-]{{0,{_NAME_LENGTH - 1}}}")
_TRUTH = {"yes", "no", "true", "false", "on", "off", "y", "n", "1", "0"}


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lstrip("-").isdigit()


# What Ansible accepts for each type: it converts strings.
_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "str": ("text", lambda v: isinstance(v, str | int | float)),
    "path": ("a path", lambda v: isinstance(v, str)),
    "int": ("a whole number", lambda v: _is_int(v) or _is_digits(v)),
    "float": ("a number", lambda v: _is_int(v) or isinstance(v, float) or _is_digits(v)),
    "bool": ("true or false", lambda v: isinstance(v, bool) or str(v).lower() in _TRUTH),
    "dict": ("a mapping", lambda v: isinstance(v, dict)),
    "list": ("a list", lambda v: isinstance(v, list)),
}


def check_value(source: str, key: str, value: Any, spec: Spec) -> None:
    """Raise KindlingError when ``value`` is not of the spec's type or among its choices."""
    if isinstance(value, str) and "{{" in value:
        return
    name, fits = _TYPES.get(spec.get("type", "raw"), ("", lambda _: True))
    if not fits(value):
        raise _wrong(source, f"{key} is {value!r}, but must be {name}", key)
    choices = spec.get("choices")
    if choices and value not in choices:
        listed = ", ".join(map(str, choices))
        raise _wrong(source, f"{key} is {value!r}, but must be one of: {listed}", key)
    if spec.get("type") == "list":
        entry = {"type": spec.get("elements", "raw"), "options": spec.get("options")}
        for number, element in enumerate(value):
            check_value(source, f"{key}[{number}]", element, entry)
    elif spec.get("options"):
        _check_options(source, key, value, spec["options"])


def check_name(name: Any) -> None:
    """Raise KindlingError unless kind takes ``name``, which also names our folder."""
    if not _templated(name) and not _NAME.fullmatch(str(name)):
        raise KindlingError(
            f"cluster_name is {str(name)!r}, but must be of small letters, digits, . and -, "
            f"{_NAME_LENGTH} at most",
            next_step="-e cluster_name=kindling",
        )


def check_gpu_mode(mode: Any) -> None:
    """Raise KindlingError for a mode that a cluster on this machine cannot have yet."""
    if mode == "nvidia":
        raise KindlingError(
            "gpu_mode is nvidia, but a kind cluster cannot have real GPUs yet",
            next_step="set gpu_mode to simulated or none",
        )


def check_pools(pools: Any) -> None:
    """Raise KindlingError unless the pools make a cluster."""
    if not isinstance(pools, list) or _templated(pools):
        return
    for pool in pools:
        for key in ("count", "gpus"):
            if key in pool and not _is_int(pool[key]):
                raise _pools(f"{key} of the pool {pool['name']} is {pool[key]!r}, not a number")
        if pool.get("count", 1) < 1:
            raise _pools(f"the pool {pool['name']} has count {pool['count']}, but needs 1 or more")
        if pool.get("gpus", 0) < 0:
            raise _pools(f"the pool {pool['name']} has gpus {pool['gpus']}, but needs 0 or more")
    names = [pool["name"] for pool in pools]
    if twice := sorted({str(name) for name in names if names.count(name) > 1}):
        raise _pools(f"the name {twice[0]} is there more than once")
    planes = sum(pool.get("count", 1) for pool in pools if pool["role"] == "control-plane")
    if planes != 1:
        raise _pools(f"{planes or 'no'} nodes have role control-plane, but must be one")


def check_ports(ports: Any, known: Any) -> None:
    """Raise KindlingError for a port that cannot exist, is there twice, or has no service."""
    if not isinstance(ports, dict) or _templated(ports):
        return
    for service, port in ports.items():
        if isinstance(known, dict) and service not in known:
            raise _ports(f"there is no service {service}{_near(service, known)}")
        if not _is_int(port) or not 0 < port < 65536:
            raise _ports(f"the port of {service} is {port!r}, but must be from 1 to 65535")
    missing = [service for service in known or {} if service not in ports]
    if missing:
        raise _ports(f"the port of {missing[0]} is missing")
    if len(set(ports.values())) < len(ports):
        raise _ports("two services have the same port")


def _check_options(source: str, key: str, value: Mapping[str, Any], options: Spec) -> None:
    for name in value:
        if name not in options:
            raise _wrong(source, f"unknown key {name} in {key}{_near(name, options)}", key)
    for name, spec in options.items():
        if name in value:
            check_value(source, f"{key}.{name}", value[name], spec)
        elif spec.get("required"):
            raise _wrong(source, f"{key} lacks {name}", key)


def _templated(value: Any) -> bool:
    return "{{" in str(value)


def _near(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
    return f"; the closest known one is {near[0]}" if near else ""


def _wrong(source: str, problem: str, key: str) -> KindlingError:
    return KindlingError(f"{source}: {problem}", next_step=f"correct {key} in {source}")


def _pools(problem: str) -> KindlingError:
    return KindlingError(
        f"cluster_node_pools: {problem}", next_step="correct cluster_node_pools in the inventory"
    )


def _ports(problem: str) -> KindlingError:
    return KindlingError(
        f"cluster_ports: {problem}", next_step="correct cluster_ports in the inventory"
    )
