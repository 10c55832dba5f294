"""What the node image takes out of kind's sources, and the images in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kindling.errors import KindlingError
from kindling.supply import node
from kindling.supply.containers import Engine, Image
from kindling.supply.node import go_constant, images_step, write_manifests
from kindling.supply.store import Step

CNI = """package nodeimage
const kindnetdImage = "docker.io/kindest/kindnetd:v1"
const defaultCNIManifest = `
# would you kindly template this file
image: ` + kindnetdImage + `
`
"""
STORAGE = """package nodeimage
const storageHelperImage = "docker.io/kindest/local-path-helper:v1"
const defaultStorageManifest = `
data:
  config.json: |-
    {
            "nodePathMap":[]
    }
  helper: ` + storageHelperImage + `
`
"""


def sources(folder: Path, storage: str = STORAGE) -> Path:
    place = folder / "pkg" / "build" / "nodeimage"
    place.mkdir(parents=True)
    (place / "const_cni.go").write_text(CNI)
    (place / "const_storage.go").write_text(storage)
    (place / "build.go").write_text('const defaultCNIManifest = "another"')
    return folder


def test_kinds_manifests_are_as_its_own_build_writes_them(tmp_path: Path) -> None:
    write_manifests(sources(tmp_path / "kind"), tmp_path / "manifests")
    text = (tmp_path / "manifests" / "default-cni.yaml").read_text()
    assert text == (
        "\n# would you kindly template this file\nimage: docker.io/kindest/kindnetd:v1\n"
    )


def test_the_provisioner_soon_makes_another_helper_pod(tmp_path: Path) -> None:
    write_manifests(sources(tmp_path / "kind"), tmp_path / "manifests")
    storage = yaml.safe_load((tmp_path / "manifests" / "default-storage.yaml").read_text())
    config = yaml.safe_load(storage["data"]["config.json"])
    assert config == {"cmdTimeoutSeconds": node.HELPER_SECONDS, "nodePathMap": []}
    assert storage["data"]["helper"] == "docker.io/kindest/local-path-helper:v1"


def test_sources_of_a_kind_that_is_made_otherwise_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KindlingError, match="no constant defaultStorageManifest"):
        write_manifests(sources(tmp_path / "a", "package nodeimage\n"), tmp_path / "b")
    other = 'const defaultStorageManifest = "kind: ConfigMap"'
    with pytest.raises(KindlingError, match="nodePathMap"):
        write_manifests(sources(tmp_path / "c", other), tmp_path / "d")
    with pytest.raises(KindlingError, match="no constant b"):
        go_constant("const a = `x` + b", "a")


def test_images_that_ride_along_are_in_the_archive_and_no_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = {}
    monkeypatch.setattr(node, "bake", lambda *_: None)
    monkeypatch.setattr(node, "save", lambda _, file, names: saved.update({file.name: names}))
    engine = Engine(Path("docker"), "unix:///nowhere")
    etcd, service = Image("etcd", upstream="registry.k8s.io/etcd:1"), Image("drift")
    ride = (service, Step("drift-image", (), lambda *_: None))
    step = images_step([etcd], engine, [ride])
    step.build(tmp_path, {})
    assert saved == {
        "images.tar": {etcd.built_ref: "registry.k8s.io/etcd:1", service.built_ref: service.ref}
    }
    assert step.key == images_step([etcd], engine).key
    assert [one.name for one in step.after] == ["drift-image"]
