"""Processes of the load in pods of the cluster, for loads that are too much for this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kindling.errors import KindlingError
from loadtests import playbooks
from loadtests.environment import Environment

_PLAYBOOK, _PODS = "load-generator", "load_generator_pods"
_SELECTOR = "--selector=app.kubernetes.io/name=load-generator"
_RUNNER = ("python", "-m", "loadtests.runner")


@contextmanager
def made(
    environment: Environment, inventory: Sequence[str], number: int, *, say: Callable[[str], None]
) -> Iterator[list[list[str]]]:
    """A command for each of ``number`` pods that runs a process of the load in it.

    The pods are there while the block runs. Raises KindlingError where they do not come; that they
    do not go is only said, for what was measured stands.
    """
    try:
        playbooks.run(_PLAYBOOK, inventory, {_PODS: str(number)}, failed="no pods for the load")
        yield _commands(environment, number)
    finally:
        say("remove the load's pods")
        left = "the load's pods are there still"
        try:
            playbooks.run(_PLAYBOOK, inventory, {_PODS: "0"}, failed=left)
        except KindlingError as error:
            say(error.message)


def url(environment: Environment) -> str:
    """Where the model service answers them."""
    space = f"--namespace={environment.namespace}"
    service = environment.kubectl.get("services", environment.deployment, space)
    (port,) = [one["port"] for one in service["spec"]["ports"] if one["name"] == "http"]
    return f"http://{environment.deployment}.{environment.namespace}.svc:{port}"


def _commands(environment: Environment, number: int) -> list[list[str]]:
    kubectl, space = environment.kubectl, f"--namespace={environment.namespace}"
    pods = [
        pod["metadata"]["name"]
        for pod in kubectl.items("pods", space, _SELECTOR)
        if "deletionTimestamp" not in pod["metadata"]
    ]
    if len(pods) != number:
        raise KindlingError(
            f"{len(pods)} pods put load on the service, {number} were asked for",
            next_step=f"kubectl get pods {space} {_SELECTOR}",
        )
    return [kubectl.command("exec", "--stdin", pod, space, "--", *_RUNNER) for pod in pods]
