"""Settings come from the environment, and a mistake in one is told before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kindling import paths
from service import __main__ as command
from service.errors import SettingsInvalidError
from service.settings import Settings, load_settings


def test_defaults_hold_when_nothing_is_set() -> None:
    assert load_settings() == Settings()


def test_variables_override_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDLING_SERVICE_MAX_BATCH", "8")
    monkeypatch.setenv("KINDLING_SERVICE_CACHE_DIR", "/somewhere/else")
    monkeypatch.setenv("KINDLING_SERVICE_MODELS", "digits, text")
    monkeypatch.setenv("KINDLING_SERVICE_DRAIN_SECONDS", "0.5")
    settings = load_settings()
    assert settings.max_batch == 8
    assert settings.cache_dir == Path("/somewhere/else")
    assert settings.drain_seconds == 0.5
    assert settings.models == ("digits", "text")


@pytest.mark.parametrize(
    "password", ["12345", "0x1F", "true", "1e3", "['a']", "{a=1}", "@none", "@format {env}", " a "]
)
def test_a_password_is_taken_as_it_stands(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("KINDLING_SERVICE_REGISTRY_PASSWORD", password)
    settings = load_settings()
    assert settings.registry_password.get_secret_value() == password
    assert password not in repr(settings)


@pytest.mark.parametrize("names", ["", "a,", "a,a", "../a", "a/b", ".a", "a b", "a" * 64])
def test_names_that_cannot_be_folders_are_refused(
    monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    monkeypatch.setenv("KINDLING_SERVICE_MODELS", names)
    with pytest.raises(SettingsInvalidError, match="KINDLING_SERVICE_MODELS: "):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FEEDBACK_KEY", "in-settings"),
        ("OTLP_HEADERS", "in-settings"),
        ("OTLP_HEADERS", "a=in-settings,b"),
        ("OTLP_HEADERS", "a b=in-settings"),
        ("OTLP_HEADERS", "a=in-settings%0Ab"),
        ("OTLP_ENDPOINT", "http://collector:4318"),
        ("OTLP_ENDPOINT", "http://user:in-settings@collector/v1/traces"),
        ("TRACE_SAMPLE_RATIO", "1.1"),
        ("TRACE_MAX_PER_SECOND", "0"),
    ],
)
def test_what_cannot_sign_or_send_is_refused_without_being_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"KINDLING_SERVICE_{name}", value)
    with pytest.raises(SettingsInvalidError, match=f"KINDLING_SERVICE_{name}: ") as error:
        load_settings()
    assert "in-settings" not in error.value.message


def test_headers_for_traces_are_written_as_opentelemetry_does() -> None:
    settings = Settings(otlp_headers="a=b, Authorization=Basic%20eDp5")
    assert settings.otlp_header_pairs() == {"a": "b", "Authorization": "Basic eDp5"}
    assert "eDp5" not in repr(settings)


def test_a_request_under_way_when_a_drain_ends_is_finished() -> None:
    assert Settings().request_seconds < Settings().shutdown_seconds


def test_every_mistake_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDLING_SERVICE_MAX_BATCH", "many")
    monkeypatch.setenv("KINDLING_SERVICE_MAX_BACTH", "8")
    with pytest.raises(SettingsInvalidError) as error:
        load_settings()
    assert "KINDLING_SERVICE_MAX_BATCH: " in error.value.message
    assert "KINDLING_SERVICE_MAX_BACTH: no such setting" in error.value.message


def test_a_bad_setting_ends_the_process_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KINDLING_SERVICE_LISTEN_PORT", "80000")
    assert command.main() == 2
    error = capsys.readouterr().err
    assert error.startswith("KINDLING_SERVICE_LISTEN_PORT: ")
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("file", "above"),
    [
        ("charts/serving/values.yaml", ()),
        ("inventories/local/group_vars/all.yml", ("serving_values",)),
    ],
)
def test_all_bodies_under_way_and_admitted_take_half_of_a_pods_memory_at_most(
    file: str, above: tuple[str, ...]
) -> None:
    values = yaml.safe_load((paths.REPOSITORY / file).read_text())
    for key in above:
        values = values[key]
    limit = values["resources"]["limits"]["memory"]
    unit = {"Mi": 2**20, "Gi": 2**30}[limit[-2:]]
    settings = Settings()
    bodies = settings.max_in_flight * settings.max_body_bytes + settings.max_reading_bytes
    assert bodies <= int(limit[:-2]) * unit / 2
