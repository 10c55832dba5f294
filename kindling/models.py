"""``models``, ``promote`` and ``rollback``: which version of a model is served."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from rich.text import Text

from kindling import cluster, cluster_setup, settings
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.model_registry import ModelRegistry, Move, connect
from kindling.pods import ServingPod, serving_pods
from kindling.registry_access import access
from kindling.table import console, table

_FOLLOW_SECONDS = 120.0
_NOTICE_SECONDS = 15.0
_METRICS = ("accuracy", "perplexity")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the first word says. Returns 0, or 1 with a message on standard error."""
    command, *words = sys.argv[1:] if argv is None else argv
    try:
        return _COMMANDS[command](_arguments(command, words))
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1


def follow(
    kubectl: Kubectl, move: Move, *, seconds: float = _FOLLOW_SECONDS, pause: float = 1.0
) -> str:
    """Wait until every pod of the service serves ``move.after``; returns how that went, in words.

    Raises KindlingError when a pod refuses the version, or at the bound.
    """
    began = time.monotonic()
    deadline = began + seconds
    while True:
        pods = serving_pods(kubectl)
        serving = [pod for pod in pods if pod.model(move.name)]
        states = [(pod, pod.model(move.name)) for pod in serving]
        for pod, state in states:
            refused = state.get("refused") or {}
            if refused.get("version") == move.after:
                raise KindlingError(
                    f"pod {pod.name} refuses version {move.after}: {refused['reason']}",
                    next_step="nox -s models",
                )
        behind = [pod.name for pod, state in states if state.get("version") != move.after]
        if not behind and len(serving) == len(pods):
            return f"{len(pods)} pods serve it" if len(pods) != 1 else "1 pod serves it"
        if pods and not serving and all(pod.answer for pod in pods):
            # Pods that serve what nobody configured learn of it at their next look.
            noticing = _NOTICE_SECONDS if any(pod.answer.get("others") for pod in pods) else 0.0
            if time.monotonic() >= began + min(noticing, seconds):
                return "no pod is set to serve it"
        if time.monotonic() > deadline:
            late = ", ".join(behind) or "pods that do not answer"
            raise KindlingError(
                f"after {seconds:g} s version {move.after} is not served by {late}",
                next_step="nox -s models, nox -s status",
            )
        time.sleep(pause)


def follow_or_undo(kubectl: Kubectl, registry: ModelRegistry, move: Move) -> str:
    """As ``follow``; a move that does not get through to every pod is undone.

    Raises KindlingError, which says what is champion then.
    """
    try:
        return follow(kubectl, move)
    except KindlingError as error:
        if move.before == move.after:
            raise
        registry.undo(move)
        left = f"version {move.before} is champion again" if move.before else "no champion is set"
        raise KindlingError(f"{error.message}; {left}", next_step=error.next_step) from None


def _promote(options: argparse.Namespace) -> int:
    return _move(options, lambda registry: registry.promote(options.name, options.version))


def _rollback(options: argparse.Namespace) -> int:
    return _move(options, lambda registry: registry.rollback(options.name))


def _move(options: argparse.Namespace, make: Callable[[ModelRegistry], Move]) -> int:
    kubectl, registry = _connect(options)
    move = make(registry)
    came_from = f" (was {move.before})" if move.before and move.before != move.after else ""
    out = console()
    out.print(f"{move.name}: version {move.after} is champion{came_from}")
    out.print(f"{move.name}: {follow_or_undo(kubectl, registry, move)}")
    return 0


def _list(options: argparse.Namespace) -> int:
    kubectl, registry = _connect(options)
    names = registry.names()
    out = console()
    if not names:
        out.print("no model is registered yet\n\nnext: nox -s train")
        return 0
    rows = [row for name in names for row in _versions(registry, name)]
    out.print(table(("model", "version", "alias", "gate", *_METRICS, "registered"), rows))
    pods = serving_pods(kubectl)
    out.print()
    rows = [row for pod in pods for row in _served(pod)]
    out.print(table(("pod", "model", "serves", "state"), rows))
    out.print(f"\nnext: nox -s promote -- {names[0]} VERSION, or nox -s rollback -- {names[0]}")
    return 0


def _versions(registry: ModelRegistry, name: str) -> list[tuple[str | Text, ...]]:
    aliases = registry.aliases(name)
    rows: list[tuple[str | Text, ...]] = []
    for one in registry.versions(name):
        here = sorted(alias for alias, version in aliases.items() if version == str(one.version))
        when = datetime.fromtimestamp(one.creation_timestamp / 1000, UTC)
        measured = registry.metrics(one)
        metrics = [f"{measured[m]:.4g}" if m in measured else "-" for m in _METRICS]
        style = "bold" if "champion" in here else ""
        rows.append((
            name, Text(str(one.version), style), Text(", ".join(here), style),
            one.tags.get("gate", "not run"), *metrics, f"{when:%Y-%m-%d %H:%M} UTC",
        ))  # fmt: skip
    return rows


def _served(pod: ServingPod) -> list[tuple[str | Text, ...]]:
    rows: list[tuple[str | Text, ...]] = []
    for one in pod.answer.get("models", []):
        refused = one.get("refused")
        state = str(pod.answer.get("reason") or pod.answer.get("status"))
        if refused:
            state = f"refuses {refused['version']}: {refused['reason']}"
        if canary := one.get("canary"):
            refused = canary["refused"]
            state += f"; canary {canary['version']} " + (
                f"is refused: {refused['reason']}" if refused else f"gets {canary['share']:.0%}"
            )
        rows.append((pod.name, one["name"], one.get("version") or "-", state))
    return rows or [(pod.name, "-", "-", "does not answer")]


def _connect(options: argparse.Namespace) -> tuple[Kubectl, ModelRegistry]:
    name = settings.load(options.inventory, options.set).cluster_name
    access(name).export()
    return cluster_setup.kubectl(cluster.known(name)), connect()


def _arguments(command: str, words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"nox -s {'models' if command == 'list' else command} --", allow_abbrev=False
    )
    settings.add_arguments(parser)
    if command != "list":
        parser.add_argument("name", help="a registered model; `nox -s models` lists them")
    if command == "promote":
        parser.add_argument("version", help="one of its versions")
    return parser.parse_args(words)


_COMMANDS = {"list": _list, "promote": _promote, "rollback": _rollback}

if __name__ == "__main__":
    sys.exit(main())
