"""A variant of the service that requests a GPU scales until the devices are used up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kindling.errors import KindlingError
from loadtests.checks import Check
from loadtests.environment import Environment
from loadtests.judge import requests, scaling
from loadtests.judge.seen import Verdicts, count, pods
from loadtests.load import Mix, Stage
from loadtests.loadtest import LoadTest
from loadtests.observers import Observers
from loadtests.observers.objects import GPU
from loadtests.scenarios.scenario import Scenario
from loadtests.timeline import Timeline

_NAME = "serving-gpu"
_APP = "app.kubernetes.io/name"
_NODES = {"nvidia.com/gpu.present": "true"}
_TARGET = 4
_BASE_SECONDS, _STEP_SECONDS = 10.0, 60.0
_READY_SECONDS = 120.0
_OUT_SECONDS = 45.0
_MIX = Mix(predict=1.0, chat=0.0, batches=((32, 0.5), (64, 0.5)))


def _run(test: LoadTest) -> list[Check]:
    environment, described = test.cluster
    devices = sum(int(node["gpus"]) for node in described.about["nodes"])
    if not devices:
        return [
            Check(
                SCENARIO.name, "scales on GPUs", "nodes with GPUs", "", "", "skipped",
                "no node offers nvidia.com/gpu",
            )
        ]  # fmt: skip
    wanted = devices + 1
    timeline = Timeline()
    with _variant(test, wanted) as url:
        watching = Observers(
            environment.kubectl, timeline, namespace=environment.namespace, deployment=_NAME,
            hpa=_NAME, prometheus_url=None, alertmanager_url=None, receiver=False,
        )  # fmt: skip
        users = wanted * _TARGET * 2
        test.say(f"{users} users at once on {url}: {wanted} pods are wanted, {devices} have a GPU")
        stages = [
            Stage("one GPU", _BASE_SECONDS, 2.0, users),
            Stage("all GPUs", _STEP_SECONDS, None, users),
        ]
        with watching:
            test.drive(stages, _MIX, url=url)
    begin = test.timeline.of("stage", "one GPU")[0].time
    timeline.extend(test.timeline.of("stage", since=begin))
    samples, name = test.samples.between(begin, float("inf")), SCENARIO.name
    out = scaling.scaled_out(
        timeline, scenario=name, stage_name="all GPUs", wanted=devices, within=_OUT_SECONDS
    )
    return [
        # That one pod more than there are devices was asked for says the overflow.
        *([out[1]] if devices > 1 else []),
        _overflow(timeline, devices),
        scaling.on_pools(
            timeline, scenario=name, pools=environment.pools, gpu_pools=environment.gpu_pools
        ),
        requests.none_failed(samples, scenario=name),
        requests.none_wrong(samples, scenario=name),
    ]


def _overflow(timeline: Timeline, devices: int) -> Check:
    """One pod more than there are devices waits, and says for what; the others are ready."""
    waiting = {
        one.name: one.fields["reason"] for one in timeline.of("pod") if not one.fields["node"]
    }
    placed = {one.name for one in timeline.of("pod") if one.fields["node"]}
    left = {pod: reason for pod, reason in waiting.items() if pod not in placed}
    ready = max((one.ready for one in pods(timeline)), default=0)
    said = "; ".join(f"{pod}: {reason}" for pod, reason in left.items()) or "no pod waited"
    ok = ready == devices and bool(left) and all(GPU in reason for reason in left.values())
    return Verdicts(SCENARIO.name)(
        "the overflow waits for a GPU", ok,
        expected=f"{count(devices)} ready, the next one waiting for {GPU}",
        observed=f"{count(ready)} ready; {said}", hint="kubectl describe pod",
    )  # fmt: skip


@contextmanager
def _variant(test: LoadTest, most: int) -> Iterator[str]:
    """The service once more, of pods that request a GPU, with an autoscaler; its address."""
    environment, _ = test.cluster
    kubectl, space = environment.kubectl, f"--namespace={environment.namespace}"
    deployment = kubectl.get("deployments.apps", environment.deployment, space)
    objects = _objects(deployment, environment.namespace, most)
    test.act("add a GPU variant", f"add {_NAME}, whose pods request a GPU each")
    try:
        for one in objects:
            kubectl.check("apply", "--filename=-", stdin=json.dumps(one))
        if not test.wait(f"a pod of {_NAME}", lambda: _ready(environment), seconds=_READY_SECONDS):
            raise KindlingError(
                f"{_NAME} had no ready pod within {_READY_SECONDS:g} s", next_step="nox -s status"
            )
        yield _url(environment)
    finally:
        test.act("remove the GPU variant", f"remove {_NAME}")
        for one in reversed(objects):
            kubectl.check("delete", one["kind"], _NAME, space, "--ignore-not-found", "--wait=false")


def _objects(deployment: dict[str, Any], namespace: str, most: int) -> list[dict[str, Any]]:
    labels = {_APP: _NAME, "app.kubernetes.io/part-of": "kindling"}
    template = deployment["spec"]["template"]
    spec = template["spec"]
    spec.pop("topologySpreadConstraints", None)
    spec["nodeSelector"] = _NODES
    spec["tolerations"] = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
    for container in spec["containers"]:
        container["resources"]["limits"][GPU] = "1"
    about = {"name": _NAME, "namespace": namespace, "labels": labels}
    annotations = template["metadata"].get("annotations", {})
    return [
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": about,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {_APP: _NAME}},
                "template": {
                    "metadata": {"labels": labels, "annotations": annotations}, "spec": spec,
                },
            },
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": about,
            "spec": {
                "type": "NodePort",
                "selector": {_APP: _NAME},
                "ports": [{"port": 80, "targetPort": spec["containers"][0]["ports"][0]["name"]}],
            },
        },
        {
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": about,
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": _NAME},
                "minReplicas": 1,
                "maxReplicas": most,
                "metrics": [
                    {
                        "type": "Pods",
                        "pods": {
                            "metric": {"name": "http_requests_in_flight"},
                            "target": {"type": "AverageValue", "averageValue": str(_TARGET)},
                        },
                    }
                ],
            },
        },
    ]  # fmt: skip


def _ready(environment: Environment) -> bool:
    found = environment.kubectl.get(
        "deployments.apps", _NAME, f"--namespace={environment.namespace}"
    )
    return bool(found.get("status", {}).get("readyReplicas"))


def _url(environment: Environment) -> str:
    """The Service at the address of a node, which only this machine reaches."""
    service = environment.kubectl.get("services", _NAME, f"--namespace={environment.namespace}")
    addresses = [
        one["address"]
        for one in environment.kubectl.items("nodes")[0]["status"]["addresses"]
        if one["type"] == "InternalIP"
    ]
    return f"http://{addresses[0]}:{service['spec']['ports'][0]['nodePort']}"


SCENARIO = Scenario(
    "gpu",
    "GPUs",
    "A variant of the service that requests a GPU for each pod gets more load than it can take: it "
    "scales until the devices are used up, and the pod that is left over says what it waits for.",
    _run,
)
