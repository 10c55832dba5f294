"""The cluster that ``cluster-up`` made, the one load test of a run, and a namespace for a test."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import loading
import pytest
from cluster_order import ORDER
from mlflow import MlflowClient

from kindling import cluster as clusters
from kindling import cluster_setup, paths, settings
from kindling.kubectl import Kubectl
from kindling.prometheus import Prometheus
from kindling.registry_access import access
from kindling.supply.containers import Engine
from pipeline import params as parameters
from pipeline.digits import Params, prepare
from pipeline.digits.preparation import read

BUSYBOX = "docker.io/kindest/local-path-helper:v20260131-7181c60a"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests here into ``ORDER``, after all that need no cluster."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        if item.path.parent != here:
            return -1
        if item.path.name not in ORDER:
            raise pytest.UsageError(f"{item.path.name} is missing in tests/cluster_order.py")
        return ORDER.index(item.path.name)

    items.sort(key=place)


@dataclass(frozen=True)
class Cluster:
    """What a test needs of the running cluster."""

    name: str
    kubectl: Kubectl
    helm: Path
    engine: Engine
    url: str

    @property
    def nodes(self) -> list[str]:
        return [node.name for node in clusters.nodes(self.engine, self.name)]

    def node_of_pool(self, pool: str) -> str:
        (node,) = self.kubectl.items("nodes", f"--selector=kindling.dev/pool={pool}")
        name: str = node["metadata"]["name"]
        return name

    @property
    def prometheus(self) -> Prometheus:
        return Prometheus(f"http://127.0.0.1:{clusters.known(self.name)['ports']['prometheus']}")


def metrics_of(cluster: Cluster, namespace: str, pod: str) -> str:
    """What a pod of the service tells of itself, asked within: its port is for its namespace."""
    read = (
        "import urllib.request as web;"
        "print(web.urlopen('http://127.0.0.1:8001/metrics', timeout=10).read().decode())"
    )
    return cluster.kubectl.check(
        "exec", f"--namespace={namespace}", pod, "--", "python", "-c", read
    )


def kindling(module: str, *words: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
    """Run ``python -m kindling.MODULE WORDS``, whatever comes of it."""
    return subprocess.run(
        [sys.executable, "-m", f"kindling.{module}", *words],
        cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=seconds,
    )  # fmt: skip


def eventually(check: Callable[[], object], *, seconds: float, what: str) -> object:
    """Ask until ``check`` answers something true; fails with the last answer at the bound."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s, last {answer!r}"
        time.sleep(0.5)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    name = settings.load("local").cluster_name
    known = clusters.facts(name)
    assert known is not None
    engine = Engine(Path(known["engine"]["docker"]), known["engine"]["host"])
    return Cluster(
        name,
        cluster_setup.kubectl(known),
        Path(known["tools"]["helm"]),
        engine,
        f"http://127.0.0.1:{known['ports']['serving']}",
    )


@contextmanager
def administered(cluster: Cluster) -> Iterator[MlflowClient]:
    """MLflow of the cluster, as its administrator; MLflow's own functions find it too."""
    registry = access(cluster.name)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in registry.variables.items():
            patch.setenv(name, value)
        yield MlflowClient(registry.url)


@pytest.fixture(scope="module")
def mlflow(cluster: Cluster) -> Iterator[MlflowClient]:
    with administered(cluster) as client:
        yield client


@pytest.fixture(scope="session")
def load_test(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> loading.LoadTest:
    """The usual load test, which is run once: what must be so under load is read in it."""

    with administered(cluster) as client:
        return loading.run(
            tmp_path_factory.mktemp("load") / "report",
            lambda: loading.state(cluster.kubectl, client, cluster.prometheus),
        )


@pytest.fixture(scope="session")
def holdout(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Eight digits that no model was trained on, as a ``request``, and their ``labels``."""
    folder = tmp_path_factory.mktemp("digits")
    prepare(folder, parameters.load("digits", Params).prepare)
    images = read(folder, "held_out")
    return {
        "request": {"instances": images.pixels[:8].tolist()},
        "labels": images.labels[:8].tolist(),
    }


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl.check("create", "namespace", name)
    cluster.kubectl.check("label", "namespace", name, "app.kubernetes.io/part-of=kindling-tests")
    yield name
    cluster.kubectl.check("delete", "namespace", name, "--wait=false")


@pytest.fixture
def run_pod(cluster: Cluster, namespace: str) -> Callable[..., str]:
    """Start a busybox pod and return its name."""

    def run(name: str, *, node: str = "", gpus: int = 0, command: str = "sleep 600") -> str:
        spec = {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    "image": BUSYBOX,
                    "imagePullPolicy": "Never",
                    "command": ["sh", "-c", command],
                    "resources": {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {},
                }
            ],
            **({"nodeName": node} if node else {}),
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        cluster.kubectl.check(
            "create", f"--namespace={namespace}", "--filename=-", stdin=json.dumps(pod)
        )
        return name

    return run
