"""Which objects a cluster has: one question for each kind, however many objects are looked for."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from kindling.api import Api, ApiError


class LiveObjects:
    """The names of objects by kind, asked for when a kind is first looked for."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._resources: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._names: dict[str, set[tuple[str, str]]] = {}

    def has(self, document: Mapping[str, Any], namespace: str) -> bool:
        """Whether the object that ``document`` describes is there, by default in ``namespace``."""
        version, about = document["apiVersion"], document["metadata"]
        resource = self._resources_of(version).get(document["kind"])
        if resource is None:
            return False
        where = about.get("namespace", namespace) if resource["namespaced"] else ""
        return (where, about["name"]) in self._names_at(f"{_root(version)}/{resource['name']}")

    def _resources_of(self, version: str) -> dict[str, Mapping[str, Any]]:
        if version not in self._resources:
            try:
                listed = self._api.get(_root(version))["resources"]
            except ApiError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                listed = []
            # Names with a slash are parts of objects, such as their status.
            self._resources[version] = {r["kind"]: r for r in listed if "/" not in r["name"]}
        return self._resources[version]

    def _names_at(self, path: str) -> set[tuple[str, str]]:
        if path not in self._names:
            self._names[path] = {
                (about.get("namespace", ""), about["name"]) for about in self._api.metadata(path)
            }
        return self._names[path]


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"
