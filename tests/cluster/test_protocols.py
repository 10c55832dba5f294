"""Clients that others wrote, against the service in the cluster."""

from __future__ import annotations

import warnings
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import tritonclient.http as triton
from conftest import Cluster, eventually

with warnings.catch_warnings():
    # MLflow's, about itself.
    warnings.simplefilter("ignore")
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient


def test_tritons_client(cluster: Cluster, holdout: dict[str, Any]) -> None:
    rows = np.array(holdout["request"]["instances"], np.float32)
    client = triton.InferenceServerClient(cluster.url.removeprefix("http://"))
    # A pod that is about to end says that it is not.
    eventually(client.is_server_ready, seconds=30, what="a pod that stays answers")
    assert client.is_model_ready("digits")
    given = triton.InferInput("instances", rows.shape, "FP32")
    given.set_data_from_numpy(rows)
    found = client.infer("digits", [given])
    assert found.as_numpy("label").tolist() == holdout["labels"]
    assert found.as_numpy("probabilities").argmax(1).tolist() == holdout["labels"]
    client.close()


def test_mlflows_client(cluster: Cluster, holdout: dict[str, Any]) -> None:
    parts = urlsplit(cluster.url)
    client = ScoringServerClient(parts.hostname, parts.port)
    client.ping()
    found = client.invoke(np.array(holdout["request"]["instances"])).get_predictions("ndarray")
    assert found.ravel().tolist() == holdout["labels"]
