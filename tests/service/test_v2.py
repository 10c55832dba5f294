"""The Open Inference Protocol: Triton's client, what the protocol says, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from conftest import Server
from fastapi.testclient import TestClient

from service.schemas import EXAMPLE_ROW

GOOD: list[Any] = list(EXAMPLE_ROW)
INFER = "/v2/models/digits/infer"


def tensor(rows: Sequence[Any] = (GOOD,), **changed: Any) -> dict[str, Any]:
    usual = {"name": "instances", "shape": [len(rows), 64], "datatype": "FP32", "data": list(rows)}
    return {key: value for key, value in {**usual, **changed}.items() if value is not None}


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_is_served(
    serve: Callable[..., Server], holdout: dict[str, Any], binary: bool
) -> None:
    rows, labels = np.array(holdout["request"]["instances"], np.float32), holdout["labels"]
    client = triton.InferenceServerClient(serve().url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    about = client.get_model_metadata("digits", "3")
    assert about["inputs"] == [{"name": "instances", "datatype": "FP32", "shape": [-1, 64]}]
    given = triton.InferInput("instances", rows.shape, "FP32")
    given.set_data_from_numpy(rows, binary_data=binary)
    wanted = [
        triton.InferRequestedOutput(name, binary_data=binary) for name in ("probabilities", "label")
    ]
    for outputs in (wanted, None):
        found = client.infer("digits", [given], outputs=outputs, request_id="seven")
        response = found.get_response()
        assert (response["id"], response["model_version"]) == ("seven", "3")
        assert found.as_numpy("label").tolist() == labels
        probabilities = found.as_numpy("probabilities")
        assert (probabilities.dtype, probabilities.shape) == (np.float32, (len(rows), 10))
        assert probabilities.argmax(1).tolist() == labels
    with pytest.raises(triton.InferenceServerException, match="version 9 of digits is not served"):
        client.infer("digits", [given], model_version="9")
    client.close()


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16", "INT8", "UINT8", "INT64", "UINT32"])
def test_numbers_of_other_types_are_taken_for_what_they_are(
    client: TestClient, datatype: str
) -> None:
    kinds = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "INT8": "i1", "UINT8": "u1",
             "INT64": "<i8", "UINT32": "<u4"}  # fmt: skip
    content = np.array(GOOD, kinds[datatype]).tobytes()
    sized = tensor(datatype=datatype, data=None, parameters={"binary_data_size": len(content)})
    head = json.dumps({"inputs": [sized]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answers = [
        client.post(INFER, content=head + content, headers=headers).json(),
        client.post(INFER, json={"inputs": [tensor(datatype=datatype)]}).json(),
        client.post(INFER, json={"inputs": [tensor(datatype=datatype, data=GOOD)]}).json(),
    ]
    assert [one["outputs"][0]["data"] for one in answers] == [[1]] * 3
    assert answers[0] == answers[1] == answers[2]


def test_only_what_is_asked_for_is_answered_as_it_is_asked_for(client: TestClient) -> None:
    asked = {
        "inputs": [tensor()], "parameters": {"binary_data_output": True},
        "outputs": [
            {"name": "label"},
            {"name": "probabilities", "parameters": {"binary_data": False}},
        ],
    }  # fmt: skip
    answer = client.post(INFER, json=asked)
    size = int(answer.headers["Inference-Header-Content-Length"])
    label, probabilities = json.loads(answer.content[:size])["outputs"]
    assert label["parameters"] == {"binary_data_size": 8}
    assert answer.content[size:] == (1).to_bytes(8, "little")
    assert len(probabilities["data"]) == 10
    only = client.post(INFER, json={"inputs": [tensor()], "outputs": [{"name": "label"}]}).json()
    assert [one["name"] for one in only["outputs"]] == ["label"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"inputs": []}, "inputs: "),
        ({}, "inputs: "),
        ({"inputs": [tensor(name="x")]}, "inputs: there is one input, instances"),
        ({"inputs": [tensor(), tensor()]}, "inputs: there is one input, instances"),
        ({"inputs": [tensor(shape=[1, 63])]}, "inputs[0].shape: it is [n, 64]"),
        ({"inputs": [tensor(shape=[64])]}, "inputs[0].shape: it is [n, 64]"),
        ({"inputs": [tensor(shape=[-1, 64])]}, "inputs[0].shape[0]: "),
        ({"inputs": [tensor(shape=[2**50, 64])]}, "inputs[0].shape[0]: "),
        ({"inputs": [tensor(shape=[0, 64], data=[])]}, "inputs[0].shape: there are 1 to 2 rows"),
        ({"inputs": [tensor([GOOD] * 3)]}, "inputs[0].shape: there are 1 to 2 rows"),
        ({"inputs": [tensor(shape=[2, 64])]}, "inputs[0].data: the data has another shape"),
        ({"inputs": [tensor(data=GOOD[1:])]}, "inputs[0].data: the data has another shape"),
        ({"inputs": [tensor(data=[GOOD, 1])]}, "inputs[0].data: the data has another shape"),
        ({"inputs": [tensor(data=[[*GOOD[1:], "7"]])]}, "something that is no number"),
        ({"inputs": [tensor(data=[*GOOD[1:], True])]}, "something that is no number"),
        ({"inputs": [tensor(data=[*GOOD[1:], [1]])]}, "something that is no number"),
        ({"inputs": [tensor(data=[*GOOD[1:], 10**400])]}, "not all numbers are FP32"),
        ({"inputs": [tensor(datatype="INT8", data=[*GOOD[1:], 0.5])]}, "not all numbers are INT8"),
        ({"inputs": [tensor(data=[*GOOD[1:], 16.5])]}, "inputs[0][0][63]: a number is at least 0"),
        ({"inputs": [tensor(datatype="BYTES")]}, "inputs[0].datatype: a datatype is one of BOOL"),
        ({"inputs": [tensor(data=None)]}, "inputs[0]: it has no data"),
        ({"inputs": [tensor(parameters={"binary_data_size": 0})]}, "inputs[0]: it has data twice"),
        (
            {"inputs": [tensor(data=None, parameters={"binary_data_size": 256})]},
            "inputs[0].parameters.binary_data_size: 0 bytes come after the JSON",
        ),
        ({"inputs": [tensor()], "outputs": [{"name": "x"}]}, "outputs[0].name: the outputs are"),
        (
            {
                "inputs": [tensor()],
                "outputs": [{"name": "label", "parameters": {"classification": 2}}],
            },
            "outputs[0].parameters.classification: there is no such extension",
        ),
    ],
)
def test_what_is_refused(make_client: Callable[..., TestClient], asked: Any, said: str) -> None:
    answer = make_client(max_batch=2).post(INFER, json=asked)
    assert (answer.status_code, list(answer.json())) == (422, ["error"])
    assert said in answer.json()["error"]


@pytest.mark.parametrize("length", ["-1", "x", "99999", "1.5", "1" * 5000])
def test_a_length_that_is_none_is_refused(client: TestClient, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    answer = client.post(INFER, json={"inputs": [tensor()]}, headers=headers)
    assert answer.status_code == 422
    assert "Inference-Header-Content-Length: it is no length" in answer.json()["error"]


@pytest.mark.parametrize("size", [255, 257, 0])
def test_bytes_that_do_not_fit_are_refused(client: TestClient, size: int) -> None:
    sized = tensor(data=None, parameters={"binary_data_size": size})
    head = json.dumps({"inputs": [sized]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = client.post(INFER, content=head + bytes(size), headers=headers)
    assert answer.status_code == 422
    assert f"this shape and datatype are 256 bytes, not {size}" in answer.json()["error"]
    # What is no number is none as bytes, too.
    head = json.dumps(
        {"inputs": [tensor(data=None, parameters={"binary_data_size": 256})]}
    ).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    nan = np.full(64, np.nan, "<f4").tobytes()
    answer = client.post(INFER, content=head + nan, headers=headers)
    assert "a number is at least 0" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/other", 404), ("/v2/models/other/ready", 404),
        ("/v2/models/digits/versions/9", 404), ("/v2/models/digits/versions/9/ready", 404),
        ("/v2/surprise", 404), ("/v2/models/digits/infer", 405),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_in_the_shape_of_the_protocol(
    client: TestClient, path: str, status: int
) -> None:
    answer = client.get(path)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_it_counts_as_a_request_to_the_model(client: TestClient) -> None:
    assert client.post(INFER, json={"inputs": [tensor()]}).headers["X-Model-Version"] == "3"
    counted = 'llm_requests_total{model="digits",status="200",version="3"} 1.0'
    assert counted in client.get("/metrics").text
