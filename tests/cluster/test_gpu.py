"""GPUs, which are simulated, as a scheduler and a pod see them."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable

from conftest import Cluster, eventually

GPU = "nvidia.com/gpu"


def phase(cluster: Cluster, namespace: str, pod: str) -> str:
    live = cluster.kubectl.get("pod", pod, f"--namespace={namespace}")
    return str(live["status"]["phase"])


def test_only_the_gpu_pool_offers_gpus_and_says_that_they_are_simulated(cluster: Cluster) -> None:
    offered = {}
    for node in cluster.kubectl.items("nodes"):
        labels = node["metadata"]["labels"]
        count = int(node["status"]["allocatable"].get(GPU, 0))
        offered[labels["kindling.dev/pool"]] = count
        if count:
            assert labels["kindling.dev/gpu-mode"] == "simulated"
            assert labels["nvidia.com/gpu.present"] == "true"
            assert labels["nvidia.com/gpu.count"] == str(count)
            assert "imulated" in labels["nvidia.com/gpu.product"]
        else:
            assert "nvidia.com/gpu.present" not in labels
    assert offered == {"control-plane": 0, "cpu": 0, "gpu": 2}


def test_pods_get_distinct_gpus_on_the_gpu_node_and_one_too_many_stays_pending(
    cluster: Cluster, namespace: str, run_pod: Callable[..., str]
) -> None:
    pods = [run_pod(f"gpu-{index}", gpus=1) for index in range(2)]
    seen = set()
    for pod in pods:
        eventually(
            lambda pod=pod: phase(cluster, namespace, pod) == "Running",
            seconds=60,
            what=f"{pod} runs",
        )
        live = cluster.kubectl.get("pod", pod, f"--namespace={namespace}")
        assert live["spec"]["nodeName"] == cluster.node_of_pool("gpu")
        environment = cluster.kubectl.check("exec", f"--namespace={namespace}", pod, "--", "env")
        (devices,) = [
            line for line in environment.splitlines() if line.startswith("NVIDIA_VISIBLE_DEVICES=")
        ]
        seen.add(devices)
        assert "KINDLING_GPU_SIMULATED=true" in environment
    assert len(seen) == 2

    extra = run_pod("gpu-too-many", gpus=1)

    def refused() -> bool:
        live = cluster.kubectl.get("pod", extra, f"--namespace={namespace}")
        conditions = live["status"].get("conditions", [])
        return any("Insufficient nvidia.com/gpu" in c.get("message", "") for c in conditions)

    eventually(refused, seconds=30, what="the scheduler refuses a third GPU")
    assert phase(cluster, namespace, extra) == "Pending"


def test_gpus_come_back_after_the_kubelet_restarts(cluster: Cluster) -> None:
    node = cluster.node_of_pool("gpu")

    def registrations() -> int:
        # The kubelet that restarts is the one that would hand over the log.
        done = cluster.kubectl.run(
            "logs", "--namespace=kindling-system", "daemonset/gpu-device-plugin"
        )
        return done.stdout.count('"registered"')

    before = registrations()
    cluster.engine.run("exec", node, "systemctl", "restart", "kubelet")
    eventually(lambda: registrations() > before, seconds=60, what="the plugin registers again")

    def offered() -> bool:
        live = cluster.kubectl.get("node", node)
        return bool(live["status"]["allocatable"].get(GPU) == "2")

    eventually(offered, seconds=60, what="the GPUs are offered again")


def test_the_device_plugin_may_label_its_own_node_and_no_other(cluster: Cluster) -> None:
    """With the plugin's own token, which says on which node it runs."""
    namespace = "--namespace=kindling-system"
    (pod,) = cluster.kubectl.items(
        "pods", namespace, "--selector=app.kubernetes.io/name=gpu-device-plugin"
    )
    token = cluster.kubectl.check(
        "create", "token", "gpu-device-plugin", namespace, "--bound-object-kind=Pod",
        f"--bound-object-name={pod['metadata']['name']}",
    ).strip()  # fmt: skip

    config = cluster.kubectl.check("config", "view", "--raw", "--minify", "--output=json")
    server = json.loads(config)["clusters"][0]["cluster"]
    # Without the administrator's certificate, which would say more than the token.
    authority = base64.b64decode(server["certificate-authority-data"]).decode()
    tls = ssl.create_default_context(cadata=authority)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
    )

    def label(node: str, patch: str) -> str:
        """Why the API server would not change the node so; empty where it would."""
        request = urllib.request.Request(
            f"{server['server']}/api/v1/nodes/{node}?dryRun=All", patch.encode(), method="PATCH",
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/merge-patch+json",
            },
        )  # fmt: skip
        try:
            opener.open(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()
        return ""

    own, other = pod["spec"]["nodeName"], cluster.node_of_pool("cpu")
    count = '{"metadata": {"labels": {"nvidia.com/gpu.count": "9"}}}'
    assert label(own, count) == ""
    assert "and no other" in label(other, count)
    assert "and nothing else" in label(own, '{"spec": {"unschedulable": true}}')
    assert "and nothing else" in label(own, '{"metadata": {"labels": {"kindling.dev/pool": "x"}}}')
