"""``models``, ``promote`` and ``rollback``: which version of a model is served."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.text import Text

from kindling import model_inputs, model_removal, rollout, settings
from kindling.errors import KindlingError
from kindling.model_registry import ModelRegistry, Move
from kindling.pods import ServingPod
from kindling.serving import Service, follow_or_undo
from kindling.stores import Stores
from kindling.table import console, table

_METRICS = ("accuracy", "perplexity")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the first word says. Returns 0, 1 with a message on standard error, or 130."""
    command, *words = sys.argv[1:] if argv is None else argv
    try:
        return _COMMANDS[command](_arguments(command, words))
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nox -s models tells which version is champion", file=sys.stderr)
        return 130


def _promote(options: argparse.Namespace) -> int:
    service = Service.connect(options)
    name, version = options.name, options.version
    service.registry.passed(name, version)
    champion = service.champion(name)
    if not options.allow_input_changes and (
        note := model_inputs.check(service.registry, name, champion, version)
    ):
        console().print(f"{name}: {note}")
    with service.changing("promote"):
        move = service.registry.promote(name, version, instead_of=champion)
    _print_move(move)
    console().print(f"{move.name}: {follow_or_undo(service, move)}")
    return 0


def _rollback(options: argparse.Namespace) -> int:
    service = Service.connect(options)
    with service.changing("rollback"):
        move = service.registry.rollback(options.name)
    _print_move(move)
    try:
        console().print(f"{move.name}: {service.follow(move)}")
    except rollout.RefusedError as error:
        # Undone it would serve again what the rollback was to end.
        raise KindlingError(
            f"{error.message}; version {move.after} stays champion",
            next_step=f"nox -s models, then nox -s promote -- {move.name} VERSION",
        ) from None
    return 0


def _print_move(move: Move) -> None:
    came_from = f" (was {move.before})" if move.before and move.before != move.after else ""
    console().print(f"{move.name}: version {move.after} is champion{came_from}")


def _list(options: argparse.Namespace) -> int:
    service = Service.connect(options)
    if options.delete:
        return _delete(service, Stores.connect(options), *options.delete)
    if options.restore_experiment:
        return _restore_experiment(service, options.restore_experiment)
    registry = service.registry
    names = registry.names()
    out = console()
    if not names:
        out.print("no model is registered yet\n\nnext: nox -s train")
        return 0
    rows = [row for name in names for row in _versions(registry, name)]
    out.print(table(("model", "version", "alias", "gate", *_METRICS, "registered"), rows))
    out.print()
    rows = [row for pod in service.pods() for row in _served(pod)]
    out.print(table(("pod", "model", "serves", "state"), rows))
    out.print(f"\nnext: nox -s promote -- {names[0]} VERSION, or nox -s rollback -- {names[0]}")
    return 0


def _delete(service: Service, stores: Stores, name: str, version: str) -> int:
    with service.changing("models --delete"):
        kept = model_removal.delete(service.registry, stores, name, version)
    console().print(f"{name}: version {version} is deleted, with its files")
    for one in kept:
        console().print(f"{one} stays, because other versions are of it too")
    return 0


def _restore_experiment(service: Service, name: str) -> int:
    model_removal.restore_experiment(service.registry, name)
    console().print(f"the experiment {name} is there again")
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
    return rows or [(pod.name, "-", "-", pod.not_ready or "does not answer")]


def _arguments(command: str, words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"nox -s {'models' if command == 'list' else command} --", allow_abbrev=False
    )
    settings.add_arguments(parser)
    if command == "list":
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--delete", nargs=2, metavar=("NAME", "VERSION"),
            help="remove a version, its run and its files for good",
        )  # fmt: skip
        what.add_argument(
            "--restore-experiment", metavar="NAME", help="bring back an experiment that was deleted"
        )
    else:
        parser.add_argument("name", help="a registered model; `nox -s models` lists them")
    if command == "promote":
        parser.add_argument("version", help="one of its versions")
        parser.add_argument(
            model_inputs.OPTION, action="store_true",
            help="also if it takes other inputs than the champion",
        )  # fmt: skip
    return parser.parse_args(words)


_COMMANDS = {"list": _list, "promote": _promote, "rollback": _rollback}

if __name__ == "__main__":
    sys.exit(main())
