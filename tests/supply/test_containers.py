"""Image archives under the names that clusters look for."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from scripted import scripted

from kindling import paths, pip_config
from kindling.errors import KindlingError
from kindling.supply.containers import Engine, Image, bake, retag, save
from kindling.supply.elf import exit_zero


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """What ``docker save`` of two images writes, other files included."""
    file = tmp_path / "saved.tar"
    manifest = [
        {"Config": f"blobs/sha256/c{i}", "RepoTags": [f"kindling/{n}:1"], "Layers": [f"blobs/l{i}"]}
        for i, n in enumerate(("etcd", "pause"))
    ]
    with tarfile.open(file, "w") as archive:
        add(archive, "index.json", b"{}")
        for name in ("blobs/sha256/c0", "blobs/sha256/c1", "blobs/l0", "blobs/l1"):
            add(archive, name, name.encode())
        add(archive, "manifest.json", json.dumps(manifest).encode())
    return file


def test_archives_name_all_images_first(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "named.tar"
    retag(
        saved,
        target,
        {
            "docker.io/kindling/etcd:1": "registry.k8s.io/etcd:3.6.8-0",
            "docker.io/kindling/pause:1": "registry.k8s.io/pause:3.10",
        },
    )
    with tarfile.open(target) as archive:
        names = archive.getnames()
        assert names[0] == "manifest.json"
        assert "index.json" not in names, "containerd would read the old names in it"
        manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        layer = archive.extractfile("blobs/l1")
        assert layer is not None
        assert layer.read() == b"blobs/l1"
    assert [entry["RepoTags"] for entry in manifest] == [
        ["registry.k8s.io/etcd:3.6.8-0"],
        ["registry.k8s.io/pause:3.10"],
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An engine's folder with the content of two images; one is an index of more than is here."""
    blobs = tmp_path / "engine/containerd/daemon/io.containerd.content.v1.content/blobs/sha256"
    blobs.mkdir(parents=True)

    def described(config: str, layer: str) -> str:
        layers = [{"digest": f"sha256:{layer}"}]
        return json.dumps({"config": {"digest": f"sha256:{config}"}, "layers": layers})

    platforms = [
        {"digest": "sha256:aa", "platform": {"architecture": "unknown", "os": "unknown"}},
        {"digest": "sha256:bb", "platform": {"architecture": "riscv64", "os": "linux"}},
        {"digest": "sha256:2e", "platform": {"architecture": "amd64", "os": "linux"}},
    ]
    for name, content in {
        "1e": json.dumps({"manifests": platforms}), "aa": "{}", "2e": described("ce", "le"),
        "1f": described("cf", "lf"), "ce": "{}", "cf": "{}", "le": "layer e", "lf": "layer f",
    }.items():  # fmt: skip
        (blobs / name).write_text(content)
    return tmp_path / "engine"


def about(root: Path, kind: str = "io.containerd.snapshotter.v1") -> str:
    return json.dumps({"DriverStatus": [["driver-type", kind]], "DockerRootDir": str(root)})


NAMED = {
    "docker.io/kindling/etcd:1": "registry.k8s.io/etcd:3.6.8-0",
    "docker.io/kindling/pause:1": "registry.k8s.io/pause:3.10",
}


def test_images_are_read_where_the_engine_has_their_content(root: Path, tmp_path: Path) -> None:
    docker = scripted(tmp_path, "docker", (0, about(root), ""), (0, "sha256:1e\nsha256:1f\n", ""))
    save(Engine(docker.path, "unix:///nowhere"), tmp_path / "named.tar", NAMED)
    assert docker.calls[1] == ["image", "inspect", "--format={{.Id}}", *NAMED]
    with tarfile.open(tmp_path / "named.tar") as archive:
        names = archive.getnames()
        manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        content = [archive.extractfile(one["Layers"][0]).read() for one in manifest]  # type: ignore[union-attr]
    assert names[0] == "manifest.json"
    assert [one["RepoTags"] for one in manifest] == [[name] for name in NAMED.values()]
    assert content == [b"layer e", b"layer f"]
    assert [one["Config"] for one in manifest] == ["blobs/sha256/ce", "blobs/sha256/cf"]


@pytest.mark.parametrize("why", ["another store", "a part that is elsewhere", "another host's"])
def test_images_out_of_reach_are_saved_by_the_engine(
    why: str, root: Path, saved: Path, tmp_path: Path
) -> None:
    told = about(root)
    answers = [(0, "sha256:1e\nsha256:1f\n", "")]
    if why == "a part that is elsewhere":
        (root / "containerd/daemon/io.containerd.content.v1.content/blobs/sha256/lf").unlink()
    else:
        told = about(root, "overlay2") if why == "another store" else about(root / "missing")
        answers = []
    docker = scripted(tmp_path, "docker", (0, told, ""), *answers, (0, "", ""))
    saved.rename(tmp_path / "named.raw")
    save(Engine(docker.path, "unix:///nowhere"), tmp_path / "named.tar", NAMED)
    assert docker.calls[-1] == ["save", "--output", str(tmp_path / "named.raw"), *NAMED]
    with tarfile.open(tmp_path / "named.tar") as archive:
        assert "blobs/l1" in archive.getnames()
    assert not (tmp_path / "named.raw").exists()


def test_the_probe_is_a_program_that_exits_with_zero(tmp_path: Path) -> None:
    import platform

    archive = tmp_path / "probe.tar"
    exit_zero(archive, platform.machine())
    program = tmp_path / "probe"
    with tarfile.open(archive) as tar:
        content = tar.extractfile(program.name)
        assert content is not None
        program.write_bytes(content.read())
        program.chmod(tar.getmember(program.name).mode)
    assert subprocess.run([program]).returncode == 0


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    with pytest.raises(KindlingError, match="riscv64"):
        exit_zero(tmp_path / "probe.tar", "riscv64")


@pytest.mark.parametrize("index", ["https://user:hidden-word@index.example/simple", ""])
def test_builds_know_the_package_index_and_its_password_is_in_no_file(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pip_config, "load", lambda: {"index-url": index} if index else {})
    monkeypatch.setattr(paths, "ca_bundle", lambda: tmp_path / "ca.pem")
    builder = tmp_path / "buildx"
    builder.write_text(f"#!/bin/sh\ncat > {tmp_path}/plan\nenv > {tmp_path}/env\n")
    builder.chmod(0o755)
    engine = Engine(Path("/docker"), "unix:///nowhere", (str(builder),))
    bake([Image("pause")], engine, {}, tmp_path)
    plan = (tmp_path / "plan").read_text()
    secrets = json.loads(plan)["target"]["pause"]["secret"]
    assert secrets[0] == f"id=ca,src={tmp_path / 'ca.pem'}"
    assert "hidden-word" not in plan
    for secret in secrets[1:]:
        variable = secret.removeprefix("id=uv,env=")
        assert f'{variable}=index-strategy = "unsafe-best-match"' in (tmp_path / "env").read_text()
    assert len(secrets) == (2 if index else 1)


DOCKER = """#!/bin/sh
echo "$*" >> {folder}/asked
case "$*" in
  "image ls "*) printf 'kindling/a:1\\nregistry.k8s.io/b:2\\n<none>:<none>\\n' ;;
  *) grep -qx "$4" {folder}/later 2>/dev/null && exit 0
     cat {folder}/said >&2; exit 1 ;;
esac
"""


def test_the_engine_is_asked_once_which_images_it_has(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text(DOCKER.format(folder=tmp_path))
    docker.chmod(0o755)
    (tmp_path / "said").write_text("Error response from daemon: No such image: c:3\n")
    engine = Engine(docker, "unix:///nowhere")
    assert engine.has_image("docker.io/kindling/a:1")
    assert engine.has_image("registry.k8s.io/b:2")
    assert len((tmp_path / "asked").read_text().splitlines()) == 1
    assert not engine.has_image("docker.io/kindling/c:3")
    # What is built in between is found.
    (tmp_path / "later").write_text("docker.io/kindling/c:3\n")
    assert engine.has_image("docker.io/kindling/c:3")
    (tmp_path / "said").write_text("Cannot connect to the Docker daemon\n")
    with pytest.raises(KindlingError, match="Cannot connect"):
        engine.has_image("docker.io/kindling/d:4")
