"""`mirror` and `registry`, against a registry on loopback that serves the images built here.

It serves them under their upstream names; only their digests are those of our builds, so the
file of versions that these tests hand over is the real one with those digests in it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import Cluster, kindling

from kindling import cluster as clusters
from kindling import paths, settings
from kindling.errors import KindlingError
from kindling.supply import modes, versions
from kindling.supply.containers import Engine
from kindling.supply.recipes import Containers, Programs
from kindling.supply.versions import Pinned, Versions


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real registry at 127.0.0.1, from Debian's package, unpacked and not installed."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        pytest.skip("the registry comes from a Debian package, which this host cannot fetch")
    folder = tmp_path_factory.mktemp("registry")
    subprocess.run(["apt-get", "download", "docker-registry"], cwd=folder, check=True,
                   capture_output=True)  # fmt: skip
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, folder / "x"], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: {address}}}\nlog: {{level: error}}\n"
    )
    process = subprocess.Popen(
        [folder / "x" / "usr" / "bin" / "docker-registry", "serve", config],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not modes.registry_answers(address):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    yield address
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="module")
def served(cluster: Cluster, registry: str) -> Iterator[Versions]:
    """Our versions with the digests under which the registry serves our builds."""
    known = versions.load()
    facts = clusters.facts(cluster.name)
    assert facts is not None
    containers = Containers(known, Programs(known), cluster.engine)
    built = {
        "node": facts["node_image"],
        "python": containers.python.built_ref,
        **{name: image.built_ref for name, image in containers.addons.items() if image.upstream},
    }
    pinned, names = {}, []
    for name, ref in built.items():
        upstream = known.images[name].upstream
        repository, _, tag = upstream.split("/", 1)[1].rpartition(":")
        name_there = f"{registry}/{repository}:{tag}"
        cluster.engine.run("tag", ref, name_there)
        cluster.engine.run("push", "--quiet", name_there, what="pushing to the test registry")
        names.append(name_there)
        pinned[name] = Pinned(upstream, digest_of(registry, repository, tag))
    yield replace(known, images=pinned)
    cluster.engine.run("rmi", *names)


def digest_of(registry: str, repository: str, tag: str) -> str:
    request = urllib.request.Request(
        f"http://{registry}/v2/{repository}/manifests/{tag}",
        method="HEAD",
        headers={
            "Accept": "application/vnd.oci.image.index.v1+json,"
            "application/vnd.oci.image.manifest.v1+json,"
            "application/vnd.docker.distribution.manifest.v2+json"
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def held(engine: Engine, refs: list[str]) -> list[str]:
    """Those that the engine has now: one that was asked before remembers what it had then."""
    return [ref for ref in refs if replace(engine).has_image(ref)]


def forget(engine: Engine, refs: list[str]) -> None:
    if there := held(engine, refs):
        engine.run("rmi", "--force", *there)


def supplier(cluster: Cluster, given: Versions) -> modes.Supplier:
    return modes.Supplier(given, cluster.engine.docker, cluster.engine.host)


def test_a_mirror_serves_upstream_names_by_digest(
    cluster: Cluster, registry: str, served: Versions
) -> None:
    upstream = [image.upstream for image in served.images.values()]
    forget(cluster.engine, upstream)
    mode, why = modes.choose("auto", registry, served)
    assert (mode, registry in why) == ("mirror", True)
    supplied = supplier(cluster, served).supply(mode, why, registry)
    assert set(upstream) <= set(supplied.made)
    assert supplied.node_image == served.images["node"].upstream
    # The node image tells, not the way in which it came: this one was built here.
    assert supplied.pod_network == {"name": "kindling-ptp", "enforces_network_policy": False}
    assert held(cluster.engine, upstream) == upstream
    again = supplier(cluster, served).supply(mode, why, registry)
    assert again.made == []
    forget(cluster.engine, upstream)


@pytest.fixture
def versions_file(served: Versions, tmp_path: Path) -> Path:
    """``images/versions.yml`` with the digests that the registry serves."""
    content = yaml.safe_load(versions.FILE.read_text())
    for name, image in served.images.items():
        content["images"][name]["digest"] = image.digest
    file = tmp_path / "versions.yml"
    file.write_text(yaml.safe_dump(content))
    return file


def test_a_second_cluster_comes_up_from_a_mirror_and_goes_alone(
    cluster: Cluster, registry: str, versions_file: Path
) -> None:
    name, ours = f"{cluster.name}-mirror", cluster.engine.run("ps", "--quiet").split()
    chosen = {
        "cluster_name": name,
        "cluster_node_pools": "[{name: control-plane, role: control-plane}]",
        "gpu_mode": "none",
        "images_supply": "mirror",
        "images_mirror": registry,
        "images_versions_file": str(versions_file),
        # One model is enough to see that it serves.
        "models_sample": "[digits]",
        "serving_values": json.dumps(
            settings.load("local")["serving_values"] | {"models": ["digits"]}
        ),
    }
    words = [word for key, value in chosen.items() for word in ("-e", f"{key}={value}")]
    try:
        done = kindling("run", "up", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        facts = clusters.facts(name)
        assert facts is not None
        assert (facts["supply"], facts["node_image"]) == (
            "mirror",
            versions.load().images["node"].upstream,
        )
        assert f"{registry} is on this host's loopback" in done.stdout
        body = (paths.REPOSITORY / "service" / "example.json").read_bytes()
        url = f"http://127.0.0.1:{facts['ports']['serving']}/predict"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["predictions"][0]["label"] == 1
        again = kindling("run", "up", *words)
        assert "changed=0 failed=0" in again.stdout, again.stdout + again.stderr
    finally:
        down = kindling("run", "down", *words)
    assert down.returncode == 0, down.stdout + down.stderr
    assert "the engine runs on" in down.stdout
    assert cluster.engine.run("ps", "--quiet").split() == ours
    assert clusters.facts(name) is None


def test_a_registry_is_asked_under_the_names_in_the_file_of_versions(
    cluster: Cluster, registry: str, served: Versions
) -> None:
    local = {
        name: Pinned(f"{registry}/{image.upstream.split('/', 1)[1]}", image.digest)
        for name, image in served.images.items()
    }
    given = replace(served, images=local)
    mode, why = modes.choose("registry", "", given)
    assert mode == "registry"
    forget(cluster.engine, [image.upstream for image in local.values()])
    supplied = supplier(cluster, given).supply(mode, why)
    assert supplied.node_image == local["node"].upstream
    assert held(cluster.engine, [local["node"].upstream])


def test_an_image_without_the_pinned_digest_is_refused(
    cluster: Cluster, registry: str, served: Versions
) -> None:
    node = served.images["node"]
    wrong = replace(
        served, images={**served.images, "node": Pinned(node.upstream, "sha256:" + "0" * 64)}
    )
    forget(cluster.engine, [node.upstream])
    with pytest.raises(KindlingError, match="pulling"):
        supplier(cluster, wrong).supply("mirror", "", registry)
    assert held(cluster.engine, [node.upstream]) == []
