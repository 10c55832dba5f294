"""What the last cluster-up carried out, and whether a further one would find all of it in place.

Ansible takes most of the time of a run that changes nothing. While nothing that a run is worked out
from is changed, it would carry out the same actions with the same parameters, as long as they find
the same: an engine, images, a cluster. So they are asked directly, all at once, whether they hold.
Where one does not, or does not answer soon, the playbook runs as ever.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kindling import actions, paths, workloads
from kindling.doctor.machine import gather
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.settings import Settings
from kindling.settings_files import inventory_vars
from kindling.supply.store import hash_files

VARIABLE = "KINDLING_ACTIONS"
_FILE = "last-run.json"
_SECONDS = 5.0
# What parameters are worked out from. Images and charts are compared by the actions themselves.
_INPUTS = (
    "ansible.cfg", "charts", "dashboards", "images/versions.yml", "inventories", "kindling",
    "playbooks", "plugins", "roles",
)  # fmt: skip
# In an inventory: Ansible works it out anew in each run.
_TEMPLATES = ("{{", "{%")
# What later actions are given of an action's result.
_PASSED_ON = {
    "container_engine": ("docker", "host", "source", "owned"),
    "supply": (
        "mode", "node_image", "images", "tools", "kubernetes_version", "pod_network", "mirror",
    ),
    "kind_cluster": ("facts",),
}  # fmt: skip
# Facts that are other ones once the cluster that a run made is whole.
_UNFINISHED = ("complete", "kind_pid")


@dataclass(frozen=True)
class Performed:
    """One action: its name, its parameters, and what it passed on to later ones."""

    action: str
    params: dict[str, Any]
    passed_on: dict[str, Any]


def note(action: str, params: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Append what an action did to the file that the environment names; without one, nothing."""
    file = os.environ.get(VARIABLE)
    if not file:
        return
    performed = Performed(action, dict(params), _passed_on(action, result))
    with open(file, "a", opener=_private) as out:
        out.write(json.dumps(asdict(performed)) + "\n")


def inputs(chosen: Settings, overrides: Mapping[str, Any]) -> str:
    """A digest of what a run is worked out from; empty where that may be another each time.

    ``chosen`` are all variables, of which ``overrides`` and the inventory give some.
    """
    folder = paths.REPOSITORY / "inventories" / chosen.inventory
    given = [overrides, *(variables for _, variables in inventory_vars(folder))]
    texts = [
        json.dumps(value, default=str)
        for variables in given
        for name, value in variables.items()
        if not name.startswith("ansible_")
    ]
    if any(mark in text for mark in _TEMPLATES for text in texts):
        return ""
    parts = [
        sys.prefix, str(paths.cache_dir()), str(paths.REPOSITORY), chosen.inventory,
        json.dumps(dict(chosen.variables), sort_keys=True, default=str),
        hash_files(folder / "hosts.yml", *(paths.REPOSITORY / name for name in _INPUTS)),
    ]  # fmt: skip
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def keep(cluster: str, digest: str, noted: Path, roles: list[str]) -> None:
    """Record a run that has succeeded: its inputs, what it ``noted``, and its ``roles``."""
    performed = [json.loads(line) for line in noted.read_text().splitlines()]
    content = {"inputs": digest, "roles": roles, "performed": performed}
    with open(paths.state_dir(cluster) / _FILE, "w", opener=_private) as out:
        json.dump(content, out)


@dataclass(frozen=True)
class Unchanged:
    """A run that has nothing to do: how many actions hold, their notes, the roles they are of."""

    actions: int
    notes: list[str]
    roles: list[str]


def holds(cluster: str, digest: str) -> Unchanged | None:
    """What the last run of ``cluster`` did, if each action of it still holds; else None."""
    try:
        kept = json.loads((paths.state_dir(cluster) / _FILE).read_text())
        performed = [Performed(**one) for one in kept["performed"]]
        recorded, roles = kept["inputs"], kept["roles"]
    except (OSError, ValueError, TypeError, LookupError):
        return None
    if not digest or recorded != digest or not performed:
        return None
    jobs = {str(number): partial(_asked, one) for number, one in enumerate(performed)}
    answers = gather(jobs, _SECONDS)
    notes: list[str] = []
    for answer in answers.values():
        if not isinstance(answer, list):
            return None
        notes += answer
    return Unchanged(len(performed), notes, roles)


def _asked(one: Performed) -> list[str]:
    """The notes of an action that holds. Raises KindlingError where it does not."""
    if one.action == "workloads_ready":
        wanted = [workloads.Workload(**raw) for raw in one.params["workloads"]]
        if lacking := workloads.not_ready(Kubectl.of(one.params).api(patient=False), wanted):
            raise KindlingError(f"{len(lacking)} workloads are not ready")
        return []
    result = actions.ALL[one.action](one.params, check=True)
    if result["changed"] or _passed_on(one.action, result) != one.passed_on:
        raise KindlingError(f"{one.action} would change something")
    return list(result.get("notes", []))


def _passed_on(action: str, result: Mapping[str, Any]) -> dict[str, Any]:
    passed_on = {key: result[key] for key in _PASSED_ON.get(action, ()) if key in result}
    if facts := passed_on.get("facts"):
        passed_on["facts"] = {k: v for k, v in facts.items() if k not in _UNFINISHED}
    found: dict[str, Any] = json.loads(json.dumps(passed_on))
    return found


def _private(file: str, flags: int) -> int:
    # Values of releases may hold what an inventory keeps from others.
    return os.open(file, flags, 0o600)
