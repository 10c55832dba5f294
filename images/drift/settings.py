"""Settings: the only module that reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from drift.errors import SettingsInvalidError

PREFIX = "KINDLING_DRIFT_"


def _address(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
        raise ValueError("must be http(s)://HOST[:PORT][/PATH], with user and password apart")
    return value.rstrip("/")


class Settings(BaseModel):
    """What can be set; every field is read from ``KINDLING_DRIFT_<FIELD IN CAPITALS>``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service_host: str = Field(
        default="serving-headless",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Name whose addresses are those of the service's replicas.",
    )
    service_port: int = Field(
        default=8001, ge=1, le=65535, description="Their port at which /sketches is."
    )
    # DriftCheckStale fires after an hour without a check.
    interval_seconds: float = Field(default=60.0, ge=1, le=1800, description="Between two checks.")
    minimum_rows: int = Field(
        default=200, ge=20, description="Fewest recent rows from which a version is judged."
    )
    report_interval_seconds: float = Field(
        default=3600.0, ge=1, description="Between two reports about a version that drifts."
    )
    reports_kept: int = Field(
        default=10, ge=1, le=100, description="Newest reports of a model that are kept in MLflow."
    )
    registry_uri: Annotated[str, AfterValidator(_address)] = Field(
        default="http://mlflow:5000", description="Address of the MLflow that gets the reports."
    )
    registry_username: str = Field(
        default="", pattern="^[^:]*$", description="User there; empty: none."
    )
    registry_password: SecretStr = Field(
        default=SecretStr(""), description="The user's password. Never logged."
    )
    experiment: str = Field(
        default="drift", min_length=1, max_length=200, description="Experiment of the reports."
    )
    timeout_seconds: float = Field(
        default=5.0, gt=0, le=600, description="Time in which each call must be answered."
    )
    listen_host: str = Field(default="0.0.0.0", description="Address to listen on.")  # noqa: S104
    listen_port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line that is written."
    )


def load_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in ``environment``.

    Raises SettingsInvalidError naming every variable that is unknown or has a bad value.
    """
    values = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX)
    }
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsInvalidError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    problems = []
    for item in error.errors(include_url=False, include_input=False):
        variable = PREFIX + str(item["loc"][0]).upper()
        unknown = item["type"] == "extra_forbidden"
        problems.append(f"{variable}: {'no such setting' if unknown else item['msg']}")
    return "; ".join(problems)
