"""Settings: the only module that reads the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from dynaconf import Dynaconf
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from service.errors import SettingsInvalidError
from service.package import NAME_PATTERN, TRACE_EXPERIMENT
from service.settings_values import (
    address,
    bearer_key,
    distinct,
    header_pairs,
    long_or_empty,
    names,
    own_name,
    parse_pairs,
    second_port,
    secret_address,
    with_path,
)

PREFIX = "KINDLING_SERVICE"


class Settings(BaseModel):
    """What can be set; every field is read from ``KINDLING_SERVICE_<FIELD IN CAPITALS>``."""

    # `model_` is pydantic's own prefix, and a fair name for our fields.
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    models: Annotated[tuple[str, ...], BeforeValidator(names), AfterValidator(distinct)] = Field(
        default=("digits",),
        min_length=1,
        max_length=16,
        description="Names of the registered models to serve, separated by commas.",
    )
    others: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Most other registered models that are served too once they have a champion,"
        " the first ones by their names.",
    )
    registry_uri: Annotated[str, AfterValidator(address)] = Field(
        default="",
        description="Address of the MLflow server; empty: only the copies in cache_dir are served.",
    )
    registry_username: str = Field(
        default="", pattern="^[^:]*$", description="User at the registry; empty: none."
    )
    registry_password: SecretStr = Field(
        default=SecretStr(""), description="The user's password. Never logged."
    )
    model_alias: str = Field(
        default="champion",
        pattern=f"^{NAME_PATTERN}$",
        description="The alias whose version is served.",
    )
    fallback_alias: str = Field(
        default="previous",
        pattern=f"^{NAME_PATTERN}$",
        description="The alias whose version is served where that one is refused, by want of any.",
    )
    poll_seconds: float = Field(
        default=2.0, ge=0.05, le=3600, description="Between two looks at the registry, about."
    )
    registry_seconds: float = Field(
        default=5.0, gt=0, le=600, description="Time in which the registry must answer one call."
    )
    cache_dir: Path = Field(
        default=Path("/var/cache/models"), description="Folder for copies of what is served."
    )
    max_cache_bytes: ByteSize = Field(
        default=ByteSize(0), description="Maximum size of all copies, like 2GiB; 0: no bound."
    )
    download_timeout_seconds: float = Field(
        default=300.0, gt=0, le=86_400, description="Time in which a version's files must arrive."
    )
    max_model_bytes: int = Field(
        default=268_435_456, ge=1024, description="Most bytes in one file of a model."
    )
    check_seconds: float = Field(
        default=20.0, ge=1, le=3600, description="CPU time in which a new model must open and run."
    )
    check_memory_mb: int = Field(
        default=512, ge=16, description="Memory that opening and running a new model may take."
    )
    # Not `host` and `port`: a platform may set those names for the address of a service.
    listen_host: str = Field(default="0.0.0.0", description="Address to listen on.")  # noqa: S104
    listen_port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on.")
    metrics_port: Annotated[int, AfterValidator(second_port)] = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of /metrics and /sketches, which listen_port then does not have; 0: they"
        " are at listen_port.",
    )
    max_batch: int = Field(default=256, ge=1, le=4096, description="Most rows in one request.")
    max_body_bytes: int = Field(
        default=1_048_576, ge=1024, description="Most bytes in one request."
    )
    body_seconds: float = Field(
        default=10.0, gt=0, le=600, description="Time in which a request's body must arrive."
    )
    request_seconds: float = Field(
        default=15.0,
        gt=0,
        le=600,
        description="Time that a request may wait and compute before the service answers 504.",
    )
    max_reading_bytes: int = Field(
        default=67_108_864,
        ge=1024,
        description="Maximum bytes of all request bodies that have arrived in part; beyond it the"
        " slowest are answered with 408.",
    )
    max_head_bytes: int = Field(
        default=32_768, ge=1024, description="Maximum bytes of a request's line and headers."
    )
    head_timeout_seconds: float = Field(
        default=10.0, gt=0, le=600, description="Time in which a request's head must arrive."
    )
    write_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=600,
        description="Time in which a client must take more of a response that it does not read.",
    )
    max_connections: int = Field(
        default=2048,
        ge=16,
        description="Maximum open connections; beyond it those are closed that have waited longest"
        " without a whole request.",
    )
    # Each may hold a body of `max_body_bytes`: together they must fit the pod's memory.
    max_in_flight: int = Field(
        default=64, ge=1, description="Requests at once before the service answers 503."
    )
    inference_workers: int = Field(default=1, ge=1, le=64, description="Threads that run models.")
    intra_op_threads: int = Field(
        default=1, ge=1, le=64, description="Threads within one inference."
    )
    sketch_rows: int = Field(
        default=2048,
        ge=20,
        le=100_000,
        description="Most recent rows of each model that drift detection counts.",
    )
    sketch_seconds: float = Field(
        default=1800.0, gt=0, le=86_400, description="Age from which a row is not counted."
    )
    drain_seconds: float = Field(
        default=5.0, ge=0, le=600, description="After SIGTERM: not ready, but serving, this long."
    )
    shutdown_seconds: int = Field(
        default=20, ge=1, le=600, description="After draining: time for open requests to finish."
    )
    feedback_key: Annotated[SecretStr, AfterValidator(long_or_empty)] = Field(
        default=SecretStr(""),
        description="Signs the ids of predictions, the same in all replicas, 16 characters at"
        " least; empty: no ids are given and no feedback is taken. Never logged.",
    )
    feedback_token: Annotated[
        SecretStr, AfterValidator(bearer_key), AfterValidator(long_or_empty)
    ] = Field(
        default=SecretStr(""),
        description="Token that requests to /feedback must have, as `Authorization: Bearer TOKEN`,"
        " 16 characters at least; empty: whoever has an id may give its labels. Never logged.",
    )
    feedback_days: float = Field(
        default=30.0, gt=0, le=365, description="How long feedback on a prediction is taken."
    )
    upstream_url: Annotated[SecretStr, AfterValidator(secret_address)] = Field(
        default=SecretStr(""),
        description="Base address of an OpenAI-compatible API, as https://api.example.com/v1, that"
        " answers chats in the place of the text generators; empty: none does. Never logged.",
    )
    upstream_key: Annotated[SecretStr, AfterValidator(bearer_key)] = Field(
        default=SecretStr(""),
        description="Sent to the upstream as a bearer token; empty: none is. Never logged.",
    )
    upstream_model: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127})?$",
        description="Name of the upstream's model, and the version in answers and metrics; empty:"
        " it is asked for upstream_name, and the version is `upstream`.",
    )
    upstream_name: Annotated[str, AfterValidator(own_name)] = Field(
        default="upstream",
        pattern=f"^{NAME_PATTERN}$",
        validate_default=True,
        description="Name of the model that clients ask for and see; none of `models`.",
    )
    upstream_seconds: float = Field(
        default=10.0,
        gt=0,
        le=600,
        description="Time in which the upstream must take a connection, and in which more of an"
        " answer must come. An answer that is no stream comes at once, when all is written.",
    )
    otlp_endpoint: Annotated[str, AfterValidator(address), AfterValidator(with_path)] = Field(
        default="",
        description="Where traces go by OTLP over HTTP, like http://mlflow:5000/v1/traces; empty:"
        " nothing is traced. At registry_uri they go into trace_experiment, with its account.",
    )
    otlp_headers: Annotated[SecretStr, AfterValidator(header_pairs)] = Field(
        default=SecretStr(""),
        description="Headers for otlp_endpoint elsewhere: NAME=VALUE, separated by commas, other"
        " characters %-encoded. Never logged.",
    )
    trace_sample_ratio: float = Field(
        default=0.05, ge=0, le=1, description="Share traced of the requests that have no trace yet."
    )
    trace_max_per_second: float = Field(
        default=10.0,
        gt=0,
        le=10_000,
        description="Most requests traced in a second: of those without a trace, and again of those"
        " that come with a sampled one.",
    )
    trace_experiment: str = Field(
        default=TRACE_EXPERIMENT,
        min_length=1,
        max_length=200,
        description="MLflow experiment for traces; made if missing.",
    )
    trace_days: float = Field(
        default=7.0, gt=0, le=365, description="How long MLflow keeps traces there."
    )
    trace_most: int = Field(
        default=20_000, ge=0, description="How many it keeps at most, but for the last minutes."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line that is written."
    )

    def otlp_header_pairs(self) -> dict[str, str]:
        """The headers of otlp_headers."""
        return parse_pairs(self.otlp_headers)


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises SettingsInvalidError naming every variable that is unknown or has a bad value.
    """
    source = Dynaconf(envvar_prefix=PREFIX, settings_files=[], auto_cast=False)
    # As they stand there: a password of digits is no number.
    values: dict[str, Any] = {
        name.lower(): os.environ.get(f"{PREFIX}_{name}", value)
        for name, value in source.as_dict().items()
    }
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
