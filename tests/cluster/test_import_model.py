"""Importing models for real: the converter's container, and the way into the registry."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Cluster, kindling
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kindling import cluster as clusters
from kindling import environments, import_container, import_source, paths
from kindling.errors import KindlingError
from kindling.import_answer import Answer
from kindling.supply.modes import Supplier
from kindling.supply.versions import load

MAKER = paths.REPOSITORY / "tests" / "importer" / "made_models.py"
# Of the last, the image needs a locale.
GOOD = ("pipeline", "xgboost_classifier", "lightgbm_regressor", "words")
BAD = ("attempts", "endless", "greedy", "prints", "with_a_function")
NAME = "kindling-test-imported"


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> str:
    """The converter's image, built unless it is there."""
    known = clusters.known(cluster.name)
    supplier = Supplier(load(), cluster.engine.docker, cluster.engine.host)
    return supplier.importer(known["supply"], known.get("mirror", ""))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for each of ``GOOD`` and ``BAD``."""
    out = tmp_path_factory.mktemp("made")
    python = environments.ensure("importer")
    done = subprocess.run([python, "-W", "ignore", MAKER, out, *GOOD, *BAD], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return out


def convert(cluster: Cluster, image: str, model: Path, to: Path, seconds: float = 300) -> Answer:
    import_source.fetch(str(model), to)
    return import_container.convert(cluster.engine, image, to, "mine", seconds=seconds)


def containers(cluster: Cluster) -> str:
    """Those of conversions."""
    return cluster.engine.run("ps", "--all", "--quiet", "--filter=name=kindling-import-").strip()


def test_a_pickle_can_do_nothing(cluster: Cluster, image: str, made: Path, tmp_path: Path) -> None:
    with pytest.raises(KindlingError, match=r"RuntimeError: it could do nothing$"):
        convert(cluster, image, made / "attempts" / "model", tmp_path / "source")


@pytest.mark.parametrize(
    ("name", "reason", "seconds"),
    [
        ("endless", "did not end within 10 s", 10),
        ("greedy", "of memory that it may take|more memory than it may take|MemoryError", 300),
        ("prints", "a NoneType has no predict", 300),
    ],
)
def test_what_cannot_be_converted_leaves_no_container(
    name: str, reason: str, seconds: float, cluster: Cluster, image: str, made: Path, tmp_path: Path
) -> None:
    with pytest.raises(KindlingError, match=reason):
        convert(cluster, image, made / name / "model", tmp_path / "source", seconds)
    assert containers(cluster) == ""


@pytest.fixture
def registered(mlflow: MlflowClient) -> Iterator[MlflowClient]:
    """The registry, without the test's model before and after."""

    def remove() -> None:
        # As a rule it is not there.
        with suppress(MlflowException):
            mlflow.delete_registered_model(NAME)

    remove()
    yield mlflow
    remove()


@pytest.mark.parametrize("name", GOOD)
def test_a_model_becomes_a_version_that_says_the_same(
    name: str, cluster: Cluster, made: Path, registered: MlflowClient
) -> None:
    done = kindling("import_model", str(made / name / "model"), NAME)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    parity = re.search(r"1000 random rows, .*, numbers by (\S+) of their spread at most", said)
    assert parity, done.stdout
    assert float(parity[1]) < 1e-5
    assert containers(cluster) == ""
    assert f"next: nox -s promote -- {NAME} 1" in done.stdout
    version = registered.get_model_version_by_alias(NAME, "challenger")
    assert version.tags["gate"] == "passed"
    assert set(json.loads(version.tags["sha256"])) == {"model.json", "model.onnx"}
    again = kindling("import_model", f"models:/{NAME}@challenger", f"{NAME}-again")
    # What was imported is a package already, and of no flavor that is taken.
    assert again.returncode == 1
    assert "its flavors are onnx" in again.stderr


def test_a_model_that_is_refused_leaves_nothing(
    cluster: Cluster, made: Path, registered: MlflowClient
) -> None:
    done = kindling("import_model", str(made / "with_a_function" / "model"), NAME)
    assert done.returncode == 1
    assert "a function of its own" in done.stderr
    with pytest.raises(MlflowException, match="not found"):
        registered.get_registered_model(NAME)
    assert containers(cluster) == ""
