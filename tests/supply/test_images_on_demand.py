"""Images that no cluster waits for: the converter's and the load generator's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kindling import paths
from kindling.errors import KindlingError
from kindling.supply.containers import IMAGES, Engine
from kindling.supply.recipes import Containers, Programs
from kindling.supply.versions import load

VERSIONS = load()
CONTAINERS = Containers(VERSIONS, Programs(VERSIONS), Engine(Path("/docker"), "unix:///nowhere"))


def test_whatever_the_converter_imports_makes_it_another_image() -> None:
    image = CONTAINERS.importer("python:1")
    folder = IMAGES / "importer"
    assert set(image.sources) == {*folder.glob("*.py"), folder / "requirements.txt"}
    assert image.key != CONTAINERS.importer("python:2").key
    assert image.key != CONTAINERS.importer("python:1", "sha256:1").key


def test_cluster_up_does_not_build_it() -> None:
    assert "importer" not in {image.folder for image in CONTAINERS.on_python("python:1")}
    assert "importer" not in CONTAINERS.addons


def test_the_load_generator_is_made_where_it_is_asked_for() -> None:
    assert "load-generator" not in {image.folder for image in CONTAINERS.on_python("python:1")}
    (image,) = CONTAINERS.also(["load-generator"], "python:1")
    assert image.args == {"PYTHON_IMAGE": "python:1"}
    assert CONTAINERS.also([], "python:1") == []
    playbook = yaml.safe_load((paths.REPOSITORY / "playbooks" / "load-generator.yml").read_text())
    assert playbook[0]["vars"]["images_also"].startswith(f"{{{{ ['{image.folder}'] if ")


def test_an_image_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(KindlingError, match="no image load-genarator"):
        CONTAINERS.also(["load-genarator"], "python:1")


def test_it_has_the_runtime_that_the_service_has() -> None:
    """A graph is tried in one and served in the other."""

    def locked(file: Path) -> set[str]:
        lines = file.read_text().splitlines()
        return {line for line in lines if line.startswith("onnxruntime==")}

    own = locked(IMAGES / "importer" / "requirements.txt")
    assert own
    assert own == locked(paths.REPOSITORY / "service" / "requirements.txt")
