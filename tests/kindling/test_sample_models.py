"""Looking for champions in a registry that has just started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loopback import JsonHandler, Loopback

from kindling import sample_models
from kindling.errors import KindlingError
from kindling.registry_access import RegistryAccess

# More than one page of MLflow's, before the ones that are looked for.
REGISTERED: list[dict[str, Any]] = [
    *({"name": f"a{number:04}"} for number in range(1000)),
    {"name": "digits", "aliases": [{"alias": "champion"}]},
    {"name": "text"},
]


class Registry(Loopback):
    """Answers with each of ``codes`` in turn, then with a page of what is registered."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    handler = JsonHandler

    def answer(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        (wanted,) = query.get("filter", [""])
        found = [one for one in REGISTERED if wanted in ("", f"name = '{one['name']}'")]
        page = found[: min(int(query["max_results"][0]), 1000)]
        return self.codes.pop(0) if self.codes else 200, {"registered_models": page}


def ensure(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    access = RegistryAccess(registry.url, "admin", "secret")
    monkeypatch.setattr(sample_models, "access", lambda _: access)
    return sample_models.ensure("c", ["digits", "text"], check=True)


def test_a_registry_that_has_just_started_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    with Registry(503, 500) as registry:
        assert ensure(registry, monkeypatch) == ["text"]
    assert pauses == [1, 2]


def test_a_registry_that_stays_away_is_named_at_the_bound(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    with Registry() as registry:
        pass
    with pytest.raises(KindlingError, match=r"does not answer: .*refused") as failure:
        ensure(registry, monkeypatch)
    assert failure.value.next_step == "nox -s status"
    assert sum(pauses) > 180


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_registry_that_refuses_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], code: int
) -> None:
    with Registry(code) as registry, pytest.raises(KindlingError, match=f"HTTP Error {code}"):
        ensure(registry, monkeypatch)
    assert pauses == []


def test_training_in_a_new_cluster_waits_longer_for_the_registry_than_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = RegistryAccess("http://127.0.0.1:5000", "admin", "secret")
    retries, timeout = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
    monkeypatch.delenv(retries, raising=False)
    monkeypatch.delenv(timeout, raising=False)
    assert (access.variables[retries], access.variables[timeout]) == ("3", "30")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "retries ${retries} timeout ${timeout}"\nexit 1\n')
    python.chmod(0o755)
    with pytest.raises(KindlingError, match="retries 6 timeout 120"):
        sample_models._make(python, "c", ["digits"])
    monkeypatch.setenv(retries, "6")
    assert access.variables[retries] == "6"
