from __future__ import annotations

import copy
import functools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kindling import charts, paths

Manifest = dict[str, Any]
Render = Callable[..., dict[str, Manifest]]
Template = Callable[..., list[Manifest]]

# Manifests that have passed: most are the same whatever the values.
_VALID: set[str] = set()


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


@functools.cache
def _template(helm: Path, chart: Path, values: str, **more: str) -> list[Manifest]:
    return charts.render(helm, chart, json.loads(values), **more)


@pytest.fixture(scope="session")
def template(helm: Path) -> Template:
    """``charts.render`` with the real helm, which makes of the same values the same each time."""

    def manifests(chart: Path, values: dict[str, Any] | None = None, **more: str) -> list[Manifest]:
        given = json.dumps(values or {}, sort_keys=True)
        return copy.deepcopy(_template(helm, chart, given, **more))

    return manifests


@pytest.fixture
def render(template: Template, request: pytest.FixtureRequest) -> Render:
    """``render(**values)`` renders the chart that the test module names as ``CHART``.

    The manifests come back by ``Kind`` or, where a kind occurs twice, by ``Kind/name``. All of
    them have passed Kubernetes' schemas.
    """
    chart = charts.CHARTS / request.module.CHART

    def rendered(**values: Any) -> dict[str, Manifest]:
        manifests = template(chart, values)
        fresh = [manifest for manifest in manifests if repr(manifest) not in _VALID]
        charts.validate(fresh)
        _VALID.update(map(repr, fresh))
        kinds = [manifest["kind"] for manifest in manifests]
        return {
            kind if kinds.count(kind) == 1 else f"{kind}/{manifest['metadata']['name']}": manifest
            for kind, manifest in zip(kinds, manifests, strict=True)
        }

    return rendered
