"""What an image's program does on real input, inside that image, where no other test sees it.

An image whose files are all there may still lack a locale, a library, or the right to read them.
tests/images/test_each_image_works.py names the test of each image.
"""

from __future__ import annotations

import base64
import json
import urllib.request
from typing import Any

from conftest import BUSYBOX, Cluster, eventually
from onnx import TensorProto, helper

from kindling import cluster as clusters
from kindling import web

_RUN_GRAPH = """
import base64, sys
import numpy as np, onnxruntime as ort
session = ort.InferenceSession(base64.b64decode(sys.stdin.read()))
(found,) = session.run(None, {"text": np.array(sys.argv[1:], object)})
sys.stdout.buffer.write("\\n".join(found).encode())
"""
_CLAIM: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}},
    },
}


def lowercase_graph() -> bytes:
    """A graph as the importer writes it for vectorizers of text: it names a locale."""
    node = helper.make_node(
        "StringNormalizer", ["text"], ["lower"], case_change_action="LOWER", is_case_sensitive=0,
        locale="C.UTF-8",
    )  # fmt: skip
    text, lower = (
        helper.make_tensor_value_info(name, TensorProto.STRING, [None])
        for name in ("text", "lower")
    )
    graph = helper.make_graph([node], "lowercase", [text], [lower])
    opset = helper.make_opsetid("", 17)
    content: bytes = helper.make_model(
        graph, opset_imports=[opset], ir_version=8
    ).SerializeToString()
    return content


def execute(cluster: Cluster, workload: str, *command: str, stdin: str | None = None) -> str:
    """What ``command`` prints in a pod of ``workload``."""
    words = ["exec", *(["--stdin"] if stdin else []), "--namespace=kindling", workload, "--"]
    return cluster.kubectl.check(*words, *command, stdin=stdin)


def test_the_service_runs_a_graph_that_makes_text_lower_case(cluster: Cluster) -> None:
    graph = base64.b64encode(lowercase_graph()).decode()
    texts = ("Straße", "ÄPFEL", "FILM")
    lower = execute(
        cluster, "deployment/serving", "python", "-c", _RUN_GRAPH, *texts, stdin=graph
    )  # fmt: skip
    assert lower.splitlines() == ["straße", "äpfel", "film"]


def test_the_database_makes_text_lower_case_and_sorts_it(cluster: Cluster) -> None:
    query = "SELECT lower('ÄPFEL'), 'a' < 'b', to_tsvector('english', 'planning films')"
    psql = 'psql --no-psqlrc -tA --username="$POSTGRES_USER" "$POSTGRES_DB" -c "$1"'
    found = execute(cluster, "statefulset/postgresql", "sh", "-c", psql, "sh", query)
    assert found.strip() == "äpfel|t|'film':2 'plan':1"


def test_promtool_accepts_the_rules_that_its_prometheus_runs(cluster: Cluster) -> None:
    checked = execute(
        cluster, "statefulset/prometheus", "promtool", "check", "config",
        "/etc/prometheus/prometheus.yml",
    )  # fmt: skip
    assert "SUCCESS" in checked
    assert "rules found" in checked


def test_the_viewer_serves_its_page_its_dashboards_and_their_data(cluster: Cluster) -> None:
    url = f"http://127.0.0.1:{clusters.known(cluster.name)['ports']['dashboards']}"

    def get(path: str) -> str:
        with web.without_proxy().open(urllib.request.Request(url + path), timeout=10) as response:
            return str(response.read().decode())

    page = get("/")
    (script,) = [part.split('"')[0] for part in page.split('src="')[1:]]
    assert len(get(script)) > 10_000
    assert json.loads(get("/api/v1/query?query=up"))["status"] == "success"


def test_a_volume_is_made_written_and_removed(cluster: Cluster, namespace: str) -> None:
    here = f"--namespace={namespace}"
    cluster.kubectl.check("create", here, "--filename=-", stdin=json.dumps(_CLAIM))
    spec = {
        "terminationGracePeriodSeconds": 0,
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "main", "image": BUSYBOX, "imagePullPolicy": "Never",
                "command": ["sh", "-c", "echo kept > /data/file && cat /data/file"],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    }  # fmt: skip
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writer"}, "spec": spec}
    cluster.kubectl.check("create", here, "--filename=-", stdin=json.dumps(pod))

    def phase() -> bool:
        live = cluster.kubectl.get("pod", "writer", here)
        return bool(live["status"]["phase"] == "Succeeded")

    eventually(phase, seconds=120, what="the pod has written to its volume")
    assert cluster.kubectl.check("logs", here, "writer") == "kept\n"
    (volume,) = [
        one["metadata"]["name"]
        for one in cluster.kubectl.items("persistentvolumes")
        if one["spec"]["claimRef"]["namespace"] == namespace
    ]
    cluster.kubectl.check("delete", here, "pod/writer", "persistentvolumeclaim/data")

    def volumes() -> set[str]:
        return {one["metadata"]["name"] for one in cluster.kubectl.items("persistentvolumes")}

    eventually(lambda: volume not in volumes(), seconds=120, what="the volume is removed")
