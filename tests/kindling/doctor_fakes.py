"""A healthy machine, from which a test takes away what it is about."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kindling.doctor.context import Context
from kindling.doctor.machine import Done, Machine
from kindling.doctor.web import Answer
from kindling.settings import Settings
from kindling.supply.versions import Pinned, Versions

NOW = 1_800_000_000.0
GIB = 1024**3
VARIABLES: dict[str, Any] = {
    "cluster_name": "kindling",
    "cluster_node_pools": [{"name": "main", "role": "control-plane"}],
    "cluster_ports": {"serving": 8080},
    "images_supply": "auto",
    "images_mirror": "",
    "gpu_mode": "simulated",
}
FILES = {
    "etc/os-release": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "proc/self/status": "CapBnd:\t000001ffffffffff\n",
    "proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\n",
    "proc/meminfo": f"MemAvailable:   {16 * GIB // 1024} kB\n",
    "proc/sys/fs/inotify/max_user_instances": "1024\n",
    "proc/sys/fs/inotify/max_user_watches": "1048576\n",
    "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
}
INFO = {
    "ServerVersion": "29.0.0",
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"]],
    "DockerRootDir": "/var/lib/docker",
}
FACTS: dict[str, Any] = {
    "name": "kindling",
    "context": "kind-kindling",
    "kubeconfig": "/state/kubeconfig",
    "kubernetes_version": "v1.36.4",
    "supply": "packages",
    "node_image": "kindling/node:1",
    "node_pools": [{"name": "gpu", "role": "worker", "gpus": 2}],
    "ports": {"serving": 8080},
    "pod_network": {"name": "kindling-ptp", "enforces_network_policy": False},
    "gpu_mode": "simulated",
    "tools": {"kubectl": "/cache/kubectl"},
    "engine": {"owned": True, "host": "unix:///e.sock", "docker": "/usr/bin/docker"},
    "complete": True,
}


class Programs:
    """Answers by the first words of a command; what is not named fails."""

    def __init__(self, answers: Mapping[str, str | Done]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, words: Sequence[str], **_: object) -> Done:
        line = " ".join([Path(words[0]).name, *words[1:]])
        self.asked.append(line)
        for start, answer in self.answers.items():
            if start in line:
                return answer if isinstance(answer, Done) else Done(0, answer, "")
        return Done(1, "", "unknown")


def programs(**others: str | Done) -> Programs:
    """A healthy engine and configured package clients; ``others`` by name with _ for spaces."""
    usual: dict[str, str | Done] = {
        "docker info": json.dumps(INFO),
        "docker ps": "",
        "pip config": "global.index-url='https://user:hidden@pip.example/simple'\n",
        "go env": "https://go.example,direct\n",
        "apt-get": "'http://apt.example/debian/dists/stable/InRelease' x 0\n",
        "apt-config": "",
    }
    named = {name.replace("_", " "): answer for name, answer in others.items()}
    return Programs({**usual, **named})


def make_context(
    root: Path,
    *,
    files: Mapping[str, str | None] | None = None,
    variables: Mapping[str, Any] | None = None,
    info: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Context:
    """A context around the healthy machine, with changes; a file of None is missing."""
    for name, text in {**FILES, **(files or {})}.items():
        if text is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    healthy = Machine(
        root=root,
        cache=root / "cache",
        system="Linux",
        arch="x86_64",
        uid=0,
        env={},
        run=programs(**({"docker_info": json.dumps({**INFO, **info})} if info else {})),
        which=lambda name: f"/usr/bin/{name}",
        free=lambda _: (1, 100 * GIB, 1000),
        ask=lambda *_, **__: Answer(200, "HTTP 200", NOW),
        registry_answers=lambda _: True,
        engine_host=lambda: "unix:///e.sock",
        prove_privileged=lambda *_: None,
        prove_network=lambda *_: None,
        package_index=lambda: ("pip.example", 443),
        facts=lambda _: None,
        now=lambda: NOW,
    )
    machine = replace(healthy, **changes)
    return Context(settings(**(variables or {})), machine, versions())


def settings(**variables: Any) -> Settings:
    return Settings("local", {**VARIABLES, **variables})


def versions() -> Versions:
    return Versions(
        kubernetes="v1.36.4",
        tools={"kind": "v0.33.0", "helm": "v3.22.0"},
        build={},
        engine_release="",
        engine=(),
        images={"node": Pinned("images.example/node:1", "")},
        node_images={},
    )


def unanswered(*_: object, **__: object) -> Answer:
    return Answer(0, "connection refused")


def known(**changes: Any) -> Callable[[str], dict[str, Any]]:
    return lambda _: {**FACTS, **changes}
