"""kubectl, always with the project's own kubeconfig and a named context."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kindling import retry
from kindling.api import Api
from kindling.errors import KindlingError

# What an action of Ansible takes that talks to a cluster.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "required": True},
    "kubectl_binary": {"type": "path", "required": True},
}


@dataclass(frozen=True)
class Kubectl:
    """A kubectl binary bound to one cluster; the user's own kubeconfig is never read.

    A ``patient`` one, as ``cluster-up`` has, outlasts an API server that starts or is busy.
    """

    binary: Path
    kubeconfig: Path
    context: str
    patient: bool = False

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Kubectl:
        """The patient one that an action's ``ARGUMENTS`` describe."""
        binary, kubeconfig = Path(params["kubectl_binary"]), Path(params["kubeconfig"])
        return cls(binary, kubeconfig, str(params["context"]), patient=True)

    def api(self, *, patient: bool | None = None) -> Api:
        """The same cluster's API server, for reading without a process; by default as patient."""
        patient = self.patient if patient is None else patient
        return Api.of(self.kubeconfig, self.context, patient=patient)

    def command(self, *args: str) -> list[str]:
        """The words of ``kubectl ARGS`` for this cluster."""
        return [
            str(self.binary), f"--kubeconfig={self.kubeconfig}", f"--context={self.context}", *args,
        ]  # fmt: skip

    def run(
        self, *args: str, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run ``kubectl ARGS``; the result is returned whatever its exit code.

        One that does not answer in ``timeout`` seconds has 124, as of ``timeout``: who waits asks
        again. Raises KindlingError when kubectl is missing.
        """
        command = self.command(*args)
        try:
            return subprocess.run(
                command, input=stdin, capture_output=True, text=True, timeout=timeout
            )
        except FileNotFoundError:
            raise KindlingError(
                f"kubectl is not at {self.binary}", next_step="nox -s cluster-up"
            ) from None
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", f"no answer in {timeout:g} s")

    def check(self, *args: str, stdin: str | None = None, timeout: float = 60) -> str:
        """Like ``run``, but returns standard output and raises KindlingError on failure.

        A patient one retries what may pass by itself; a request that was carried out although its
        answer was lost is then sent twice.
        """
        once = partial(self._check, *args, stdin=stdin, timeout=timeout)
        return retry.call(once, retry.API) if self.patient else once()

    def _check(self, *args: str, stdin: str | None, timeout: float) -> str:
        done = self.run(*args, stdin=stdin, timeout=timeout)
        if done.returncode:
            raise KindlingError(
                f"`kubectl {' '.join(args)}` failed: {done.stderr.strip()}",
                next_step="nox -s status",
            )
        return done.stdout

    def get(self, kind: str, *args: str) -> Any:
        """``kubectl get KIND ARGS -o json``, parsed."""
        return json.loads(self.check("get", kind, *args, "-o", "json"))

    def items(self, kind: str, *args: str) -> Sequence[dict[str, Any]]:
        """The ``items`` of a list that ``get`` returns."""
        items: list[dict[str, Any]] = self.get(kind, *args)["items"]
        return items
