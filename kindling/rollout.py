"""Waiting until the pods of the service have a version that the registry tells them of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kindling.errors import KindlingError
from kindling.pods import ServingPod

TIMEOUT_SECONDS = 120.0
_NOTICE_SECONDS = 15.0


class RefusedError(KindlingError):
    """A pod examined the version and refuses to serve it."""


class NotConfiguredError(KindlingError):
    """Every ready pod answers, and none of them serves this model."""


def wait(
    look: Callable[[], Sequence[ServingPod]],
    version: str,
    state_of: Callable[[ServingPod], Mapping[str, Any]],
    *,
    between: Callable[[], None],
    is_configured: Callable[[ServingPod], bool],
    timeout_seconds: float | None = None,
    pause_seconds: float = 1.0,
) -> str:
    """Wait until each pod that gets requests has ``version``; returns how many have it, in words.

    A pod counts once it was ready: what is ready later, or crashes of the version, is waited for.
    A pod that never was, as it is pending, evicted or on a lost node, is only named in the result.
    ``state_of`` picks what a pod says of the version; ``between`` is called before each look.
    Raises RefusedError, NotConfiguredError, and KindlingError at the timeout.
    """
    timeout_seconds = TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds
    began = time.monotonic()
    counted: set[str] = set()
    while True:
        between()
        pods, late = _look(look)
        for pod in pods:
            _raise_if_refused(pod, state_of(pod), version)
        counted |= {pod.name for pod in pods if not pod.not_ready}
        expected = [pod for pod in pods if pod.name in counted and not pod.is_finished]
        behind = [pod for pod in expected if state_of(pod).get("version") != version]
        if expected and not behind:
            return _summary(expected, [pod for pod in pods if pod not in expected])
        elapsed = time.monotonic() - began
        if expected and all(pod.answer and not is_configured(pod) for pod in expected):
            # Pods that serve unconfigured models too learn of it when they next poll the registry.
            noticing = _NOTICE_SECONDS if any(pod.answer.get("others") for pod in expected) else 0
            if elapsed >= min(noticing, timeout_seconds):
                raise NotConfiguredError("no pod is set to serve it")
        if elapsed > timeout_seconds:
            late = late or ", ".join(map(str, behind)) or _none_ready(pods)
            raise KindlingError(
                f"after {timeout_seconds:g} s version {version} is not served by {late}",
                next_step="nox -s models, nox -s status",
            )
        time.sleep(pause_seconds)


def _look(look: Callable[[], Sequence[ServingPod]]) -> tuple[Sequence[ServingPod], str]:
    """The pods, and why there are none where the API server does not say."""
    try:
        return look(), ""
    except KindlingError as error:
        return [], f"any pod that could be asked: {error.message}"


def _raise_if_refused(pod: ServingPod, state: Mapping[str, Any], version: str) -> None:
    refused = state.get("refused") or {}
    if refused.get("version") == version:
        raise RefusedError(
            f"pod {pod.name} refuses version {version}: {refused['reason']}",
            next_step="nox -s models",
        )


def _summary(expected: Sequence[ServingPod], others: Sequence[ServingPod]) -> str:
    count = f"{len(expected)} pods serve it" if len(expected) != 1 else "1 pod serves it"
    return f"{count}; not counted: {', '.join(map(str, others))}" if others else count


def _none_ready(pods: Sequence[ServingPod]) -> str:
    named = ", ".join(map(str, pods))
    return f"any pod, as none is ready: {named}" if named else "any pod, as there is none"
