"""The Open Inference Protocol and models for tables: Triton's client, and what is refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import table_graphs as graphs
import tritonclient.http as triton
from conftest import Server, keep_copy
from fastapi.testclient import TestClient
from table_models import load

from service.models import Served

HOUSES, SIZES = "/v2/models/houses", "/v2/models/sizes"
LENGTH = "Inference-Header-Content-Length"


@pytest.fixture
def client(make_client: Callable[..., TestClient], served: Served) -> TestClient:
    """A client of an app with a classifier, and models for tables after it."""
    tables = load(graphs.houses(), "houses"), load(graphs.sizes(), "sizes")
    return make_client(served, *tables, max_batch=2)


def column(name: str, datatype: str, data: Any, **changed: Any) -> dict[str, Any]:
    usual = {"name": name, "shape": [len(data or [0])], "datatype": datatype, "data": data}
    return {key: value for key, value in {**usual, **changed}.items() if value is not None}


AGE, CITY = column("age", "FP64", [3.5]), column("the city", "BYTES", ["Köln"])
GARDEN, ROOMS = column("garden", "BOOL", [True]), column("rooms", "INT64", [4])


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_is_served(
    serve: Callable[..., Server], cache_dir: Path, binary: bool
) -> None:
    keep_copy(cache_dir, "houses", "1", graphs.houses())
    keep_copy(cache_dir, "sizes", "1", graphs.sizes())
    url = serve(models="digits,houses,sizes").url.removeprefix("http://")
    client = triton.InferenceServerClient(url)
    assert client.is_model_ready("houses")
    about = client.get_model_metadata("houses")
    values = {
        "age": np.array([[3.5], [np.nan]]), "the city": np.array([["Köln"], ["Bonn"]], object),
        "garden": np.array([[True], [False]]), "rooms": np.array([[4], [2]]),
    }  # fmt: skip
    assert {one["name"]: one["datatype"] for one in about["inputs"]} == {
        "age": "FP64", "the city": "BYTES", "garden": "BOOL", "rooms": "INT64",
    }  # fmt: skip
    given = []
    for one in about["inputs"]:
        assert one["shape"] == [-1, 1]
        tensor = triton.InferInput(one["name"], [2, 1], one["datatype"])
        tensor.set_data_from_numpy(values[one["name"]], binary_data=binary)
        given.append(tensor)
    wanted = [triton.InferRequestedOutput("prediction", binary_data=binary)]
    found = client.infer("houses", given[::-1], outputs=wanted).as_numpy("prediction")
    assert found.tolist() == [[1203.5, 4.0], [150.0, 2.0]]
    about = client.get_model_metadata("sizes", "1")
    assert about["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 2]}]
    assert about["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
    ]
    tensor = triton.InferInput("input", [2, 2], "FP64")
    tensor.set_data_from_numpy(np.array([[1.0, 2], [9, 8]]), binary_data=binary)
    names = ("probabilities", "label")
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
    for outputs in (wanted, None):
        answer = client.infer("sizes", [tensor], outputs=outputs)
        labels = answer.as_numpy("label").tolist()
        assert [one.decode() if isinstance(one, bytes) else one for one in labels] == [
            "small", "large",
        ]  # fmt: skip
        assert answer.as_numpy("probabilities").argmax(1).tolist() == [0, 1]
    client.close()


def post(client: TestClient, inputs: Sequence[Any], path: str = HOUSES, **more: Any) -> Any:
    return client.post(f"{path}/infer", json={"inputs": inputs, **more})


def test_columns_come_in_any_order_form_and_type_of_number(client: TestClient) -> None:
    forms = [
        [AGE, CITY, GARDEN, ROOMS],
        [ROOMS, GARDEN, CITY, AGE],
        [AGE | {"datatype": "FP32"}, CITY, GARDEN, ROOMS | {"datatype": "UINT8"}],
        [{**one, "shape": [1, 1]} for one in (AGE, CITY, GARDEN, ROOMS)],
        [{**one, "shape": [1, 1], "data": [one["data"]]} for one in (AGE, CITY, GARDEN, ROOMS)],
    ]
    for inputs in forms:
        (output,) = post(client, inputs).json()["outputs"]
        assert output == {
            "name": "prediction", "datatype": "FP64", "shape": [1, 2], "data": [1203.5, 4.0],
        }  # fmt: skip
    (output,) = post(client, [CITY, GARDEN, ROOMS]).json()["outputs"]
    assert output["data"] == [1250.0, 4.0]


def test_null_is_as_good_as_nothing(client: TestClient) -> None:
    nothing = AGE | {"data": [None], "parameters": None}
    inputs = [nothing, CITY, GARDEN, ROOMS]
    answer = post(client, inputs, parameters=None, outputs=None, id=None)
    (output,) = answer.json()["outputs"]
    assert output["data"] == [1250.0, 4.0]
    # Where a value must be, it is refused.
    for place in (1, 2, 3):
        given = [one | ({"data": [None]} if at == place else {}) for at, one in enumerate(inputs)]
        assert post(client, given).status_code == 422
    images = {"name": "instances", "shape": [1, 64], "datatype": "FP32", "data": [None] * 64}
    assert post(client, [images], "/v2/models/digits").status_code == 422


def binary(*parts: tuple[dict[str, Any], bytes], cut: int = 0) -> dict[str, Any]:
    inputs = [
        {key: value for key, value in tensor.items() if key != "data"}
        | {"parameters": {"binary_data_size": len(content)}}
        for tensor, content in parts
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    rest = b"".join(content for _, content in parts)
    return {"content": head + rest[: len(rest) - cut], "headers": {LENGTH: str(len(head))}}


def text(value: str) -> bytes:
    return struct.pack("<I", len(value.encode())) + value.encode()


AS_BYTES = (
    (AGE, struct.pack("<d", 3.5)), (CITY, text("Köln")), (GARDEN, b"\1"),
    (ROOMS, struct.pack("<q", 4)),
)  # fmt: skip


def test_bytes_of_several_inputs_follow_each_other(client: TestClient) -> None:
    for parts in (AS_BYTES, AS_BYTES[::-1]):
        answer = client.post(f"{HOUSES}/infer", **binary(*parts))
        size = int(answer.headers[LENGTH])
        assert struct.unpack("<dd", answer.content[size:]) == (1203.5, 4.0)
    label = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [[1, 2]]}
    asked = {"outputs": [{"name": "label", "parameters": {"binary_data": True}}]}
    answer = post(client, [label], SIZES, **asked)
    assert answer.content[int(answer.headers[LENGTH]) :] == text("small")


@pytest.mark.parametrize(
    ("city", "said"),
    [
        (b"", "inputs[1]: its bytes are not 1 texts"),
        (text("Bonn") * 2, "inputs[1]: its bytes are not 1 texts"),
        (text("Bonn") + b"\0", "inputs[1]: a text ends after its bytes"),
        (text("Bonn")[:-1], "inputs[1]: a text ends after its bytes"),
        (b"\1\0", "inputs[1]: a text ends after its bytes"),
        (b"\xff\xff\xff\xff", "inputs[1]: a text ends after its bytes"),
        (b"\1\0\0\0\xff", "inputs[1]: a text is not UTF-8"),
    ],
)
def test_texts_that_are_none_are_refused(client: TestClient, city: bytes, said: str) -> None:
    parts = [AS_BYTES[0], (CITY, city), *AS_BYTES[2:]]
    answer = client.post(f"{HOUSES}/infer", **binary(*parts))
    assert (answer.status_code, answer.json()["error"]) == (422, said)


def test_bytes_that_do_not_fit_are_refused(client: TestClient) -> None:
    answer = client.post(f"{HOUSES}/infer", **binary(*AS_BYTES, cut=1))
    said = "inputs[3].parameters.binary_data_size: 7 bytes come after the JSON"
    assert (answer.status_code, answer.json()["error"]) == (422, said)


MATRIX = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [[1, 2]]}


@pytest.mark.parametrize(
    ("path", "inputs", "said"),
    [
        (HOUSES, [AGE, CITY, GARDEN], "inputs: there is no rooms"),
        (HOUSES, [AGE, CITY, GARDEN, ROOMS, MATRIX], "inputs[4].name: there is no such input"),
        (HOUSES, [AGE, CITY, GARDEN, ROOMS, AGE], "inputs[4].name: it is there twice"),
        (
            HOUSES, [AGE, CITY, GARDEN, column("rooms", "INT64", [1, 2])],
            "inputs[3].shape: it is [1] or [1, 1]",
        ),
        (HOUSES, [AGE | {"shape": [0], "data": []}, CITY, GARDEN, ROOMS], "1 to 2 rows"),
        (HOUSES, [column("age", "FP64", [1] * 3), CITY, GARDEN, ROOMS], "1 to 2 rows"),
        (HOUSES, [AGE | {"data": ["x"]}, CITY, GARDEN, ROOMS], "inputs[0].data: the data has"),
        (HOUSES, [AGE | {"datatype": "BYTES"}, CITY, GARDEN, ROOMS], "a double column is FP64"),
        (HOUSES, [AGE, CITY | {"datatype": "FP64"}, GARDEN, ROOMS], "a string column is BYTES"),
        (HOUSES, [AGE, CITY | {"data": [7]}, GARDEN, ROOMS], "something that is no string"),
        (HOUSES, [AGE, CITY | {"data": []}, GARDEN, ROOMS], "the data has another shape"),
        (HOUSES, [AGE, CITY, GARDEN | {"data": [1]}, ROOMS], "something that is no boolean"),
        (HOUSES, [AGE, CITY, GARDEN | {"datatype": "INT8"}, ROOMS], "a boolean column is BOOL"),
        (
            HOUSES, [AGE, CITY, GARDEN, ROOMS | {"datatype": "FP64", "data": [0.5]}],
            "inputs[3][0]: a value here is an integer",
        ),
        (HOUSES, [AGE, CITY, GARDEN, ROOMS | {"data": [2**53 + 1]}], "inputs[3][0]: a value"),
        (SIZES, [AGE], "inputs[0].name: there is no such input"),
        (SIZES, [MATRIX, MATRIX], "inputs[1].name: it is there twice"),
        (SIZES, [MATRIX | {"shape": [2]}], "inputs[0].shape: it is [n, 2]"),
        (SIZES, [MATRIX | {"shape": [1, 3]}], "inputs[0].shape: it is [n, 2]"),
        (SIZES, [MATRIX | {"data": [[1, 2], [3]]}], "the data has another shape"),
    ],
)  # fmt: skip
def test_what_is_refused(client: TestClient, path: str, inputs: Any, said: str) -> None:
    answer = post(client, inputs, path)
    assert (answer.status_code, list(answer.json())) == (422, ["error"])
    assert said in answer.json()["error"]


def test_a_number_that_is_none_is_refused_where_it_is(client: TestClient) -> None:
    body = {"inputs": [MATRIX | {"data": [[1, float("nan")]]}]}
    answer = client.post(f"{SIZES}/infer", content=json.dumps(body))
    assert answer.json()["error"] == "inputs[0][0][1]: a value here is a finite number"


def test_only_outputs_that_there_are_can_be_asked_for(client: TestClient) -> None:
    answer = post(client, [MATRIX], SIZES, outputs=[{"name": "x"}])
    assert answer.json()["error"] == "outputs[0].name: the outputs are label and probabilities"
    answer = post(client, [AGE, CITY, GARDEN, ROOMS], HOUSES, outputs=[{"name": "x"}])
    assert answer.json()["error"] == "outputs[0].name: the outputs are prediction"
