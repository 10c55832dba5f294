"""What kind's build of the node image reads."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from kindling.supply import node
from kindling.supply.containers import Engine, Image
from kindling.supply.node import archives, server_archive
from kindling.supply.store import Step

_NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")


@pytest.mark.parametrize("name", ["kubeadm", "kubelet"])
def test_kind_gets_a_script_that_runs_the_one_binary_under_its_own_name(
    name: str, tmp_path: Path
) -> None:
    for file in ("kubectl", *(f"{archive}.tar" for archive in _NAMES)):
        (tmp_path / file).write_text(file)
    server_archive(tmp_path / "server.tar.gz", tmp_path, tmp_path, "v1.36.4")
    script = tmp_path / name
    with tarfile.open(tmp_path / "server.tar.gz") as archive:
        files = {Path(member).name for member in archive.getnames()}
        content = archive.extractfile(f"kubernetes/server/bin/{name}")
        assert content is not None
        text = content.read().decode()
    assert files == {"version", "kubectl", "kubeadm", "kubelet", *(f"{n}.tar" for n in _NAMES)}
    assert "/usr/bin/kubernetes" in text
    script.write_text(text.replace("/usr/bin/kubernetes", "/bin/cat"))
    script.chmod(0o755)
    called = subprocess.run([script, "/proc/self/cmdline"], capture_output=True, check=True)
    assert called.stdout.split(b"\0")[0].decode() == name


def test_kind_pulls_nothing_and_has_the_engines_client_for_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its base image is of this host; no registry has it."""
    real = tmp_path / "the engine's" / "docker"
    kind, out = tmp_path / "kind" / "kind", tmp_path / "out"
    for file, text in (
        (real, f'echo "$@" >> {tmp_path}/calls\n'),
        (kind, 'docker pull base && docker run "a b"\n'),
    ):
        file.parent.mkdir()
        file.write_text(f"#!/bin/sh\n{text}")
        file.chmod(0o755)
    out.mkdir()
    monkeypatch.setattr(node, "server_archive", lambda target, *_: target.touch())
    image = Image("node")
    steps = [Step(name, (), lambda *_: None) for name in ("base", "images", "kubectl", "kind")]
    engine = Engine(real, "unix:///nowhere")
    base, images, kubectl, program = steps
    step = node.node_image_step(image, base, images, kubectl, program, "v1.36.4", engine)
    step.build(out, {one.name: tmp_path / one.name for one in steps})
    assert (tmp_path / "calls").read_text() == "run a b\n"
    assert [file.name for file in out.iterdir()] == ["image.ref"]


def test_images_with_a_shared_layer_are_in_one_of_kinds_archives_and_none_is_empty() -> None:
    parent = Image("kubernetes")
    images = [
        *(Image(name, parent=parent) for name in _NAMES),
        *(Image(name) for name in ("pause", "etcd", "coredns", "kindnetd")),
    ]
    held = archives(images)
    assert tuple(held) == _NAMES
    assert all(held.values())
    assert sorted(i.folder for part in held.values() for i in part) == sorted(
        image.folder for image in images
    )
    assert {image.folder for image in held["kube-apiserver"]} > set(_NAMES)
