"""Getting from "no engine" to a working one, and back."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from kindling import engine, engine_probe, paths, pip_config, progress, retry
from kindling.errors import KindlingError
from kindling.supply import command
from kindling.supply.archive import host_release
from kindling.supply.recipes import Programs
from kindling.supply.store import Store, build_all
from kindling.supply.versions import load

_SERVICE_SECONDS = 120
# A name that is not found for a moment is no broken network.
_NETWORK = replace(retry.NETWORK, pauses=(2, 5))
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
    """Make sure that an engine runs. The result is that of the action ``container_engine``.

    Raises KindlingError where none can be had, with what would help.
    """
    docker, made = _client(check=check)
    host = engine.default_host() if engine.own_pid() is None else engine.own_host()
    if docker is not None and engine.answers(docker, host):
        own = engine.own_pid() is not None
        if own and not engine.has_bridge():
            if not check:
                _restart(docker)
            made = [*made, "engine"]
        if not own and not check:
            engine_probe.prove_privileged(docker, host)
        return _result(docker, host, source, made)
    _refuse_where_impossible(source)
    if check:
        return {**_result(docker or Path("docker"), host, source, ["engine"]), "owned": True}
    binaries = _distribution() if _use_distribution(source) else _unpacked()
    docker = docker or _client(check=False)[0]
    assert docker is not None
    # Where services run, the distribution's package starts its engine by itself, in a while.
    if not engine.answers(docker, host, _SERVICE_SECONDS if _has_services() else 0):
        with progress.step("start the container engine"):
            host = engine.start(docker, binaries)
    engine_probe.prove_privileged(docker, host)
    return _result(docker, host, source, [*made, "engine"])


def prepare_builds(docker: Path, host: str) -> None:
    """Make sure that builds can run: Debian's packages are there, and containers have a network.

    An engine of ours whose containers have none is restarted. Raises KindlingError where that
    does not help, or the engine is the user's.
    """
    install_build_packages()
    target = pip_config.address()
    if target is None:
        return
    try:
        retry.call(lambda: engine_probe.prove_network(docker, host, target), _NETWORK)
    except KindlingError:
        if engine.own_pid() is None:
            raise
        _restart(docker)
        engine_probe.prove_network(docker, host, target)


def _restart(docker: Path) -> None:
    running = engine.own_program()
    unpacked = running is None or running.is_relative_to(paths.store_dir())
    with progress.step("restart the container engine, whose network is broken"):
        engine.start(docker, _unpacked() if unpacked else [])


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
    """The Docker client on PATH, else the one of the engine's packages."""
    if found := shutil.which("docker"):
        return Path(found), []
    step, store = Programs(load()).engine, Store(paths.store_dir())
    if store.has(step):
        return store.path(step) / "docker", []
    if check or not _can_install():
        return None, []
    return store.path(step) / "docker", build_all([step], store, workers=1)


def _has_services() -> bool:
    return Path("/run/systemd/system").exists()


def _can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _refuse_where_impossible(source: str) -> None:
    if source == "none":
        raise KindlingError(
            "no container engine answers, and engine_source is none", next_step="start Docker"
        )
    if shutil.which("dockerd") and _has_services():
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
        # Engines before version 23 ask for every capability, so they cannot start a privileged
        # container on a machine that withholds one. Debian 12 has such a one, Ubuntu has not.
        return not host_release() or not engine.missing_capabilities()
    return source == "distribution"


def _distribution() -> list[Path]:
    if shutil.which("dockerd") is None:
        install(["docker.io"])
    return []


def _unpacked() -> list[Path]:
    step, store = Programs(load()).engine, Store(paths.store_dir())
    if not store.has(step):
        build_all([step], store, workers=1)
    if shutil.which("iptables") is None:
        install(["iptables"])
    return [store.path(step)]


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
    with progress.step(f"install {', '.join(missing)}"):
        if command.run(["dpkg", "--audit"]).strip():
            # A killed run left packages unpacked; apt refuses to go on over them.
            command.run(["dpkg", "--configure", "--pending"], env=env, what="dpkg --configure")
        # By default apt takes a list that it could not fetch for a warning.
        _apt("update", "-o=APT::Update::Error-Mode=any")
        _apt("install", "--yes", "--no-install-recommends", *missing)
    return missing


def _apt(word: str, *options: str) -> None:
    command.run(
        # A machine that has just booted upgrades itself.
        ["apt-get", "-o=DPkg::Lock::Timeout=600", "--quiet", word, *options],
        env={"DEBIAN_FRONTEND": "noninteractive"}, what=f"apt-get {word}", again=retry.NETWORK,
    )  # fmt: skip
