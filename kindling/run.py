"""Runs a playbook for a session: checks first, one run at a time, errors for people."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kindling import doctor, engine, last_run, lock, paths, settings, summary, training_ahead
from kindling.errors import KindlingError
from kindling.settings import Settings

_PLAYBOOKS = paths.REPOSITORY / "playbooks"
_CACHES = (
    "store", "go", "tools", "pycache", "dvc", "ansible", "buildx", "kube", "helm", "uv",
    "timings.json", "error.log",
)  # fmt: skip
# What would lead kind, helm or Ansible elsewhere than this run says.
_STEERING = ("HELM_", "KIND_EXPERIMENTAL_", "ANSIBLE_")
_OURS = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "ANSIBLE_HOME",
         "ANSIBLE_REMOTE_TMP", "ANSIBLE_VAULT_")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the playbook that the first word names.

    The exit code is 0, 1 for a failure, 130 or 143 for an interruption.
    """
    try:
        return _run(_arguments(argv))
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        log = paths.cache_dir() / "error.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc())
        print(f"error: {type(error).__name__}: {error}\n  details: {log}\n  next: nox -s doctor",
              file=sys.stderr)  # fmt: skip
        return 1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    playbook, *words = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog=f"nox -s cluster-{playbook} --", allow_abbrev=False)
    parser.set_defaults(playbook=playbook)
    settings.add_arguments(parser)
    parser.add_argument(
        "--check", action="store_true", help="say what would change, change nothing"
    )
    parser.add_argument("--diff", action="store_true", help="show what changes in releases")
    parser.add_argument(
        "--all", action="store_true", help="down: also the engine's data and all caches"
    )
    parser.add_argument("-v", "--verbose", action="store_true")
    return parser.parse_args(words)


def _run(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    chosen = settings.load(arguments.inventory, arguments.set)
    overrides = settings.parse_overrides(arguments.set)
    if arguments.all:
        if arguments.playbook != "down":
            raise KindlingError(
                f"--all is of cluster-down, not of cluster-{arguments.playbook}",
                next_step="nox -s cluster-down -- --all",
            )
        overrides["engine_purge"] = True
    if arguments.playbook == "up":
        _refuse_hopeless(chosen)
    with lock.hold(f"cluster-{arguments.playbook}") as run, contextlib.ExitStack() as beside:
        if arguments.playbook == "up" and not arguments.check:
            digest = last_run.inputs(chosen, overrides)
            if not arguments.verbose and _nothing_to_do(chosen, digest, began):
                return 0
            env = environment(run.id, _events_file())
            beside.enter_context(training_ahead.beside(chosen, env))
        code = _playbook(arguments, overrides, run.id)
        if code == 0 and arguments.playbook == "up" and not arguments.check:
            timings = _timings()
            last_run.keep(chosen.cluster_name, digest, _actions_file(), timings["roles"])
            print(summary.render(chosen, timings, time.monotonic() - began))
        # Values of releases may hold secrets.
        _actions_file().unlink(missing_ok=True)
        if code == 0 and arguments.playbook == "down" and not arguments.check:
            if arguments.all:
                _remove_caches()
            _clean_up()
    return code


def _nothing_to_do(chosen: Settings, digest: str, began: float) -> bool:
    """Whether the cluster is what the last run made of it; then that is told as a run would."""
    found = last_run.holds(chosen.cluster_name, digest)
    if found is None:
        return False
    for note in found.notes:
        print(f"   note  {note}")
    recap, seconds = f"ok={found.actions} changed=0 failed=0 skipped=0", time.monotonic() - began
    print(f"{recap} in {seconds:.1f} s")
    timings = {"recap": recap, "seconds": round(seconds, 2), "roles": found.roles, "tasks": []}
    _timings_file().write_text(json.dumps(timings, indent=1))
    print(summary.render(chosen, timings, seconds))
    return True


def _refuse_hopeless(chosen: Settings) -> None:
    failed = [check for check in doctor.critical(chosen) if check.status == "fail"]
    if failed:
        reasons = "; ".join(f"{check.name}: {check.found}" for check in failed)
        raise KindlingError(reasons, next_step=failed[0].fix)


def _playbook(arguments: argparse.Namespace, overrides: dict[str, object], run_id: str) -> int:
    cache = paths.cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    events = _events_file()
    for file in (events, _actions_file()):
        file.unlink(missing_ok=True)
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        f"--inventory={paths.REPOSITORY / 'inventories' / arguments.inventory}",
        f"--extra-vars={json.dumps(overrides)}",
        str(_PLAYBOOKS / f"{arguments.playbook}.yml"),
        *(["--check"] if arguments.check else []),
        *(["--diff"] if arguments.diff else []),
        *(["-v"] if arguments.verbose else []),
    ]
    child = subprocess.Popen(
        command, env=environment(run_id, events), cwd=paths.REPOSITORY, start_new_session=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    stopped_by: list[int] = []

    def stop(number: int, _frame: object) -> None:
        stopped_by.append(number)
        os.killpg(child.pid, signal.SIGTERM)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    code = child.wait()
    for number, handler in before.items():
        signal.signal(number, handler)
    if stopped_by:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 128 + stopped_by[0]
    return 1 if code else 0


def environment(run_id: str, events: Path) -> dict[str, str]:
    """What a playbook and all that it starts run with."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_OURS) or not name.startswith(_STEERING)
    }
    return {
        **kept,
        lock.VARIABLE: run_id,
        "KINDLING_EVENTS": str(events),
        "KINDLING_TIMINGS": str(_timings_file()),
        last_run.VARIABLE: str(_actions_file()),
        "PYTHONPATH": str(paths.REPOSITORY),
        "ANSIBLE_CONFIG": str(paths.REPOSITORY / "ansible.cfg"),
        # Ansible refuses to start in a locale that is not UTF-8.
        "LC_ALL": "C.UTF-8",
    }


def _events_file() -> Path:
    return paths.state_root() / "events.jsonl"


def _actions_file() -> Path:
    return paths.state_root() / "actions.jsonl"


def _timings_file() -> Path:
    return paths.cache_dir() / "timings.json"


def _timings() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_timings_file().read_text())
    return found


def _clean_up() -> None:
    """Remove what is neither a cluster's nor a cache; the lock is held until it is gone."""
    _events_file().unlink(missing_ok=True)
    lock.remove()
    with contextlib.suppress(OSError):
        paths.state_root().rmdir()


def _remove_caches() -> None:
    """Remove our caches, but for the environment that this very program runs in.

    By name: the folder may hold things that are not ours. Kept while a cluster or our engine
    needs them, which the playbook has said.
    """
    if engine.own_pid() is not None or paths.has_clusters():
        print("caches stay: a cluster or our engine still needs them")
        return
    # What this program still imports would fill it again.
    sys.dont_write_bytecode = True
    for name in _CACHES:
        entry = paths.cache_dir() / name
        if entry.is_dir():
            # Go makes its module cache read-only.
            subprocess.run(["chmod", "-R", "u+w", str(entry)], check=False)
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
