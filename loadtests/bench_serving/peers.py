"""The model servers: how each is set up, started and asked."""

from __future__ import annotations

import compileall
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kindling import paths
from loadtests.bench_serving.models import Model
from loadtests.bench_serving.registry import VERSION
from pipeline.package import sha256
from service.copies import Copies

OURS, BASELINE, BARE = "kindling", "baseline", "bare"
_APPS = Path(__file__).parent / "apps"


@dataclass(frozen=True)
class Site:
    """Where a server runs: which model, on which port, in which folder, by which Python.

    ``spare`` are more ports that it may listen on; ``registry`` and ``traces`` are those of what
    our service speaks to beside its clients. ``baseline`` is the checkout of that server.
    """

    model: Model
    port: int
    folder: Path
    python: Path
    spare: tuple[int, int] = (0, 0)
    registry: int = 0
    traces: int = 0
    baseline: Path = paths.REPOSITORY


@dataclass(frozen=True)
class Start:
    """The words of a command, and what is in its environment."""

    words: Sequence[str]
    variables: dict[str, str]


@dataclass(frozen=True)
class Peer:
    """A model server. ``about`` says how it is set up; ``lock`` describes its environment.

    ``body`` makes a request of a row, ``label`` reads the label in an answer.
    """

    name: str
    title: str
    about: str
    lock: str
    start: Callable[[Site], Start]
    path: Callable[[Model], str]
    body: Callable[[Sequence[float]], Any]
    label: Callable[[Any], int]

    def request(self, row: Sequence[float]) -> str:
        return json.dumps(self.body(row))

    def read(self, answer: str) -> int | None:
        """The label in ``answer``; None where there is none to be found."""
        try:
            return int(self.label(json.loads(answer)))
        except (ValueError, KeyError, IndexError, TypeError):
            return None


def _ours(site: Site) -> Start:
    return _service(site, paths.REPOSITORY)


def _baseline(site: Site) -> Start:
    return _service(site, site.baseline)


def _service(site: Site, checkout: Path) -> Start:
    _keep_copy(site.model, site.folder / "cache")
    settings = {
        "MODELS": site.model.name,
        "CACHE_DIR": str(site.folder / "cache"),
        "LISTEN_HOST": "127.0.0.1",
        "LISTEN_PORT": str(site.port),
        "REGISTRY_URI": f"http://127.0.0.1:{site.registry}",
        "OTLP_ENDPOINT": f"http://127.0.0.1:{site.traces}/v1/traces",
        "FEEDBACK_KEY": "only-for-this-benchmark",
        "LOG_LEVEL": "info",
    }
    variables = {f"KINDLING_SERVICE_{name}": value for name, value in settings.items()}
    code = str(_compiled(checkout, site.folder / "code"))
    return Start([str(site.python), "-m", "service"], variables | {"PYTHONPATH": code})


def _compiled(checkout: Path, folder: Path) -> Path:
    """A folder with the service's code and its bytecode, as its image has it."""
    shutil.copytree(
        checkout / "service", folder / "service",
        ignore=shutil.ignore_patterns("__pycache__"),
    )  # fmt: skip
    compileall.compile_dir(folder, quiet=2)
    return folder


def _keep_copy(model: Model, cache: Path) -> None:
    """What a service keeps of a model that it has served before."""
    copies, package = Copies(cache), model.folder / "package"
    workspace = copies.workspace(model.name)
    shutil.copytree(package, workspace, dirs_exist_ok=True)
    copies.note(model.name, copies.keep(model.name, VERSION, sha256(package), workspace))


def _app(file: str) -> Callable[[Site], Start]:
    def start(site: Site) -> Start:
        words = [site.python, _APPS / file, site.model.onnx, site.port, site.folder]
        return Start([str(word) for word in words], {})

    return start


def _mlflow(site: Site) -> Start:
    words = [
        "-m", "mlflow", "models", "serve", f"--model-uri={site.model.mlflow}",
        "--host=127.0.0.1", f"--port={site.port}", "--workers=1", "--env-manager=local",
    ]  # fmt: skip
    # What it starts is found on the path.
    path = f"{site.python.parent}{os.pathsep}{os.environ['PATH']}"
    variables = {
        "PATH": path,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # A line for each request is no part of what is compared.
        "UVICORN_ACCESS_LOG": "false",
    }
    return Start([str(site.python), *words], variables)


def _mlserver(site: Site) -> Start:
    # In the process that answers: at one core another process only adds to the work.
    server = {
        "host": "127.0.0.1", "http_port": site.port, "parallel_workers": 0, "debug": False,
        "grpc_port": site.spare[0], "metrics_port": site.spare[1],
        "metrics_dir": str(site.folder),
    }  # fmt: skip
    model = {
        "name": site.model.name, "implementation": "mlserver_sklearn.SKLearnModel",
        "max_batch_size": 16, "max_batch_time": 0.002,
        "parameters": {"uri": str(site.model.joblib)},
    }  # fmt: skip
    (site.folder / "settings.json").write_text(json.dumps(server))
    (site.folder / "model-settings.json").write_text(json.dumps(model))
    program = site.python.parent / "mlserver"
    return Start([str(program), "start", str(site.folder)], {})


def _bentoml(site: Site) -> Start:
    words = ["serve", "bento_app:Classifier", f"--working-dir={_APPS}", f"--port={site.port}"]
    variables = {
        "MODEL": str(site.model.onnx),
        "BENTOML_HOME": str(site.folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    program = site.python.parent / "bentoml"
    return Start([str(program), *words, "--host=127.0.0.1"], variables)


def _ray(site: Site) -> Start:
    variables = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    }
    return Start(_app("ray_app.py")(site).words, variables)


def _predict(_: Model) -> str:
    return "/predict"


def _infer(model: Model) -> str:
    return f"/v2/models/{model.name}/infer"


def _tensor(row: Sequence[float]) -> Any:
    return {"inputs": [{"name": "x", "shape": [1, len(row)], "datatype": "FP32", "data": row}]}


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            OURS, "Kindling", "everything on: metrics, traces, ids, access log, following", "",
            _ours, _predict, lambda row: {"instances": [row]},
            lambda answer: answer["predictions"][0]["label"],
        ),
        Peer(
            BASELINE, "Kindling before", "the commit of --baseline, everything on as well", "",
            _baseline, _predict, lambda row: {"instances": [row]},
            lambda answer: answer["predictions"][0]["label"],
        ),
        Peer(
            BARE, "bare handler", "FastAPI, uvloop, httptools, ONNX Runtime, and no features",
            "bench-bare", _app("bare_app.py"), _predict, lambda row: {"instances": [row]},
            lambda answer: answer["labels"][0],
        ),
        Peer(
            "mlserver", "MLServer", "scikit-learn, labels alone, batches of 16 within 2 ms",
            "bench-mlserver", _mlserver, _infer, _tensor,
            lambda answer: answer["outputs"][0]["data"][0],
        ),
        Peer(
            "litserve", "LitServe", "ONNX Runtime, batches of 16 within 2 ms, its fast queue",
            "bench-litserve", _app("lit_app.py"), _predict, lambda row: {"row": row},
            lambda answer: answer["label"],
        ),
        Peer(
            "bentoml", "BentoML", "ONNX Runtime, batches of up to 64 as it adapts them, one worker",
            "bench-bentoml", _bentoml, _predict, lambda row: {"rows": [row]},
            lambda answer: answer[0]["label"],
        ),
        Peer(
            "ray", "Ray Serve", "ONNX Runtime, batches of 16 within 2 ms, optimized for throughput",
            "bench-ray", _ray, _predict, lambda row: {"row": row}, lambda answer: answer["label"],
        ),
        Peer(
            "mlflow", "mlflow models serve", "scikit-learn, labels alone, no batches, one worker",
            "bench-mlflow", _mlflow, lambda _: "/invocations", lambda row: {"inputs": [row]},
            lambda answer: answer["predictions"][0],
        ),
    )
}  # fmt: skip
