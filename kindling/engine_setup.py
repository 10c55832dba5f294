"""Getting from "no engine" to a working one, and back."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Any

from kindling import engine, paths, progress
from kindling.errors import KindlingError
from kindling.supply import command
from kindling.supply.recipes import Programs
from kindling.supply.store import Store, build_all
from kindling.supply.tools import parse
from kindling.supply.versions import load

# What moby's daemon still speaks; older clients are refused by it.
_OLDEST_CLIENT = (25, 0, 0)
_LABEL = "app.kubernetes.io/part-of=kindling"
_BUILD_PACKAGES = (
    "gcc",
    "libc6-dev",
    "libseccomp-dev",
    "pkg-config",
    "mmdebstrap",
    # On Ubuntu mmdebstrap cannot check Debian's signatures without it.
    "debian-archive-keyring",
)


def present(source: str, *, check: bool) -> dict[str, Any]:
    """Make sure that an engine runs. The result is that of the ``container_engine`` module.

    Raises KindlingError where none can be had, with what would help.
    """
    docker, made = _client(check=check)
    host = engine.default_host() if engine.own_pid() is None else engine.own_host()
    if docker is not None and engine.answers(docker, host):
        if engine.own_pid() is None and not check:
            engine.prove_privileged(docker, host)
        return _result(docker, host, source, made)
    _refuse_where_impossible(source)
    if check:
        return {**_result(docker or Path("docker"), host, source, ["engine"]), "owned": True}
    binaries = _distribution() if _use_distribution(source) else _built()
    docker = docker or _client(check=False)[0]
    assert docker is not None
    # Where services run, the distribution's package has started its engine by itself.
    if not engine.answers(docker, host):
        with progress.step("start the container engine"):
            host = engine.start(docker, binaries)
    engine.prove_privileged(docker, host)
    return _result(docker, host, source, [*made, "engine"])


def absent(*, purge: bool, check: bool) -> dict[str, Any]:
    """Stop our engine; an engine of the user's is left alone."""
    if check:
        return {"changed": engine.own_pid() is not None}
    foreign = _foreign_containers()
    if foreign:
        return {
            "changed": False,
            "kept": f"the engine runs on, for the containers {', '.join(foreign)}",
        }
    images = purge and engine.own_pid() is None and _remove_images()
    stopped = engine.stop()
    data = purge and engine.remove_data()
    return {"changed": images or stopped or data}


def _remove_images() -> bool:
    """Remove what was built in an engine of the user's; whether there was anything.

    Not while another cluster of ours may run on it.
    """
    docker, _ = _client(check=True)
    host = engine.default_host()
    if paths.has_clusters() or docker is None or not engine.answers(docker, host):
        return False
    env = {"DOCKER_HOST": host}
    listed = command.run([docker, "image", "ls", "--quiet", f"--filter=label={_LABEL}"], env=env)
    found = sorted(set(listed.split()))
    if found:
        command.run([docker, "image", "rm", "--force", *found], env=env, what="removing images")
    return bool(found)


def _foreign_containers() -> list[str]:
    docker, _ = _client(check=True)
    if docker is None or engine.own_pid() is None:
        return []
    listed = command.run(
        [docker, "ps", "--format", "{{.Names}}"], env={"DOCKER_HOST": engine.own_host()}
    )
    return listed.split()


def _result(docker: Path, host: str, source: str, made: list[str]) -> dict[str, Any]:
    return {
        "changed": bool(made),
        "docker": str(docker),
        "host": host,
        "source": source,
        "owned": engine.own_pid() is not None,
    }


def _client(*, check: bool) -> tuple[Path | None, list[str]]:
    """The Docker client on PATH if it is recent enough, else the one that is built here."""
    found = shutil.which("docker")
    if found:
        version = parse(command.run([found, "--version"]))
        if version and (version >= _OLDEST_CLIENT or engine.own_pid() is None):
            return Path(found), []
    step = Programs(load()).docker
    store = Store(paths.store_dir())
    if store.has(step):
        return store.path(step) / "docker", []
    if check or not _can_install():
        return None, []
    made = build_all([step], store, workers=2)
    return store.path(step) / "docker", made


def _can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _refuse_where_impossible(source: str) -> None:
    if source == "none":
        raise KindlingError(
            "no container engine answers, and engine_source is none", next_step="start Docker"
        )
    if shutil.which("dockerd") and Path("/run/systemd/system").exists():
        raise KindlingError(
            "Docker is installed but does not answer",
            next_step="sudo systemctl start docker (or add yourself to the group docker)",
        )
    if platform.system() != "Linux" or shutil.which("apt-get") is None:
        raise KindlingError(
            "no container engine answers, and Kindling installs one on Debian and Ubuntu only",
            next_step="install and start Docker, then run the same command again",
        )
    if os.geteuid() != 0:
        raise KindlingError(
            "no container engine answers, and installing one needs root",
            next_step="run the same command as root, or start Docker",
        )


def _use_distribution(source: str) -> bool:
    if source == "auto":
        # Debian's engine asks for every capability, so it cannot start a privileged
        # container on a machine that withholds one.
        return not engine.missing_capabilities()
    return source == "distribution"


def _distribution() -> list[Path]:
    if shutil.which("dockerd") is None:
        install(["docker.io"])
    return []


def _built() -> list[Path]:
    programs = Programs(load())
    store = Store(paths.store_dir())
    steps = [programs.containerd, programs.runc, programs.dockerd]
    if not all(store.has(step) for step in steps):
        install_build_packages()
        build_all(steps, store, workers=2)
    if shutil.which("iptables") is None:
        install(["iptables"])
    return [store.path(step) for step in steps]


def install_build_packages() -> None:
    """Install what builds need of Debian. Raises KindlingError where that is impossible."""
    if not _can_install():
        raise KindlingError(
            "building from packages needs root on Debian or Ubuntu",
            next_step="run the same command as root, or set images_supply to registry",
        )
    install(list(_BUILD_PACKAGES))


def install(packages: list[str]) -> list[str]:
    """Install Debian packages that are missing, going on where a killed run stopped."""
    listed = command.run(["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n"])
    there = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    missing = [package for package in packages if package not in there]
    if not missing:
        return []
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    wait = "-o=DPkg::Lock::Timeout=120"
    with progress.step(f"install {', '.join(missing)}"):
        if command.run(["dpkg", "--audit"]).strip():
            # A killed run left packages unpacked; apt refuses to go on over them.
            command.run(["dpkg", "--configure", "--pending"], env=env, what="dpkg --configure")
        command.run(["apt-get", wait, "--quiet", "update"], env=env, what="apt-get update")
        command.run(
            ["apt-get", wait, "--quiet", "--yes", "--no-install-recommends", "install", *missing],
            env=env,
            what="apt-get install",
        )
    return missing
