"""Of images that only nodes run, no files stay in our engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripted import ok, scripted

from kindling.engine import NAMESPACE
from kindling.supply import unpacked
from kindling.supply.containers import Engine

KEEP = ("kindling/node:", "kindling/python:")
LISTED = (
    "kindling/node:1\nkindling/node-base:1\nkindling/mlflow:1\nkindling/python:1\nother/app:1\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of an engine that has the manifests of two images."""
    blobs = tmp_path / "engine/containerd/daemon/io.containerd.content.v1.content/blobs/sha256"
    blobs.mkdir(parents=True)
    for manifest, config in (("1a", "ca"), ("1b", "cb")):
        described = {"config": {"digest": f"sha256:{config}"}, "layers": []}
        (blobs / manifest).write_text(json.dumps(described))
    return tmp_path / "engine"


def about(root: Path, kind: str = "io.containerd.snapshotter.v1") -> str:
    return json.dumps({"DriverStatus": [["driver-type", kind]], "DockerRootDir": str(root)})


def test_files_of_what_only_nodes_run_are_left_to_be_collected(root: Path, tmp_path: Path) -> None:
    docker = scripted(tmp_path, "docker", ok(about(root)), ok(LISTED), ok("sha256:1a\nsha256:1b\n"))
    ctr, socket = scripted(tmp_path, "ctr", ok("7\n")), tmp_path / "containerd.sock"
    socket.touch()
    unpacked.remove(Engine(docker.path, "unix:///a"), ctr.path, socket, KEEP)
    assert docker.calls[2][3:] == ["kindling/node-base:1", "kindling/mlflow:1"]
    where = ["--address", str(socket), "--namespace", NAMESPACE]
    label = "containerd.io/gc.ref.snapshot.overlayfs="
    assert [call[:4] for call in ctr.calls] == [where] * 4
    assert [call[4:] for call in ctr.calls] == [
        ["content", "label", "sha256:ca", label],
        ["content", "label", "sha256:cb", label],
        ["leases", "create"],
        ["leases", "delete", "--sync", "7"],
    ]


@pytest.mark.parametrize("why", ["another store", "the system's containerd", "nothing else"])
def test_an_engine_without_such_files_of_its_own_is_left_alone(
    why: str, root: Path, tmp_path: Path
) -> None:
    told = about(root, "overlay2") if why == "another store" else about(root)
    listed = "kindling/node:1\n" if why == "nothing else" else LISTED
    docker = scripted(tmp_path, "docker", ok(told), ok(listed), ok("sha256:1a\nsha256:1b\n"))
    ctr, socket = scripted(tmp_path, "ctr", ok()), tmp_path / "containerd.sock"
    if why != "the system's containerd":
        socket.touch()
    unpacked.remove(Engine(docker.path, "unix:///a"), ctr.path, socket, KEEP)
    assert ctr.calls == []
