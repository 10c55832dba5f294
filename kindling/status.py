"""What runs, where, and whether it is well.

``--json`` prints one object:

- ``version``: 1; ``state``: absent, incomplete, stopped, unreachable, degraded, unknown (not all
  has answered in two seconds, and what has is well) or running;
  ``problems``: what is not well, as sentences; ``next``: what to type next
- ``cluster``, ``context``, ``kubeconfig``, ``kubernetes``, ``supply``, ``node_image``, ``gpu_mode``
  (null without a cluster), ``tools`` (paths of ``kind``, ``kubectl``, ``helm``), ``pod_network``
  (``name``, ``enforces_network_policy``) and ``engine`` (``host``, ``owned``)
- ``nodes``: ``name``, ``pool``, ``container`` (Docker's state), ``ready``, ``version``, ``gpus``
  (allocatable), ``gpus_simulated``, ``gpus_wanted`` (by the inventory)
- ``workloads``: ``kind``, ``namespace``, ``name``, ``ready``, ``wanted`` (pods)
- ``autoscalers``: ``namespace``, ``name``, ``current``, ``desired``, ``min``, ``max`` (pods),
  ``cpu``, ``cpu_target`` (percent of the request, or null), ``pods_metrics`` (each ``name``,
  ``value``: the mean of all pods or null, ``target``)
- ``urls``: ``service``, ``url``, ``ready``, ``models`` (each ``name``, ``version``)
- ``cache``: ``path``, ``bytes``, ``counted`` (false: there are more bytes than these),
  ``free_bytes`` of its disk

``ready`` of a node or a URL is null where nothing has answered yet.

Exit code 0 when all is well, 4 when that is unknown yet, 3 otherwise.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kindling import cluster, cluster_setup, paths, settings, status_objects, status_view, web
from kindling.doctor.machine import Done, gather, run
from kindling.errors import KindlingError
from kindling.table import console

_SECONDS = 1.8
_UNKNOWN = 4
# What kubectl exits with, or says, when it has waited in vain.
_LATE = 124
_TIMED_OUT = re.compile(r"deadline exceeded|timed? ?out|Client\.Timeout", re.IGNORECASE)
_FACTS = ("context", "kubeconfig", "tools", "supply", "node_image", "gpu_mode", "pod_network")
_KINDS = (
    "nodes,deployments.apps,statefulsets.apps,daemonsets.apps,horizontalpodautoscalers.autoscaling"
)


# Where each service says whether it is well; the model service says more than that.
_HEALTH = {
    "serving": "/ready",
    "mlflow": "/health",
    "prometheus": "/-/ready",
    "alertmanager": "/-/ready",
    "dashboards": "/health",
}


def ask_ready(url: str) -> dict[str, Any]:
    """What ``GET url`` answers with, as JSON; empty where nothing sensible answers.

    A plain 200 counts as ``{"status": "ready"}``. Raises TimeoutError where it is late.
    """
    try:
        with web.without_proxy().open(url, timeout=1) as answer:
            body = answer.read(65536)
            if answer.headers.get_content_type() != "application/json":
                return {"status": "ready"}
    except urllib.error.HTTPError as error:
        with error:
            body = error.read(65536)
    except web.NO_ANSWER as error:
        if isinstance(getattr(error, "reason", error), TimeoutError):
            raise TimeoutError from error
        return {}
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def ask_kubectl(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All objects of the kinds that are shown, by one call.

    Raises KindlingError, and TimeoutError where the API server is late.
    """
    done = cluster_setup.kubectl(facts).run(
        "get", _KINDS, "--all-namespaces", "--output=json", "--request-timeout=1500ms",
        timeout=_SECONDS,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        if done.returncode == _LATE or _TIMED_OUT.search(done.stderr):
            raise TimeoutError
        raise KindlingError(lines[-1] if lines else "kubectl failed")
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return items


@dataclass(frozen=True)
class Probes:
    """All that is asked, so that a test can answer instead."""

    facts: Callable[[str], dict[str, Any] | None] = cluster.facts
    run: Callable[..., Done] = run
    objects: Callable[[Mapping[str, Any]], list[dict[str, Any]]] = ask_kubectl
    ready: Callable[[str], dict[str, Any]] = ask_ready
    cache: Callable[..., dict[str, Any]] = status_objects.cache_size


def collect(name: str, probes: Probes | None = None) -> dict[str, Any]:
    """The document that ``--json`` prints, for the cluster ``name``; takes 2 s at most."""
    probes = probes or Probes()
    facts, folder = probes.facts(name), paths.cache_dir()
    if facts is None:
        return {**_about(name, {}), "state": "absent", "cache": probes.cache(folder, probes.run)}
    urls = {s: f"http://127.0.0.1:{port}" for s, port in facts["ports"].items()}
    jobs: dict[str, Callable[[], Any]] = {
        "containers": partial(_containers, facts, probes),
        "objects": partial(probes.objects, facts),
        "cache": partial(probes.cache, folder, probes.run),
        **{
            f"url {service}": partial(probes.ready, url + _HEALTH[service])
            for service, url in urls.items()
        },
    }
    answers = gather(jobs, _SECONDS)
    containers, objects = answers["containers"], answers["objects"]
    found = _about(name, facts)
    found["cache"] = answers["cache"] if isinstance(answers["cache"], dict) else None
    found["urls"] = [_url(service, url, answers[f"url {service}"]) for service, url in urls.items()]
    known = containers if isinstance(containers, dict) else {}
    items = objects if isinstance(objects, list) else []
    found["nodes"] = status_objects.nodes(items, known, facts)
    if _is_late(objects):
        for node in found["nodes"]:
            node["ready"] = None
    found["workloads"] = status_objects.workloads(items)
    found["autoscalers"] = status_objects.autoscalers(items)
    found["state"], found["problems"] = _judge(facts, containers, objects, found)
    found["next"] = _next(found, facts)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print what runs. Returns 0 when all is well, 4 when that is unknown yet, 3 otherwise."""
    parser = argparse.ArgumentParser(
        prog="nox -s status --",
        description=(__doc__ or "").partition("\n")[0],
        allow_abbrev=False,
    )
    settings.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(argv)
    try:
        found = collect(settings.load(options.inventory, options.set).cluster_name)
    except KindlingError as error:
        console(sys.stderr).print(error.for_people(), markup=False)
        return 3
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        console().print(status_view.render(found))
    return {"running": 0, "unknown": _UNKNOWN}.get(found["state"], 3)


def _about(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    engine = facts.get("engine")
    return {
        "version": 1,
        "state": "",
        "problems": [],
        "next": "nox -s cluster-up",
        "cluster": name,
        "kubernetes": facts.get("kubernetes_version"),
        "engine": {"host": engine["host"], "owned": engine["owned"]} if engine else None,
        **{key: facts.get(key) for key in _FACTS},
        "nodes": [],
        "workloads": [],
        "autoscalers": [],
        "urls": [],
    }


def _is_late(answer: Any) -> bool:
    return answer is None or isinstance(answer, TimeoutError)


def _containers(facts: Mapping[str, Any], probes: Probes) -> dict[str, str]:
    """States of the node containers by name.

    Raises KindlingError where the engine does not answer, TimeoutError where it is late.
    """
    engine = facts["engine"]
    docker = engine.get("docker") or facts["tools"]["docker"]
    done = probes.run(
        [docker, "ps", "--all", f"--filter=label=io.x-k8s.kind.cluster={facts['name']}",
         "--format={{.Names}} {{.State}}"],
        seconds=_SECONDS,
        env={"DOCKER_HOST": engine["host"]},
    )  # fmt: skip
    if done.code is None and done.err.startswith("no answer"):
        raise TimeoutError
    if done.code != 0:
        raise KindlingError(done.err)
    return dict(line.split(maxsplit=1) for line in done.out.splitlines() if line.strip())


def _url(service: str, url: str, answer: Any) -> dict[str, Any]:
    body = answer if isinstance(answer, dict) else {}
    return {
        "service": service,
        "url": url,
        "ready": None if _is_late(answer) else body.get("status") == "ready",
        "models": [
            {"name": one.get("name"), "version": one.get("version")}
            for one in body.get("models", [])
        ],
    }


def _judge(
    facts: Mapping[str, Any], containers: Any, objects: Any, found: Mapping[str, Any]
) -> tuple[str, list[str]]:
    late = f"no answer yet, in {_SECONDS:g} s"
    if _is_late(containers):
        return "unknown", [f"the container engine at {facts['engine']['host']}: {late}"]
    if not isinstance(containers, dict):
        return "stopped", [f"the container engine at {facts['engine']['host']} does not answer"]
    if not facts.get("complete", True):
        return "incomplete", ["cluster-up was interrupted, or still runs"]
    if not containers:
        return "absent", [f"{facts['name']} is recorded, but its nodes are gone"]
    if down := sorted(name for name, state in containers.items() if state != "running"):
        return "stopped", [f"{name} is {containers[name]}" for name in down]
    if _is_late(objects):
        return "unknown", [f"the API server: {late}"]
    if not isinstance(objects, list):
        return "unreachable", [f"the API server: {objects}"]
    waiting = [
        f"{url['service']} at {url['url']}: {late}" for url in found["urls"] if url["ready"] is None
    ]
    problems = status_objects.problems(found)
    if not problems and waiting:
        return "unknown", waiting
    return ("degraded" if problems else "running"), problems + waiting


def _next(found: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    if found["state"] == "running":
        urls = [url["url"] for url in found["urls"]]
        return f"open {urls[0]}/docs, or nox -s cluster-down" if urls else "nox -s cluster-down"
    if found["state"] == "unknown":
        return (
            "nox -s status, once this machine is less busy; nox -s doctor if that changes nothing"
        )
    if found["state"] in ("degraded", "unreachable"):
        kubectl = f"{facts['tools']['kubectl']} --kubeconfig={facts['kubeconfig']}"
        return f"{kubectl} get pods,events --all-namespaces, or nox -s doctor"
    return "nox -s cluster-up"


if __name__ == "__main__":
    sys.exit(main())
