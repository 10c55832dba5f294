"""The sample models' training beside cluster-up: with the CPU that the rest of it leaves idle.

Only registering needs the cluster. What fails here is not told: the step that registers trains what
is not trained yet, and tells of it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kindling import cluster, environments, lock, paths
from kindling.errors import KindlingError
from kindling.settings import Settings

_LOWEST_PRIORITY = 19
_GROUP = Path("/proc/self/autogroup")


@contextlib.contextmanager
def beside(chosen: Settings, env: Mapping[str, str]) -> Iterator[None]:
    """Train while the block runs, which has the run id that ``env`` holds.

    Nothing is trained where there is a cluster already: its registry has the models, as a rule.
    """
    child = _start(chosen, env)
    try:
        yield
    finally:
        if child:
            lock.end_processes(env[lock.VARIABLE])
            child.wait()


def _start(chosen: Settings, env: Mapping[str, str]) -> subprocess.Popen[bytes] | None:
    models = chosen["models_sample"]
    # A template is Ansible's to work out.
    if not models or isinstance(models, str) or cluster.facts(chosen.cluster_name):
        return None
    return subprocess.Popen(
        [sys.executable, "-m", "kindling.training_ahead", *models], cwd=paths.REPOSITORY,
        # No events: its steps are none of the task that is shown meanwhile.
        env={name: value for name, value in env.items() if name != "KINDLING_EVENTS"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def main(models: Sequence[str]) -> int:
    """Train ``models``; the exit code is 1 where anything stops it."""
    try:
        # Not at the lowest priority: it holds a lock that every command waits for.
        python = environments.ensure("models")
    except KindlingError:
        return 1
    give_way()
    train = [str(python), "-m", "kindling.train", "--no-register", *models]
    code = subprocess.run(train, check=False).returncode
    # MLflow's client is large: now it is compiled, and read from the disk, before it is waited for.
    subprocess.run([str(python), "-c", "import pipeline.registration"], check=False)
    return code


def give_way() -> None:
    """Take only the CPU that nothing else wants."""
    os.nice(_LOWEST_PRIORITY)
    # A session is a group of its own to the scheduler, within which alone a nice value counts.
    if _GROUP.exists():
        _GROUP.write_text(str(_LOWEST_PRIORITY))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
