"""Deciding what a release needs from what is live."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pyhelm3.errors import Error

from kindling import helm
from kindling.api import Api, ApiError
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl


class FakeApi(Api):
    """Has Secrets as Helm stores them, and objects of the kinds A, in namespaces, and B."""

    def __init__(self, secrets: Sequence[dict[str, Any]], objects: Sequence[str]) -> None:
        self.secrets, self.objects = list(secrets), objects

    def metadata(self, path: str, **selectors: str) -> list[dict[str, Any]]:
        if path == "/api/v1/secrets":
            assert selectors == {"labelSelector": "owner=helm"}
            return [one["metadata"] for one in self.secrets]
        assert path.startswith("/apis/test/v1/")
        named = [one.split("/") for one in self.objects]
        return [
            {"namespace": namespace, "name": name}
            for kind, namespace, name in named
            if kind == path.rpartition("/")[2]
        ]

    def get(self, path: str, *, timeout: float = 20) -> Any:
        if path == "/apis/test/v1":
            resources = (("A", "as", True), ("A", "as/status", True), ("B", "bs", False))
            return {
                "resources": [
                    {"kind": kind, "name": name, "namespaced": namespaced}
                    for kind, name, namespaced in resources
                ]
            }
        if not path.startswith("/api/v1/"):
            raise ApiError("says: not found (404)", 404)
        namespace, _, name = path.removeprefix("/api/v1/namespaces/").split("/")
        (found,) = [
            one
            for one in self.secrets
            if (one["metadata"]["namespace"], one["metadata"]["name"]) == (namespace, name)
        ]
        return found


class FakeKubectl(Kubectl):
    """Reads from a fake API server, and notes what it was told to do."""

    def __init__(self, secrets: Sequence[dict[str, Any]], objects: Sequence[str] = ()) -> None:
        super().__init__(Path("kubectl"), Path("kubeconfig"), "context")
        object.__setattr__(self, "fake", FakeApi(secrets, objects))
        object.__setattr__(self, "calls", [])

    def api(self, *, patient: bool | None = None) -> Api:
        fake: Api = self.fake  # type: ignore[attr-defined]
        return fake

    def check(self, *args: str, stdin: str | None = None, timeout: float = 60) -> str:
        self.calls.append(args)  # type: ignore[attr-defined]
        return ""


def secret(
    release: helm.Release, number: int, status: str, description: str, manifest: str = ""
) -> dict[str, Any]:
    content = {
        "name": release.name,
        "namespace": release.namespace,
        "version": number,
        "info": {"status": status, "description": description},
        "manifest": manifest,
    }
    packed = base64.b64encode(gzip.compress(json.dumps(content).encode()))
    labels = {"name": release.name, "status": status, "owner": "helm", "version": str(number)}
    return {
        "metadata": {
            "name": f"sh.helm.release.v1.{release.name}.v{number}",
            "namespace": release.namespace,
            "labels": labels,
        },
        "data": {"release": base64.b64encode(packed).decode()},
    }


@pytest.fixture
def release(tmp_path: Path) -> helm.Release:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("name: c\n")
    (chart / "templates" / "a.yaml").write_text("kind: A\n")
    return helm.Release("web", "shop", chart, {"replicas": 1})


def only(release: helm.Release, *secrets: dict[str, Any], remove: bool = False) -> helm.Plan:
    (plan,) = helm.plan(FakeKubectl(list(secrets)), [release], remove=remove)
    return plan


def test_what_is_not_there_is_installed(release: helm.Release) -> None:
    assert only(release).changed
    assert not only(release, remove=True).changed


def test_the_same_chart_and_values_change_nothing(release: helm.Release) -> None:
    live = secret(release, 1, "deployed", release.description)
    assert not only(release, live).changed
    assert only(release, live, remove=True).changed


def test_other_values_and_another_file_of_the_chart_are_changes(release: helm.Release) -> None:
    live = secret(release, 1, "deployed", release.description)
    other = helm.Release("web", "shop", release.chart, {"replicas": 2})
    assert only(other, live).changed
    (release.chart / "templates" / "a.yaml").write_text("kind: B\n")
    assert only(dataclasses.replace(release), live).changed


def test_a_manual_upgrade_or_rollback_is_a_change(release: helm.Release) -> None:
    mine = secret(release, 1, "superseded", release.description)
    theirs = secret(release, 2, "deployed", "Rollback to 0")
    assert only(release, mine, theirs).changed


# Some belong into a namespace of others, as what lets them ask the API server, and some in none.
MANIFEST = """
{apiVersion: test/v1, kind: A, metadata: {name: x}}
---
# nothing
---
{apiVersion: test/v1, kind: A, metadata: {name: y, namespace: kube-system}}
---
{apiVersion: test/v1, kind: B, metadata: {name: z}}
"""
OBJECTS = ("as/shop/x", "as/kube-system/y", "bs//z")


def test_a_release_that_has_all_its_objects_is_unchanged(release: helm.Release) -> None:
    live = secret(release, 1, "deployed", release.description, MANIFEST)
    (plan,) = helm.plan(FakeKubectl([live], OBJECTS), [release])
    assert not plan.changed


@pytest.mark.parametrize("lost", OBJECTS)
@pytest.mark.parametrize("other", ["as/office/x", "bs//x"])
def test_a_release_that_lacks_an_object_is_a_change(
    release: helm.Release, lost: str, other: str
) -> None:
    live = secret(release, 1, "deployed", release.description, MANIFEST)
    there = [*(one for one in OBJECTS if one != lost), other]
    (plan,) = helm.plan(FakeKubectl([live], there), [release])
    assert plan.changed


@pytest.mark.parametrize("what", ["apiVersion: test/v1, kind: C", "apiVersion: gone/v1, kind: A"])
def test_a_kind_that_the_cluster_does_not_know_is_a_lost_object(
    release: helm.Release, what: str
) -> None:
    manifest = f"{{{what}, metadata: {{name: x}}}}"
    live = secret(release, 1, "deployed", release.description, manifest)
    (plan,) = helm.plan(FakeKubectl([live], OBJECTS), [release])
    assert plan.changed


def test_the_newest_revision_counts_whatever_their_order(release: helm.Release) -> None:
    old = secret(release, 9, "superseded", "other")
    new = secret(release, 10, "deployed", release.description)
    assert not only(release, new, old).changed


def test_a_release_of_the_same_name_elsewhere_is_another(release: helm.Release) -> None:
    elsewhere = helm.Release("web", "office", release.chart, release.values)
    assert only(release, secret(elsewhere, 1, "deployed", release.description)).changed


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback"])
def test_a_pending_release_is_recovered(release: helm.Release, status: str) -> None:
    plan = only(release, secret(release, 1, status, release.description))
    assert plan.changed
    assert plan.recovered


class FakeCommand:
    """Stands for pyhelm3's client: counts how many installs run at once."""

    def __init__(self, fails: str = "", says: Sequence[str] = ()) -> None:
        self.now = self.most = 0
        self.done: list[str] = []
        self.fails = fails
        self.says = list(says)

    async def install_or_upgrade(self, name: str, *_: object, **__: object) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        if name == self.fails:
            raise RuntimeError("image tag is not a string")
        if self.says:
            raise Error(1, b"", self.says.pop(0).encode())
        self.done.append(f"install {name}")

    async def uninstall(self, name: str, **_: object) -> None:
        self.done.append(f"uninstall {name}")


def client(kubectl: Kubectl, command: FakeCommand) -> helm.Helm:
    made = helm.Helm(Path("helm"), kubectl, 10)
    made._command = command
    return made


def test_releases_are_installed_at_the_same_time(release: helm.Release) -> None:
    kubectl, command = FakeKubectl([]), FakeCommand()
    releases = [helm.Release(name, "shop", release.chart) for name in ("a", "b", "c")]
    client(kubectl, command).carry_out(helm.plan(kubectl, releases), wait=False)
    assert command.most == 3


def test_one_failure_is_named_and_the_others_are_installed(release: helm.Release) -> None:
    kubectl, command = FakeKubectl([]), FakeCommand(fails="b")
    releases = [helm.Release(name, "shop", release.chart) for name in ("a", "b", "c")]
    with pytest.raises(KindlingError, match="release b: image tag is not a string"):
        client(kubectl, command).carry_out(helm.plan(kubectl, releases), wait=False)
    assert command.done == ["install a", "install c"]


IN_PROGRESS = "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress"
UNREACHABLE = (
    'Error: Kubernetes cluster unreachable: Get "https://127.0.0.1:42001/version": net/http: TLS '
    "handshake timeout"
)
DISCOVERY = (
    "Error: could not get apiVersions from Kubernetes: unable to retrieve the complete list of "
    "server APIs: metrics.k8s.io/v1beta1: the server is currently unable to handle the request"
)


def test_a_release_outlasts_an_api_server_that_is_busy(
    release: helm.Release, pauses: list[float]
) -> None:
    kubectl, command = FakeKubectl([]), FakeCommand(says=(UNREACHABLE, DISCOVERY, IN_PROGRESS))
    client(kubectl, command).carry_out(helm.plan(kubectl, [release]), wait=False)
    assert command.done == ["install web"]
    assert pauses == [1, 2, 5]


def test_a_release_that_a_failed_try_left_half_done_is_removed_before_the_next(
    release: helm.Release, pauses: list[float]
) -> None:
    kubectl = FakeKubectl([])
    plans = helm.plan(kubectl, [release])
    kubectl.fake.secrets.append(secret(release, 1, "pending-install", release.description))  # type: ignore[attr-defined]
    command = FakeCommand(says=(UNREACHABLE,))
    client(kubectl, command).carry_out(plans, wait=False)
    assert command.done == ["uninstall web", "install web"]


def test_a_release_that_a_try_without_an_answer_installed_is_not_installed_again(
    release: helm.Release, pauses: list[float]
) -> None:
    kubectl = FakeKubectl([])
    plans = helm.plan(kubectl, [release])
    kubectl.fake.secrets.append(secret(release, 1, "deployed", release.description))  # type: ignore[attr-defined]
    command = FakeCommand(says=(UNREACHABLE,))
    client(kubectl, command).carry_out(plans, wait=False)
    assert command.done == []


def test_a_release_that_cannot_be_installed_ends_at_once_and_says_why(
    release: helm.Release, pauses: list[float]
) -> None:
    kubectl, command = FakeKubectl([]), FakeCommand(says=("Error: failed to render chart",))
    with pytest.raises(KindlingError, match="release web: Error: failed to render chart"):
        client(kubectl, command).carry_out(helm.plan(kubectl, [release]), wait=False)
    assert pauses == []


def test_a_release_ends_at_the_bound_with_helms_last_words(
    release: helm.Release, pauses: list[float]
) -> None:
    kubectl, command = FakeKubectl([]), FakeCommand(says=[UNREACHABLE] * 99)
    with pytest.raises(KindlingError, match="TLS handshake timeout"):
        client(kubectl, command).carry_out(helm.plan(kubectl, [release]), wait=False)
    assert sum(pauses) > 180


def test_a_pending_upgrade_loses_only_the_pending_revision(release: helm.Release) -> None:
    deployed = secret(release, 1, "deployed", "old")
    pending = secret(release, 2, "pending-upgrade", release.description)
    kubectl, command = FakeKubectl([deployed, pending]), FakeCommand()
    client(kubectl, command).carry_out(helm.plan(kubectl, [release]), wait=False)
    assert kubectl.calls[0][:3] == ("delete", "secret", "sh.helm.release.v1.web.v2")  # type: ignore[attr-defined]
    assert command.done == ["install web"]


def test_a_first_install_that_never_ended_is_removed_first(release: helm.Release) -> None:
    kubectl = FakeKubectl([secret(release, 1, "pending-install", release.description)])
    command = FakeCommand()
    client(kubectl, command).carry_out(helm.plan(kubectl, [release]), wait=False)
    assert command.done == ["uninstall web", "install web"]


def test_a_namespace_is_made_with_its_labels(release: helm.Release) -> None:
    labelled = helm.Release(
        "web",
        "shop",
        release.chart,
        namespace_labels={"level": "restricted"},
        create_namespace=True,
    )
    kubectl = FakeKubectl([])
    client(kubectl, FakeCommand()).carry_out(helm.plan(kubectl, [labelled]), wait=False)
    assert kubectl.calls[0][0] == "apply"  # type: ignore[attr-defined]


def test_secrets_are_hidden_in_values_and_manifests() -> None:
    values = {"user": "u", "dbPassword": "p", "auth": {"token": "t", "secretName": {"a": 1}}}
    assert helm.masked(values) == {
        "user": "u",
        "dbPassword": "(hidden)",
        "auth": {"token": "(hidden)", "secretName": {"a": 1}},
    }
    manifest = "kind: Secret\nmetadata: {name: s}\nstringData: {key: value}\n"
    assert "value" not in helm.masked_manifest(manifest)
