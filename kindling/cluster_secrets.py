"""Secrets that are generated once per cluster and never shown."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kindling.errors import KindlingError
from kindling.kubectl import Kubectl

_LENGTH = 32
_KINDS = ("deployments", "statefulsets", "daemonsets")
_THERE = "(AlreadyExists)"
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Wanted:
    """A Secret and the keys that it must have."""

    name: str
    namespace: str
    keys: tuple[str, ...]


def missing(kubectl: Kubectl, wanted: Sequence[Wanted]) -> dict[Wanted, list[str]]:
    """The keys that each Secret lacks; Secrets that lack none are left out."""
    listed = kubectl.api().items("/api/v1/secrets", fieldSelector="type=Opaque")
    has = {(s["metadata"]["namespace"], s["metadata"]["name"]): s.get("data") or {} for s in listed}
    lacking = {
        one: [key for key in one.keys if key not in has.get((one.namespace, one.name), {})]
        for one in wanted
    }
    return {one: keys for one, keys in lacking.items() if keys}


def generate(kubectl: Kubectl, lacking: Mapping[Wanted, Sequence[str]]) -> None:
    """Add a random value for each key; what is there already stays as it is."""
    for one, keys in lacking.items():
        _namespace(kubectl, one.namespace)
        values = {key: _random() for key in keys}
        document = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {
                "name": one.name,
                "namespace": one.namespace,
                "labels": {"app.kubernetes.io/part-of": "kindling"},
            },
            "stringData": values,
        }
        try:
            kubectl.check("create", "--filename=-", stdin=json.dumps(document))
        except KindlingError as error:
            # There with other keys, or made by a try whose answer was lost.
            if _THERE not in error.message:
                raise
            kubectl.check(
                "patch", "secret", one.name, f"--namespace={one.namespace}",
                "--patch-file=/dev/stdin",
                stdin=json.dumps({"stringData": values}),
            )  # fmt: skip


def restart_users(kubectl: Kubectl, lacking: Mapping[Wanted, Sequence[str]]) -> list[str]:
    """Restart what runs with an earlier value of a generated key, as ``NAMESPACE/NAME``.

    A Secret that was deleted gets other values, which a container is given at its start: a server
    that keeps passwords, as a database does, takes the new ones then.
    """
    restarted = []
    for kind in _KINDS if lacking else ():
        for item in kubectl.api().items(f"/apis/apps/v1/{kind}"):
            namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
            spec = item["spec"]["template"]["spec"]
            if any(
                one.namespace == namespace and _uses(spec, one.name, keys)
                for one, keys in lacking.items()
            ):
                kubectl.check("rollout", "restart", f"{kind}/{name}", f"--namespace={namespace}")
                restarted.append(f"{namespace}/{name}")
    return restarted


def _uses(spec: Mapping[str, Any], secret: str, keys: Sequence[str]) -> bool:
    """Whether a pod's containers or volumes name one of ``keys`` of ``secret``, or all of it."""
    references = [
        (source.get("secretKeyRef", {}).get("name"), source.get("secretKeyRef", {}).get("key"))
        for container in [*spec.get("initContainers", []), *spec["containers"]]
        for source in (variable.get("valueFrom", {}) for variable in container.get("env", []))
    ]
    references += [
        (source.get("secretRef", {}).get("name"), None)
        for container in [*spec.get("initContainers", []), *spec["containers"]]
        for source in container.get("envFrom", [])
    ]
    for volume in spec.get("volumes", []):
        mounted = volume.get("secret", {})
        items = mounted.get("items") or [{"key": None}]
        references += [(mounted.get("secretName"), item["key"]) for item in items]
    return any(name == secret and key in (None, *keys) for name, key in references)


def _namespace(kubectl: Kubectl, name: str) -> None:
    """Only made, never changed: the labels of a namespace belong to the release that sets them."""
    try:
        kubectl.check("create", "namespace", name)
    except KindlingError as error:
        if _THERE not in error.message:
            raise


def _random() -> str:
    # A letter first: what is all digits would be read as a number by some who get it.
    first = secrets.choice(string.ascii_letters)
    return first + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH - 1))
