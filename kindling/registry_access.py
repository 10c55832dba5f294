"""How to reach a cluster's MLflow as its administrator, and which passwords were generated."""

from __future__ import annotations

import argparse
import base64
import http
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kindling import cluster, cluster_setup, settings, web
from kindling.errors import KindlingError

_KEY = "admin-password"
SERVICES = {"mlflow": "MLflow", "grafana": "Grafana"}


@dataclass(frozen=True)
class RegistryAccess:
    """Where MLflow answers, and who may do everything there."""

    url: str
    username: str
    password: str = field(repr=False)

    @property
    def variables(self) -> dict[str, str]:
        """What MLflow's client reads; a registry that is away is noticed soon, unless told else."""
        patience = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
        return {
            **{name: os.environ.get(name, value) for name, value in patience.items()},
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_TRACKING_USERNAME": self.username,
            "MLFLOW_TRACKING_PASSWORD": self.password,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **web.loopback_variables(os.environ),
        }

    def export(self) -> None:
        """Let MLflow's client in this process use it."""
        os.environ |= self.variables

    def get(self, call: str, **query: str) -> dict[str, Any]:
        """The response of MLflow's REST API, without its client, which takes seconds to import.

        Raises RegistryError, with ``status`` 0 where nothing answers.
        """
        login = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"{self.url}/api/2.0/mlflow/{call}?{urllib.parse.urlencode(query)}",
            headers={"Authorization": f"Basic {login}"},
        )
        try:
            with web.without_proxy().open(request, timeout=30) as response:
                content: dict[str, Any] = json.load(response)
        except (*web.NO_ANSWER, ValueError) as error:
            status = 0
            if isinstance(error, urllib.error.HTTPError):
                status = error.code
                error.close()
            raise RegistryError(f"MLflow at {self.url} does not answer: {error}", status) from error
        return content


class RegistryError(KindlingError):
    """MLflow answered with ``status``, which is not 200, or with nothing that is its own."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, next_step="nox -s status")
        self.status = status


def check_experiments(registry: RegistryAccess, names: Sequence[str]) -> None:
    """Raise KindlingError where the experiment of a model was deleted: nothing can be registered.

    MLflow keeps the name of a deleted experiment, and takes no run for it.
    """
    for name in names:
        try:
            response = registry.get("experiments/get-by-name", experiment_name=name)
        except RegistryError as error:
            if error.status == http.HTTPStatus.NOT_FOUND:
                continue
            raise
        if response["experiment"].get("lifecycle_stage") == "deleted":
            raise KindlingError(
                f"the experiment {name} was deleted in MLflow, so that nothing can be registered",
                next_step=f"nox -s models -- --restore-experiment {name}",
            )


def access(cluster_name: str) -> RegistryAccess:
    """The MLflow of the cluster ``cluster_name``.

    Raises KindlingError when there is no such cluster, or it has no MLflow.
    """
    url = f"http://127.0.0.1:{cluster.known(cluster_name)['ports']['mlflow']}"
    return RegistryAccess(url, "admin", admin_password(cluster_name, "mlflow"))


def admin_password(cluster_name: str, service: str) -> str:
    """The generated password of the user ``admin`` of ``service``, one of ``SERVICES``.

    Raises KindlingError when there is no such cluster, or it does not run the service.
    """
    secrets = (
        cluster_setup.kubectl(cluster.known(cluster_name))
        .api()
        .items(
            "/api/v1/secrets",
            fieldSelector=f"metadata.name={service}",
            labelSelector="app.kubernetes.io/part-of=kindling",
        )
    )
    if not secrets:
        raise KindlingError(
            f"the cluster {cluster_name} has no {SERVICES[service]}", next_step="nox -s status"
        )
    return base64.b64decode(secrets[0]["data"][_KEY]).decode()


def main(argv: Sequence[str] | None = None) -> int:
    """Print the password of the user ``admin``, and nothing else."""
    parser = argparse.ArgumentParser(
        prog="nox -s password --", description=main.__doc__, allow_abbrev=False
    )
    settings.add_arguments(parser)
    parser.add_argument(
        "service", nargs="?", choices=SERVICES, default="mlflow", help="whose password"
    )
    options = parser.parse_args(argv)
    try:
        name = settings.load(options.inventory, options.set).cluster_name
        print(admin_password(name, options.service))
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
