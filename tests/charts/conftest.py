from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kindling import charts, paths

Manifest = dict[str, Any]
Render = Callable[..., dict[str, Manifest]]


def _find_helm() -> Path | None:
    if named := os.environ.get("KINDLING_HELM"):
        return Path(named)
    if found := shutil.which("helm"):
        return Path(found)
    built = sorted(
        paths.cache_dir().glob("store/helm-*/helm"), key=lambda file: file.stat().st_mtime
    )
    return built[-1] if built else None


@pytest.fixture(scope="session")
def helm() -> Path:
    """The real helm binary; without one the tests fail, they are never skipped."""
    binary = _find_helm()
    if binary is None or not binary.is_file():
        pytest.fail(
            f"no helm binary ({binary or 'not on PATH'}): set KINDLING_HELM to one, "
            "or run `nox -s cluster-up` once, which makes one",
            pytrace=False,
        )
    return binary


@pytest.fixture
def render(helm: Path, request: pytest.FixtureRequest) -> Render:
    """``render(**values)`` renders the chart that the test module names as ``CHART``.

    The manifests come back by ``Kind`` or, where a kind occurs twice, by ``Kind/name``. All of
    them have passed Kubernetes' schemas.
    """
    chart = charts.CHARTS / request.module.CHART

    def rendered(**values: Any) -> dict[str, Manifest]:
        manifests = charts.render(helm, chart, values)
        charts.validate(manifests)
        kinds = [manifest["kind"] for manifest in manifests]
        return {
            kind if kinds.count(kind) == 1 else f"{kind}/{manifest['metadata']['name']}": manifest
            for kind, manifest in zip(kinds, manifests, strict=True)
        }

    return rendered
