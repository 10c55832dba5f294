"""Whether a container engine works: tested, not guessed.

A privileged container must start, for kind's nodes are such; and one on the default network must
reach where packages come from, for builds do.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from kindling import paths, retry
from kindling.errors import KindlingError
from kindling.supply import command
from kindling.supply.elf import exit_zero

# Of the container that tries the network: its own exit code, and docker's when none started.
_NO_NETWORK, _ENGINE_FAILED = 9, 125
# With an alarm: looking a name up takes no timeout.
_CONNECT = f"""
import os, signal, socket, sys
def end(why):
    print(why, flush=True)
    os._exit({_NO_NETWORK})
name, port, seconds = sys.argv[1:]
signal.signal(signal.SIGALRM, lambda *_: end(f"timed out after {{seconds}} s"))
signal.setitimer(signal.ITIMER_REAL, float(seconds))
try:
    socket.create_connection((name, int(port))).close()
except OSError as error:
    end(error)
"""
_RESOLVER = ("--dns-option=timeout:1", "--dns-option=attempts:2")


def prove_privileged(docker: Path, host: str) -> None:
    """Start a privileged container. Raises KindlingError where the engine cannot."""
    with _probe_image(docker, host) as probe:
        command.run(
            [docker, "run", "--rm", "--privileged", "--network=none", probe, "/probe"],
            env={"DOCKER_HOST": host},
            what="a privileged container, which kind's nodes are,",
            again=retry.ENGINE,
        )


def prove_network(docker: Path, host: str, target: tuple[str, int], seconds: float = 15.0) -> None:
    """Reach ``target``, a name and a port, from a container on the default network.

    Raises KindlingError where a container cannot, though this host can. Says nothing of an
    engine on another host, nor where this host's Python does not start in a container.
    """
    if not host.startswith("unix:") or not _reaches(target, seconds):
        return
    folders = {"/usr", "/lib", "/lib64", str(Path(sys.base_prefix).resolve())}
    mounts = [f"--volume={path}:{path}:ro" for path in sorted(folders) if Path(path).exists()]
    with _probe_image(docker, host) as probe:
        done = subprocess.run(
            [docker, "run", "--rm", "--security-opt=label=disable", *_RESOLVER, *mounts, probe,
             Path(sys.executable).resolve(), "-I", "-S", "-c", _CONNECT, target[0], str(target[1]),
             f"{seconds:g}"],
            env={**os.environ, "DOCKER_HOST": host}, capture_output=True, text=True,
        )  # fmt: skip
    said = done.stdout.strip()
    if done.returncode == _NO_NETWORK or (done.returncode == _ENGINE_FAILED and not said):
        why = said or done.stderr.strip().partition("\n")[0]
        raise KindlingError(
            f"a container on the engine's default network does not reach {target[0]}, "
            f"as builds must: {why}",
            next_step="restart the container engine (sudo systemctl restart docker)",
        )


def _reaches(target: tuple[str, int], seconds: float) -> bool:
    try:
        socket.create_connection(target, seconds).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _probe_image(docker: Path, host: str) -> Iterator[str]:
    env = {"DOCKER_HOST": host}
    # With the pid: `doctor` may try the same beside `cluster-up`, and twice at the same time.
    name = f"{os.getpid()}-{threading.get_ident()}"
    probe = f"docker.io/kindling/probe:{name}"
    archive = paths.work_dir() / f"probe-{name}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    exit_zero(archive, platform.machine())
    try:
        command.run(
            [docker, "import", archive, probe], env=env, what="docker import", again=retry.ENGINE
        )
        yield probe
    finally:
        subprocess.run(
            [docker, "rmi", "--force", probe],
            env={**os.environ, **env},
            capture_output=True,
        )
        archive.unlink(missing_ok=True)
