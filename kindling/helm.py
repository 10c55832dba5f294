"""Helm releases: what is live, whether that is what is wanted, and putting it right.

A release carries the digest of its chart's files and values as its description. Helm keeps
every revision in a Secret, so the newest one tells whether any of that changed; a release of
which somebody deleted an object is installed again too.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from kindling import retry
from kindling.api import Api
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.live_objects import LiveObjects
from kindling.supply.store import hash_files

_SECRET_KEY = re.compile(r"password|secret|token|credential", re.IGNORECASE)
_AT_ONCE = 4
_MASK = "(hidden)"
# libyaml reads a release's manifest in a tenth of the time.
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Release:
    """A release as it shall be."""

    name: str
    namespace: str
    chart: Path
    values: Mapping[str, Any] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    create_namespace: bool = False

    @cached_property
    def description(self) -> str:
        """What the live release carries when chart and values are these."""
        values = json.dumps(self.values, sort_keys=True)
        digest = hash_files(self.chart)[:20]
        return f"kindling chart {digest} values {_sha(values)[:20]}"


@dataclass(frozen=True)
class Revision:
    """One revision as Helm stores it."""

    name: str
    namespace: str
    number: int
    status: str
    description: str
    values: Mapping[str, Any]
    manifest: str

    @property
    def secret(self) -> str:
        return f"sh.helm.release.v1.{self.name}.v{self.number}"

    @property
    def pending(self) -> bool:
        """Whether a client began this revision and never ended it."""
        return self.status.startswith("pending")


@dataclass(frozen=True)
class Plan:
    """What one release needs."""

    release: Release
    live: Revision | None
    deployed: bool
    remove: bool = False
    whole: bool = True

    @property
    def changed(self) -> bool:
        """Whether the live release is not what is wanted."""
        if self.remove:
            return self.live is not None
        live = self.live
        right = (
            live is not None
            and live.status == "deployed"
            and live.description == self.release.description
            and self.whole
        )
        return not right

    @property
    def recovered(self) -> bool:
        """Whether a killed client left this release half done."""
        return self.live is not None and self.live.pending


def decode(secret: Mapping[str, Any]) -> Revision:
    """The revision in a Secret of Helm's (base64 twice, gzip, JSON)."""
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    raw = json.loads(gzip.decompress(packed))
    return Revision(
        name=raw["name"],
        namespace=raw["namespace"],
        number=int(raw["version"]),
        # A client updates label and content in one call, but people repair the label alone.
        status=secret["metadata"]["labels"].get("status", raw["info"]["status"]),
        description=raw["info"].get("description", ""),
        values=raw.get("config") or {},
        manifest=raw.get("manifest", ""),
    )


def plan(kubectl: Kubectl, wanted: Sequence[Release], *, remove: bool = False) -> list[Plan]:
    """Compare ``wanted`` with what is live: the newest revisions, and whether objects exist."""
    api = kubectl.api()
    revisions: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for about in api.metadata("/api/v1/secrets", labelSelector="owner=helm"):
        revisions.setdefault((about["namespace"], about["labels"]["name"]), []).append(about)
    objects = LiveObjects(api)
    plans = []
    for release in wanted:
        own = revisions.get((release.namespace, release.name), [])
        newest = max(own, key=lambda about: int(about["labels"]["version"]), default=None)
        deployed = any(about["labels"]["status"] == "deployed" for about in own)
        found = Plan(release, _revision(api, newest) if newest else None, deployed, remove)
        if found.live and not found.changed:
            found = replace(found, whole=_whole(objects, found.live))
        plans.append(found)
    return plans


def _revision(api: Api, about: Mapping[str, Any]) -> Revision:
    return decode(api.get(f"/api/v1/namespaces/{about['namespace']}/secrets/{about['name']}"))


def _whole(objects: LiveObjects, live: Revision) -> bool:
    """Whether every object of a release is there."""
    documents = yaml.load_all(live.manifest, Loader=_YAML)
    return all(objects.has(document, live.namespace) for document in documents if document)


class Helm:
    """Carries plans out with pyhelm3, several at the same time."""

    def __init__(self, binary: Path, kubectl: Kubectl, timeout: int) -> None:
        # Imported late: a run that changes nothing need not wait for it.
        from pyhelm3 import Command

        self._kubectl = kubectl
        self._timeout = timeout
        self._command = Command(
            executable=str(binary),
            kubeconfig=kubectl.kubeconfig,
            kubecontext=kubectl.context,
            history_max_revisions=5,
        )

    def carry_out(self, plans: Sequence[Plan], *, wait: bool) -> None:
        """Install, upgrade or remove what has changed.

        All are tried; KindlingError then names each that failed, with Helm's own words.
        """
        failures = asyncio.run(self._all([plan for plan in plans if plan.changed], wait=wait))
        if failures:
            raise KindlingError("\n".join(failures), next_step="nox -s status")

    def render(self, release: Release) -> str:
        """The manifest that ``release`` would have, as YAML with Secrets hidden."""
        documents = asyncio.run(
            self._command.template(
                release.name,
                str(release.chart),
                values=dict(release.values),
                namespace=release.namespace,
            )
        )
        return masked_manifest(yaml.safe_dump_all(documents, sort_keys=False))

    async def _all(self, plans: Sequence[Plan], *, wait: bool) -> list[str]:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(plan: Plan) -> None:
            async with limit:
                await self._patiently(plan, wait=wait)

        results = await asyncio.gather(*(one(plan) for plan in plans), return_exceptions=True)
        return [
            f"release {plan.release.name}: {_words(result)}"
            for plan, result in zip(plans, results, strict=True)
            if isinstance(result, BaseException)
        ]

    async def _patiently(self, first: Plan, *, wait: bool) -> None:
        """Carry ``first`` out; after a failed try by a new plan, for it may be half done."""
        plans = [first]

        async def once() -> None:
            if not plans:
                plans.extend(
                    await asyncio.to_thread(
                        plan, self._kubectl, [first.release], remove=first.remove
                    )
                )
            due = plans.pop()
            try:
                if due.changed:
                    await self._one(due, wait=wait)
            except KindlingError:
                raise
            except Exception as error:
                raise KindlingError(_words(error)) from error

        await retry.call_async(once, retry.API)

    async def _one(self, plan: Plan, *, wait: bool) -> None:
        release = plan.release
        if plan.remove:
            await self._uninstall(release)
            return
        if plan.live and not plan.deployed:
            # Helm refuses to upgrade what was never deployed.
            await self._uninstall(release)
        elif plan.recovered and plan.live:
            await asyncio.to_thread(
                self._kubectl.check, "delete", "secret", plan.live.secret,
                f"--namespace={release.namespace}", "--ignore-not-found",
            )  # fmt: skip
        if release.create_namespace:
            await asyncio.to_thread(self._namespace, release)
        await self._command.install_or_upgrade(
            release.name,
            str(release.chart),
            dict(release.values),
            namespace=release.namespace,
            create_namespace=False,
            description=release.description,
            reset_values=True,
            timeout=f"{self._timeout}s",
            wait=wait,
        )

    async def _uninstall(self, release: Release) -> None:
        await self._command.uninstall(release.name, namespace=release.namespace, wait=True)

    def _namespace(self, release: Release) -> None:
        labels = {"app.kubernetes.io/part-of": "kindling", **release.namespace_labels}
        document = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": release.namespace, "labels": labels},
        }
        self._kubectl.check(
            "apply", "--server-side", "--field-manager=kindling", "--filename=-",
            stdin=json.dumps(document),
        )  # fmt: skip


def masked(values: Any) -> Any:
    """``values`` with everything hidden whose key speaks of a secret."""
    if isinstance(values, Mapping):
        return {
            key: _MASK if _SECRET_KEY.search(str(key)) and not isinstance(value, (Mapping, list))
            else masked(value)
            for key, value in values.items()
        }  # fmt: skip
    if isinstance(values, list):
        return [masked(value) for value in values]
    return values


def masked_manifest(manifest: str) -> str:
    """A manifest with the data of its Secrets hidden."""
    documents = [document for document in yaml.safe_load_all(manifest) if document]
    for document in documents:
        if document.get("kind") == "Secret":
            for part in ("data", "stringData"):
                if part in document:
                    document[part] = dict.fromkeys(document[part], _MASK)
    documents.sort(key=lambda d: (d.get("kind", ""), d.get("metadata", {}).get("name", "")))
    return yaml.safe_dump_all(documents, sort_keys=True)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _words(error: BaseException) -> str:
    stderr = getattr(error, "stderr", b"") or b""
    text = stderr.decode(errors="replace") if isinstance(stderr, bytes) else str(stderr)
    lines = [line for line in (text or str(error)).strip().splitlines() if line.strip()]
    return " ".join(lines[-3:]) or type(error).__name__
