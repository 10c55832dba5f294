"""The model service of a cluster beside its registry: moves of a champion reach every pod."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kindling import cluster, cluster_setup, lock, paths, rollout, settings
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.model_registry import CHAMPION, ModelRegistry, Move, connect
from kindling.pods import ServingPod, serving_pods
from kindling.registry_access import access

_LOCK_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Service:
    """The model service of a cluster, and the registry that it follows."""

    kubectl: Kubectl
    namespace: str
    registry: ModelRegistry
    lock_file: Path

    @classmethod
    def connect(cls, options: argparse.Namespace) -> Service:
        """The one that the inventory in ``options`` describes. Raises KindlingError."""
        chosen = settings.load(options.inventory, options.set)
        name = chosen.cluster_name
        access(name).export()
        return cls(
            cluster_setup.kubectl(cluster.known(name)),
            str(chosen["serving_namespace"]),
            connect(),
            paths.state_dir(name) / "registry.lock",
        )

    def pods(self) -> list[ServingPod]:
        """The pods now."""
        return serving_pods(self.kubectl, self.namespace)

    def champion(self, name: str) -> str:
        """The version of ``name`` that is champion now; empty where none is."""
        return self.registry.aliases(name).get(CHAMPION, "")

    def follow(self, move: Move) -> str:
        """See ``follow``."""
        return follow(move, self.pods, lambda: self.champion(move.name))

    def changing(self, command: str) -> AbstractContextManager[lock.Run]:
        """Keep other commands from changing the registry during the block, which must be short.

        Not while pods are followed: a rollback must not wait for the promotion that it ends.
        """
        return lock.hold(command, self.lock_file, wait_seconds=_LOCK_TIMEOUT_SECONDS)


def follow(
    move: Move,
    look: Callable[[], Sequence[ServingPod]],
    champion: Callable[[], str],
    *,
    timeout_seconds: float | None = None,
    pause_seconds: float = 1.0,
) -> str:
    """Wait until the pods serve ``move.after``; returns how that went, in words.

    Raises KindlingError when a pod refuses the version, when it is ``champion`` no more, and at
    the timeout.
    """

    def check_champion() -> None:
        if (now := champion()) != move.after:
            raise KindlingError(
                f"version {move.after} of {move.name} is not the champion any more: "
                + (f"version {now} is" if now else "none is"),
                next_step="nox -s models",
            )

    def state(pod: ServingPod) -> Mapping[str, Any]:
        return pod.model(move.name)

    try:
        return rollout.wait(
            look, move.after, state, between=check_champion,
            is_configured=lambda pod: bool(state(pod)),
            timeout_seconds=timeout_seconds, pause_seconds=pause_seconds,
        )  # fmt: skip
    except rollout.NotConfiguredError as error:
        return error.message


def follow_or_undo(service: Service, move: Move) -> str:
    """As ``follow``; a promotion that a pod refuses is undone.

    A pod that is slow or away says nothing about the version, so that such a move stays.
    Raises KindlingError, which says what is champion then.
    """
    try:
        return service.follow(move)
    except rollout.RefusedError as error:
        with service.changing("promote"):
            undone = move.before != move.after and service.registry.undo(move)
        champion = move.before if undone else service.champion(move.name)
        left = f"version {champion} is champion" if champion else "no champion is set"
        again = " again" if undone and champion else ""
        raise KindlingError(f"{error.message}; {left}{again}", next_step=error.next_step) from None
