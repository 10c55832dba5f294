"""The model service as a user meets it: on a port of this host, and under load."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import Cluster, eventually

from kindling import paths


def predict(url: str, body: bytes) -> dict[str, object]:
    request = urllib.request.Request(
        f"{url}/predict", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, object] = json.load(answer)
    return found


@pytest.fixture(scope="session")
def holdout(cluster: Cluster) -> dict[str, object]:
    """Rows that the served model was not trained on, out of the pod that serves it."""
    text = cluster.kubectl.check(
        "exec", "--namespace=kindling", "deployment/serving", "--",
        "cat", "/opt/model/holdout.json",
    )  # fmt: skip
    found: dict[str, object] = json.loads(text)
    return found


def test_rows_that_were_not_trained_on_get_the_right_digit(
    cluster: Cluster, holdout: dict[str, object]
) -> None:
    answer = predict(cluster.url, json.dumps(holdout["request"]).encode())
    predictions = answer["predictions"]
    assert isinstance(predictions, list)
    assert [prediction["label"] for prediction in predictions] == holdout["labels"]


def test_the_example_of_the_readme_is_a_one(cluster: Cluster) -> None:
    body = (paths.REPOSITORY / "service" / "example.json").read_bytes()
    (prediction,) = predict(cluster.url, body)["predictions"]  # type: ignore[misc]
    assert prediction["label"] == 1


def test_the_port_is_open_on_loopback_only(cluster: Cluster) -> None:
    ports = cluster.engine.run("port", f"{cluster.name}-control-plane")
    assert ports.strip()
    assert all(line.split("-> ")[1].startswith("127.0.0.1:") for line in ports.splitlines())


def test_the_autoscaler_adds_pods_under_load_and_takes_them_away_after(
    cluster: Cluster, holdout: dict[str, object], tmp_path: Path
) -> None:
    """Bounded: at most 150 s of load on loopback, from six threads."""
    rows = holdout["request"]["instances"] * 16  # type: ignore[index]
    body = json.dumps({"instances": rows}).encode()
    stop = time.monotonic() + 150
    enough = threading.Event()

    def load() -> None:
        while time.monotonic() < stop and not enough.is_set():
            try:
                predict(cluster.url, body)
            except OSError:
                time.sleep(0.1)

    def ready() -> int:
        live = cluster.kubectl.get("deployment", "serving", "--namespace=kindling")
        return int(live["status"].get("readyReplicas", 0))

    eventually(lambda: ready() == 1, seconds=420, what="the service is at rest with one pod")
    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: ready() >= 2, seconds=140, what="a second pod is ready")
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    # Kubernetes waits five minutes before it takes pods away.
    eventually(lambda: ready() == 1, seconds=480, what="the extra pods are gone")
