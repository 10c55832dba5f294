"""Settings: the only module that reads the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from dynaconf import Dynaconf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import SettingsInvalidError

PREFIX = "KINDLING_SERVICE"


class Settings(BaseModel):
    """What can be set; every field is read from ``KINDLING_SERVICE_<FIELD IN CAPITALS>``."""

    # `model_` is pydantic's own prefix, and a fair name for our fields.
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_dir: Path = Field(
        default=Path("/opt/model"), description="Folder with model.onnx and model.json."
    )
    model_name: str = Field(
        default="digits",
        min_length=1,
        description="Name the model must have; label of its metrics.",
    )
    # Not `host` and `port`: a platform may set those names for the address of a service.
    listen_host: str = Field(default="0.0.0.0", description="Address to listen on.")  # noqa: S104
    listen_port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on.")
    max_batch: int = Field(default=256, ge=1, le=4096, description="Most rows in one request.")
    max_body_bytes: int = Field(
        default=1_048_576, ge=1024, description="Most bytes in one request."
    )
    body_seconds: float = Field(
        default=10.0, gt=0, le=600, description="Time in which a request's body must arrive."
    )
    # Each may hold a body of `max_body_bytes`: together they must fit the pod's memory.
    max_in_flight: int = Field(
        default=64, ge=1, description="Predictions at once before the service answers 503."
    )
    inference_workers: int = Field(
        default=1, ge=1, le=64, description="Threads that run the model."
    )
    intra_op_threads: int = Field(
        default=1, ge=1, le=64, description="Threads within one inference."
    )
    drain_seconds: float = Field(
        default=5.0, ge=0, le=600, description="After SIGTERM: not ready, but serving, this long."
    )
    shutdown_seconds: int = Field(
        default=20, ge=1, le=600, description="After draining: time for open requests to finish."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line that is written."
    )


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises SettingsInvalidError naming every variable that is unknown or has a bad value.
    """
    source = Dynaconf(envvar_prefix=PREFIX, settings_files=[])
    values: dict[str, Any] = {name.lower(): value for name, value in source.as_dict().items()}
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsInvalidError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    problems = []
    for item in error.errors(include_url=False, include_input=False):
        variable = f"{PREFIX}_{str(item['loc'][0]).upper()}"
        unknown = item["type"] == "extra_forbidden"
        problems.append(f"{variable}: {'no such setting' if unknown else item['msg']}")
    return "; ".join(problems)
