"""A release of the service whose chats an upstream answers, beside the one that cluster-up made."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from conftest import Cluster, eventually, metrics_of

from kindling import charts, helm

KEY = "sk-of-this-test-alone"
NAME, MODEL = "gpt", "lab/large"
PORT = 9000

# Python of the service's own image: no other is sure to be on the nodes.
UPSTREAM = f"""
import http.server, json

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer {KEY}" or asked["model"] != "{MODEL}":
            return self.say(401, "application/json", "{{}}")
        usage = {{"prompt_tokens": 5, "completion_tokens": 2}}
        said = {{"content": "Once upon"}}
        choice = {{"index": 0, "finish_reason": "stop", "delta": said, "message": said}}
        answer = json.dumps({{"choices": [choice], "usage": usage}})
        if asked.get("stream"):
            return self.say(200, "text/event-stream", f"data: {{answer}}\\n\\ndata: [DONE]\\n\\n")
        self.say(200, "application/json", answer)

    def say(self, status, kind, text):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

http.server.ThreadingHTTPServer(("", {PORT}), Handler).serve_forever()
"""


@pytest.fixture
def image(cluster: Cluster) -> str:
    """The service's image, as it runs."""
    live = cluster.kubectl.get("deployment", "serving", "--namespace=kindling")
    name: str = live["spec"]["template"]["spec"]["containers"][0]["image"]
    return name


@pytest.fixture
def upstream(cluster: Cluster, namespace: str, image: str) -> str:
    """The base address of an upstream in a pod."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", UPSTREAM],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "upstream"},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    create(cluster, namespace, pod)

    def address() -> str:
        status = cluster.kubectl.get("pod", "upstream", f"--namespace={namespace}")["status"]
        return str(status.get("podIP", "")) if status["phase"] == "Running" else ""

    found = eventually(address, seconds=60, what="the upstream runs")
    return f"http://{found}:{PORT}/v1"


def create(cluster: Cluster, namespace: str, manifest: dict[str, Any]) -> None:
    cluster.kubectl.check(
        "create", f"--namespace={namespace}", "--filename=-", stdin=json.dumps(manifest)
    )


def secret(name: str, **values: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


@pytest.fixture
def pod(cluster: Cluster, namespace: str, image: str, upstream: str) -> str:
    """A pod of the release. It has no registry: it is never ready, and answers chats."""
    create(cluster, namespace, secret("upstream", key=KEY, url=upstream))
    create(cluster, namespace, secret("mlflow", **{"reader-password": "none"}))
    repository, _, tag = image.rpartition(":")
    values = {
        "image": {"repository": repository, "tag": tag},
        "replicaCount": 1,
        "autoscaling": {"enabled": False},
        "service": {"type": "ClusterIP"},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "registry": {"uri": "http://nobody:5000"},
        "tracing": {"enabled": False},
        "feedback": {"secretName": ""},
        "upstream": {
            "urlKey": "url",
            "name": NAME,
            "model": MODEL,
            "egress": [{"cidr": "0.0.0.0/0", "port": PORT}],
        },
    }
    release = helm.Release("serving", namespace, charts.CHARTS / "serving", values)
    plans = helm.plan(cluster.kubectl, [release])
    helm.Helm(cluster.helm, cluster.kubectl, 60).carry_out(plans, wait=False)
    chosen = f"--namespace={namespace}", "--selector=app.kubernetes.io/name=serving"

    def started() -> str:
        for found in cluster.kubectl.items("pods", *chosen):
            for state in found["status"].get("containerStatuses", []):
                if state.get("started"):
                    return str(found["metadata"]["name"])
        return ""

    return str(eventually(started, seconds=90, what="a pod of the release has started"))


@pytest.fixture
def client(cluster: Cluster, namespace: str, pod: str) -> Iterator[openai.OpenAI]:
    """OpenAI's client of that pod."""
    command = cluster.kubectl.command(
        "port-forward", f"--namespace={namespace}", f"pod/{pod}", "--address=127.0.0.1", ":8000"
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            # Forwarding from 127.0.0.1:40001 -> 8000
            port = forward.stdout.readline().split(" -> ")[0].rpartition(":")[2]
            url = f"http://127.0.0.1:{int(port)}/v1"
            with openai.OpenAI(base_url=url, api_key="unused", max_retries=0) as client:
                yield client
        finally:
            forward.terminate()


def test_chats_are_answered_by_the_upstream_with_the_key_of_the_secret(
    client: openai.OpenAI, cluster: Cluster, namespace: str, pod: str
) -> None:
    asked: Any = {"model": NAME, "messages": [{"role": "user", "content": "A story"}]}
    assert [model.id for model in client.models.list()] == [NAME]
    answer = client.chat.completions.create(**asked)
    assert answer.choices[0].message.content == "Once upon"
    assert answer.system_fingerprint == f"{NAME}-{MODEL}"
    chunks = list(client.chat.completions.create(**asked, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "Once upon"
    metrics = metrics_of(cluster, namespace, pod)
    assert f'llm_tokens_total{{model="{NAME}",type="input",version="{MODEL}"}} 10.0' in metrics
    log = cluster.kubectl.check("logs", f"--namespace={namespace}", pod)
    assert f'"model":"{NAME}"' in log
    for secret_value in (KEY, f":{PORT}"):
        assert secret_value not in metrics + log
