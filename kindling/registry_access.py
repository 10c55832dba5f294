"""How to reach a cluster's MLflow as its administrator."""

from __future__ import annotations

import argparse
import base64
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from kindling import cluster, cluster_setup, settings
from kindling.errors import KindlingError

_SECRET, _KEY = "mlflow", "admin-password"


@dataclass(frozen=True)
class RegistryAccess:
    """Where MLflow answers, and who may do everything there."""

    url: str
    username: str
    password: str = field(repr=False)

    @property
    def variables(self) -> dict[str, str]:
        """What MLflow's client reads; a registry that is away is noticed soon."""
        return {
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_TRACKING_USERNAME": self.username,
            "MLFLOW_TRACKING_PASSWORD": self.password,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY", ""), "127.0.0.1"])),
        }

    def export(self) -> None:
        """Let MLflow's client in this process use it."""
        os.environ |= self.variables


def access(cluster_name: str) -> RegistryAccess:
    """The MLflow of the cluster ``cluster_name``.

    Raises KindlingError when there is no such cluster, or it has no MLflow.
    """
    known = cluster.known(cluster_name)
    secrets = cluster_setup.kubectl(known).items(
        "secrets", "--all-namespaces", f"--field-selector=metadata.name={_SECRET}",
        "--selector=app.kubernetes.io/part-of=kindling",
    )  # fmt: skip
    if not secrets or "mlflow" not in known["ports"]:
        raise KindlingError(f"the cluster {cluster_name} has no MLflow", next_step="nox -s status")
    password = base64.b64decode(secrets[0]["data"][_KEY]).decode()
    return RegistryAccess(f"http://127.0.0.1:{known['ports']['mlflow']}", "admin", password)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the password of the user ``admin``, and nothing else."""
    parser = argparse.ArgumentParser(prog="nox -s password --", description=main.__doc__)
    settings.add_arguments(parser)
    options = parser.parse_args(argv)
    try:
        print(access(settings.load(options.inventory, options.set).cluster_name).password)
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
