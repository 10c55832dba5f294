"""The pod network: between nodes, names inside and outside."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from conftest import Cluster, eventually


def address(cluster: Cluster, namespace: str, pod: str) -> str:
    live = cluster.kubectl.get("pod", pod, f"--namespace={namespace}")
    running = live["status"]["phase"] == "Running"
    return str(live["status"].get("podIP", "")) if running else ""


def ask(cluster: Cluster, namespace: str, pod: str, command: str) -> str:
    done = cluster.kubectl.run(
        "exec", f"--namespace={namespace}", pod, "--", "sh", "-c", command, timeout=30
    )
    return done.stdout


def test_pods_on_every_pair_of_nodes_reach_each_other(
    cluster: Cluster, namespace: str, run_pod: Callable[..., str]
) -> None:
    serve = (
        "mkdir /www && echo hello from $(hostname) > /www/index.html && httpd -f -p 8000 -h /www"
    )
    pods = {node: run_pod(f"on-{index}", node=node, command=serve)
            for index, node in enumerate(cluster.nodes)}  # fmt: skip
    addresses = {
        node: eventually(
            lambda pod=pod: address(cluster, namespace, pod), seconds=60, what=f"{pod} runs"
        )
        for node, pod in pods.items()
    }
    for source, target in itertools.permutations(cluster.nodes, 2):
        command = f"wget -q -T 5 -O - http://{addresses[target]}:8000/"
        answer = eventually(
            lambda source=source, command=command: ask(cluster, namespace, pods[source], command),
            seconds=20,
            what=f"{source} reaches {target}",
        )
        assert answer == f"hello from {pods[target]}\n"


def test_names_of_services_and_of_the_world_outside_resolve(
    cluster: Cluster, namespace: str, run_pod: Callable[..., str]
) -> None:
    pod = run_pod("asker", node=cluster.node_of_pool("cpu"))
    eventually(lambda: address(cluster, namespace, pod), seconds=60, what="the pod runs")
    inside = "nslookup serving.kindling.svc.cluster.local"
    answer = eventually(
        lambda: ask(cluster, namespace, pod, inside), seconds=20, what="a Service's name resolves"
    )
    service = cluster.kubectl.get("service", "serving", "--namespace=kindling")
    assert service["spec"]["clusterIP"] in str(answer)
    # The name of a container is outside the cluster: the engine's resolver knows it, CoreDNS not.
    outside = cluster.node_of_pool("control-plane")
    answer = ask(cluster, namespace, pod, f"nslookup -type=a {outside}.")
    node = cluster.kubectl.get("node", outside)
    internal = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
    assert internal[0] in answer
