"""Canaries on a real cluster, under load: what fails is ended, what does not is promoted."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Cluster, eventually, kindling
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from registering import faulty_digits, register, tag

from kindling.pods import serving_pods

# One request in so many is one that the faulty version fails on.
_EVERY = 5
_SHARE = 0.2


class Traffic:
    """Some 30 requests a second, and how many of them each version answered with which status.

    Most are rows that the faulty version takes, and one of a few is one that it does not.
    """

    def __init__(self, url: str, row: list[float]) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self._url = url
        self._rows = [[0.0] * len(row)] * (_EVERY - 1) + [row]
        self._enough = threading.Event()
        self._deadline = time.monotonic() + 300

    def count(self, version: str | None = None, *, failed: bool = False) -> int:
        """Answers of a version, or of all; only those that failed."""
        return sum(
            count
            for (answered, status), count in self.answers.items()
            if version in (None, answered) and (status >= 500 or not failed)
        )

    @contextmanager
    def sent(self) -> Iterator[None]:
        """Send it meanwhile."""
        thread = threading.Thread(target=self._send)
        thread.start()
        try:
            yield
        finally:
            self._enough.set()
            thread.join()

    def _send(self) -> None:
        number = 0
        while not self._enough.is_set() and time.monotonic() < self._deadline:
            number += 1
            body = json.dumps({"instances": [self._rows[number % _EVERY]], "model": "digits"})
            request = urllib.request.Request(
                f"{self._url}/predict", body.encode(), {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    headers, status = answer.headers, answer.status
            except urllib.error.HTTPError as error:
                headers, status = error.headers, error.code
                error.close()
            self.answers[headers.get("X-Model-Version", "none"), status] += 1
            time.sleep(0.03)


@pytest.fixture
def champion(cluster: Cluster, mlflow: MlflowClient) -> Iterator[str]:
    """The champion; afterwards the aliases are what they were, and pods serve it alone."""
    before = dict(mlflow.get_registered_model("digits").aliases)
    yield str(before["champion"])
    for alias, version in before.items():
        mlflow.set_registered_model_alias("digits", alias, version)
    for alias in mlflow.get_registered_model("digits").aliases.keys() - before.keys():
        mlflow.delete_registered_model_alias("digits", alias)
    alone = (before["champion"], None)
    eventually(lambda: states(cluster) == {alone}, seconds=60, what="the champion is served alone")


def states(cluster: Cluster) -> set[tuple[str | None, str | None]]:
    """Which champion and which canary the pods have."""
    models = [pod.model("digits") for pod in serving_pods(cluster.kubectl, "kindling")]
    return {(one.get("version"), (one.get("canary") or {}).get("version")) for one in models}


def test_one_that_fails_is_ended_by_itself_and_few_saw_it(
    cluster: Cluster, mlflow: MlflowClient, holdout: dict[str, Any], champion: str
) -> None:
    traffic = Traffic(cluster.url, holdout["request"]["instances"][0])
    with faulty_digits(mlflow) as version:
        with traffic.sent():
            done = kindling(
                "canary", "digits", version, f"--share={_SHARE * 100:g}", "--seconds=170"
            )
            seen, every = traffic.count(version), traffic.count()
            eventually(
                lambda: states(cluster) == {(champion, None)}, seconds=30, what="no pod has it"
            )
            ended = traffic.count(version)
            time.sleep(3)
            assert traffic.count(version) == ended
        assert done.returncode == 1, done.stdout + done.stderr
        assert f"version {version} is worse" in done.stdout
        assert "of its requests failed" in done.stdout
        assert f"version {version} of digits is not promoted" in done.stderr
        assert mlflow.get_model_version_by_alias("digits", "champion").version == champion
        assert mlflow.get_model_version("digits", version).tags["canary"].startswith("worse: ")
    # Chance would have it further away once in a million.
    assert 0 < seen <= _SHARE * every + 5 * (_SHARE * (1 - _SHARE) * every) ** 0.5
    assert traffic.count(version, failed=True) > 0
    assert traffic.count(failed=True) == traffic.count(version, failed=True)


def test_a_good_one_is_promoted(
    cluster: Cluster, mlflow: MlflowClient, holdout: dict[str, Any], champion: str, tmp_path: Path
) -> None:
    source = f"models:/digits/{champion}"
    folder = Path(download_artifacts(artifact_uri=source, dst_path=str(tmp_path)))
    files = {name: (folder / name).read_bytes() for name in ("model.json", "model.onnx")}
    version = register(mlflow, files, tag(files))
    try:
        traffic = Traffic(cluster.url, holdout["request"]["instances"][0])
        with traffic.sent():
            done = kindling(
                "canary", "digits", version, "--share=40", "--seconds=25", "--requests=30"
            )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"version {version} is champion (was {champion})" in done.stdout
        assert traffic.count(failed=True) == 0
        assert {version, champion} == {answered for answered, _ in traffic.answers}
        assert mlflow.get_model_version_by_alias("digits", "champion").version == version
    finally:
        mlflow.set_registered_model_alias("digits", "champion", champion)
        mlflow.delete_model_version("digits", version)
