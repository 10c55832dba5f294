"""Which model answers a request, and when the service is ready."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.errors import ModelNotFoundError, NotReadyError
from service.lifecycle import Lifecycle, Standing
from service.models import Models, Served
from service.package import parse_descriptor
from service.schemas import Refused
from service.settings import Settings

TEXT = b"""{"format": 1, "name": "text", "kind": "text-generator", "accuracy": 0.5,
            "text": {"vocabulary": 8, "context": 4}, "later": "is left alone"}"""


@pytest.fixture
def text(served: Served) -> Served:
    """Something that says it is a text generator."""
    return dataclasses.replace(served, name="text", descriptor=parse_descriptor(TEXT, "text"))


def test_the_first_of_its_kind_answers_who_names_none(served: Served, text: Served) -> None:
    models = Models(["text", "second", "digits"])
    for model in (served, dataclasses.replace(served, name="second"), text):
        models.put(model)
    assert models.get(None, "classifier").name == "second"
    assert models.get("digits", "classifier").name == "digits"
    assert models.get(None, "text-generator").name == "text"
    assert [model.name for model in models.all()] == ["text", "second", "digits"]


@pytest.mark.parametrize("name", ["text", "absent", ""])
def test_a_model_of_another_kind_is_no_model(served: Served, text: Served, name: str) -> None:
    models = Models(["digits", "text"])
    models.put(served)
    models.put(text)
    with pytest.raises(ModelNotFoundError) as error:
        models.get(name, "classifier")
    assert error.value.message == "there is no such classifier; there are: digits"
    assert error.value.field == "model"


def test_what_is_configured_but_not_loaded_may_still_come(served: Served) -> None:
    models = Models(["digits", "text"])
    models.put(served)
    for name in ("text", None):
        with pytest.raises(NotReadyError):
            models.get(name, "text-generator")
    with pytest.raises(ModelNotFoundError, match="there are: none"):
        models.get("absent", "text-generator")


def test_it_is_ready_once_it_is_known_what_becomes_of_every_model(served: Served) -> None:
    models = Models(["digits", "text"])
    lifecycle = Lifecycle(models)
    assert lifecycle.reason_not_ready() == "the model is loading"
    lifecycle.standings["text"].reason = "it is away"
    assert lifecycle.reason_not_ready() == "the model is loading"
    lifecycle.standings["digits"].refused = Refused(version="7", reason="it is bad")
    assert lifecycle.reason_not_ready() == (
        "digits: version 7 is refused: it is bad; text: it is away"
    )
    models.put(served)
    assert lifecycle.reason_not_ready() is None
    # Whatever the registry does from now on.
    lifecycle.standings["text"].reason = None
    assert lifecycle.reason_not_ready() is None
    lifecycle.drain()
    assert lifecycle.reason_not_ready() == "shutting down"


def test_it_is_ready_once_it_serves_what_other_replicas_serve(served: Served) -> None:
    models = Models(["digits"])
    models.put(served)
    lifecycle = Lifecycle(models, others=2)
    lifecycle.is_asking_for_others = True
    assert lifecycle.reason_not_ready() == "the model is loading"
    models.expect(["other"])
    lifecycle.standings["other"] = Standing()
    lifecycle.is_asking_for_others = False
    assert lifecycle.reason_not_ready() == "the model is loading"
    lifecycle.standings["other"].refused = Refused(version="7", reason="it is bad")
    assert lifecycle.reason_not_ready() is None


def test_what_runs_beside_the_app_ends_with_it(served: Served) -> None:
    models = Models(["digits"])
    models.put(served)
    seen: list[str] = []

    async def follow() -> None:
        seen.append("began")
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with TestClient(create_app(Settings(), models, beside=[follow])) as client:
        assert client.get("/ready").status_code == 200
        assert seen == ["began"]
    assert seen == ["began", "cancelled"]
