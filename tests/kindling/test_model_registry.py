"""Promoting and rolling back: which alias is where afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities import PagedList

from kindling.errors import KindlingError
from kindling.model_registry import ModelRegistry


@dataclass
class Client:
    """The part of MlflowClient that moves aliases, kept in memory."""

    tags: dict[str, dict[str, str]]
    aliases: dict[str, str] = field(default_factory=dict)
    model_tags: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=lambda: ["digits", "text"])
    page_size: int = 100

    def search_registered_models(self, *, max_results: int, page_token: str | None) -> Any:
        return self._page([SimpleNamespace(name=name) for name in self.names], page_token)

    def search_model_versions(
        self, *, filter_string: str, max_results: int, page_token: str | None
    ) -> Any:
        assert filter_string == "name = 'digits'"
        found = [
            SimpleNamespace(version=version, tags=tags, run_id=f"run-{version}")
            for version, tags in self.tags.items()
        ]
        return self._page(found, page_token)

    def _page(self, found: list[Any], token: str | None) -> Any:
        first = int(token or 0)
        last = first + self.page_size
        return PagedList(found[first:last], str(last) if last < len(found) else None)

    def get_registered_model(self, name: str) -> Any:
        if name not in self.names:
            raise MlflowException("there is none", RESOURCE_DOES_NOT_EXIST)
        return SimpleNamespace(aliases=dict(self.aliases), tags=dict(self.model_tags))

    def set_registered_model_tag(self, _: str, key: str, value: str) -> None:
        self.model_tags[key] = value

    def delete_registered_model_tag(self, _: str, key: str) -> None:
        del self.model_tags[key]

    def set_model_version_tag(self, _: str, version: str, key: str, value: str) -> None:
        self.tags[version][key] = value

    def set_registered_model_alias(self, _: str, alias: str, version: str) -> None:
        self.aliases[alias] = version

    def delete_registered_model_alias(self, _: str, alias: str) -> None:
        del self.aliases[alias]


@pytest.fixture
def client() -> Client:
    passed = {"gate": "passed"}
    tags = {"1": dict(passed), "2": dict(passed), "3": dict(passed), "10": dict(passed), "4": {}}
    return Client(tags)


@pytest.fixture
def registry(client: Client) -> ModelRegistry:
    return ModelRegistry(client)  # type: ignore[arg-type]


def test_the_first_champion_has_no_predecessor(client: Client, registry: ModelRegistry) -> None:
    client.aliases = {"challenger": "1"}
    move = registry.promote("digits", "1")
    assert (move.before, move.after) == ("", "1")
    assert client.aliases == {"champion": "1"}


def test_a_promotion_keeps_the_champion_before_it(client: Client, registry: ModelRegistry) -> None:
    registry.promote("digits", "1")
    client.aliases["challenger"] = "3"
    registry.promote("digits", "2")
    assert client.aliases == {"champion": "2", "previous": "1", "challenger": "3"}


def test_rolling_back_twice_goes_two_versions_back(client: Client, registry: ModelRegistry) -> None:
    for version in ("1", "2", "3"):
        registry.promote("digits", version)
    assert registry.rollback("digits").after == "2"
    assert client.aliases == {"champion": "2", "previous": "1"}
    assert registry.rollback("digits").after == "1"
    assert client.aliases == {"champion": "1"}
    with pytest.raises(KindlingError, match="no version of digits that was served before"):
        registry.rollback("digits")


def test_what_is_promoted_after_a_rollback_rolls_back_to_where_it_was(
    client: Client, registry: ModelRegistry
) -> None:
    for version in ("1", "2"):
        registry.promote("digits", version)
    registry.rollback("digits")
    registry.promote("digits", "3")
    registry.rollback("digits")
    assert client.aliases["champion"] == "1"


def test_promoting_the_champion_changes_nothing(client: Client, registry: ModelRegistry) -> None:
    for version in ("1", "2"):
        registry.promote("digits", version)
    move = registry.promote("digits", "2")
    assert move.before == move.after == "2"
    assert client.aliases == {"champion": "2", "previous": "1"}


def test_a_promotion_can_be_undone(client: Client, registry: ModelRegistry) -> None:
    registry.promote("digits", "1")
    client.aliases["challenger"] = "2"
    before = dict(client.aliases)
    move = registry.promote("digits", "2")
    assert registry.undo(move)
    assert client.aliases == before


def test_the_first_promotion_can_be_undone(client: Client, registry: ModelRegistry) -> None:
    assert registry.undo(registry.promote("digits", "1"))
    assert client.aliases == {}


def test_an_undone_promotion_leaves_the_way_back_as_it_was(
    client: Client, registry: ModelRegistry
) -> None:
    for version in ("1", "2", "3"):
        registry.promote("digits", version)
    registry.undo(registry.promote("digits", "2"))
    assert [registry.rollback("digits").after for _ in range(2)] == ["2", "1"]


def test_what_others_did_after_a_promotion_is_not_undone(
    client: Client, registry: ModelRegistry
) -> None:
    registry.promote("digits", "1")
    client.aliases["challenger"] = "2"
    move = registry.promote("digits", "2")
    client.aliases |= {"challenger": "10", "mine": "4"}
    assert registry.undo(move)
    assert client.aliases == {"champion": "1", "challenger": "10", "mine": "4"}
    move = registry.promote("digits", "2")
    registry.promote("digits", "3")
    before = dict(client.aliases)
    assert not registry.undo(move)
    assert client.aliases == before


def test_a_promotion_may_ask_for_the_champion_that_it_replaces(
    client: Client, registry: ModelRegistry
) -> None:
    registry.promote("digits", "1")
    with pytest.raises(KindlingError, match="version 1 of digits is champion now, not 3"):
        registry.promote("digits", "2", instead_of="3")
    assert client.aliases == {"champion": "1"}
    assert registry.promote("digits", "2", instead_of="1").after == "2"


def test_a_version_without_the_gates_word_is_refused(
    client: Client, registry: ModelRegistry
) -> None:
    registry.promote("digits", "1")
    with pytest.raises(KindlingError, match="version 4 of digits has not passed"):
        registry.promote("digits", "4")
    assert client.aliases == {"champion": "1"}


def test_what_is_unknown_gets_what_is_there(registry: ModelRegistry) -> None:
    with pytest.raises(KindlingError, match="no registered model digit; there are digits, text"):
        registry.promote("digit", "1")
    with pytest.raises(KindlingError, match="no version 7 of digits; there are 1, 2, 3, 4, 10"):
        registry.promote("digits", "7")


def test_versions_are_in_the_order_of_numbers(registry: ModelRegistry) -> None:
    assert [one.version for one in registry.versions("digits")] == ["10", "4", "3", "2", "1"]


def test_models_and_versions_beyond_the_first_page_are_found(
    client: Client, registry: ModelRegistry
) -> None:
    client.page_size = 2
    client.names = [*(f"a{number}" for number in range(5)), "digits"]
    assert len(registry.names()) == 6
    assert [one.version for one in registry.versions("digits")] == ["10", "4", "3", "2", "1"]
    assert registry.promote("digits", "10").after == "10"
