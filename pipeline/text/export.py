"""The language model as ONNX, from operators that every runtime has."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from pipeline.text import ngrams
from pipeline.text.network import Network

_OPSET, _IR = 17, 8


def to_onnx(network: Network) -> bytes:
    """int64 tokens (n, context) in, float32 logits (n, vocabulary) of the next token out."""
    vocabulary, _ = network.parameters["embedding"].shape
    graph = helper.make_graph(
        [*_beginning(), *_layers(network), *_tables(network), *_end()], "text",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", network.context])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", vocabulary])],
        [numpy_helper.from_array(value, name) for name, value in _constants(network).items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
    content: bytes = model.SerializeToString()
    return content


def _beginning() -> list[NodeProto]:
    """``there`` (n, context, 1) is 0 before the beginning of the text and 1 from there on.

    The text begins with the last PAD, so a position is there when the next one is no PAD.
    """
    return [
        helper.make_node("Slice", ["tokens", "second", "none", "places"], ["followers"]),
        helper.make_node("Greater", ["followers", "pad"], ["no_pads"]),
        helper.make_node("Cast", ["no_pads"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Pad", ["numbers", "at_the_end", "one"], ["padded"]),
        helper.make_node("Unsqueeze", ["padded", "last_axis"], ["there"]),
        helper.make_node("Gather", ["embedding", "tokens"], ["embedded"]),
        helper.make_node("Mul", ["embedded", "there"], ["hidden_0"]),
    ]


def _layers(network: Network) -> list[NodeProto]:
    """Each joins stretches side by side; its residual is the last one of each."""
    nodes = []
    there = "there"
    for layer in range(len(network.kernels)):
        below, last = f"hidden_{layer}", f"last_{layer}"
        ends = [f"end_{layer}", "none", "places", f"kernel_{layer}"]
        nodes += [
            helper.make_node("Reshape", [below, f"joined_{layer}"], [f"inputs_{layer}"]),
            helper.make_node(
                "MatMul", [f"inputs_{layer}", f"weight_{layer}"], [f"product_{layer}"]
            ),
            helper.make_node("Add", [f"product_{layer}", f"bias_{layer}"], [f"sum_{layer}"]),
            helper.make_node("Relu", [f"sum_{layer}"], [f"outputs_{layer}"]),
            helper.make_node("Slice", [there, *ends], [f"there_{layer}"]),
        ]
        said = f"outputs_{layer}"
        if layer:
            nodes.append(helper.make_node("Slice", [below, *ends], [last]))
            nodes.append(helper.make_node("Add", [said, last], [f"with_{last}"]))
            said = f"with_{last}"
        there = f"there_{layer}"
        nodes.append(helper.make_node("Mul", [said, there], [f"hidden_{layer + 1}"]))
    nodes.append(helper.make_node("Squeeze", [f"hidden_{len(network.kernels)}", "places"], ["top"]))
    return nodes


def _tables(network: Network) -> list[NodeProto]:
    """``full`` is ``top`` and what each table has for the last tokens."""
    nodes, top = [], "top"
    for length in network.tables:
        nodes += [
            helper.make_node(
                "Slice", ["tokens", f"before_{length}", "none", "places"], [f"last_{length}_tokens"]
            ),
            helper.make_node(
                "Mul", [f"last_{length}_tokens", f"multipliers_{length}"], [f"terms_{length}"]
            ),
            helper.make_node(
                "ReduceSum", [f"terms_{length}", "places"], [f"hash_{length}"], keepdims=0
            ),
            helper.make_node("Mod", [f"hash_{length}", f"rows_{length}"], [f"row_{length}"]),
            helper.make_node("Gather", [f"table_{length}", f"row_{length}"], [f"found_{length}"]),
            helper.make_node("Add", [top, f"found_{length}"], [f"top_{length}"]),
        ]
        top = f"top_{length}"
    return [*nodes, helper.make_node("Identity", [top], ["full"])]


def _end() -> list[NodeProto]:
    return [
        helper.make_node("Gemm", ["full", "weight_out", "bias_out"], ["own_logits"]),
        helper.make_node("Gather", ["tokens", "last"], ["last_token"], axis=1),
        helper.make_node("Gather", ["prior", "last_token"], ["prior_logits"]),
        helper.make_node("Add", ["own_logits", "prior_logits"], ["logits"]),
    ]


def _constants(network: Network) -> dict[str, np.typing.NDArray[np.generic]]:
    found: dict[str, np.typing.NDArray[np.generic]] = {
        **network.parameters, "prior": network.prior, "last": np.array(-1),
        "pad": np.array(0), "second": np.array([1]), "none": np.array([2**31]),
        "places": np.array([1]), "last_axis": np.array([2]),
        "at_the_end": np.array([0, 0, 0, 1]), "one": np.array(1, np.float32),
    }  # fmt: skip
    for length, count in network.tables.items():
        found[f"before_{length}"] = np.array([-length])
        found[f"multipliers_{length}"] = np.array(ngrams.multipliers(length)[::-1])
        found[f"rows_{length}"] = np.array(count)
    for layer, kernel in enumerate(network.kernels):
        inputs = len(network.parameters[f"weight_{layer}"])
        length = network.context // int(np.prod(network.kernels[: layer + 1]))
        found[f"joined_{layer}"] = np.array([-1, length, inputs])
        found[f"end_{layer}"] = np.array([kernel - 1])
        found[f"kernel_{layer}"] = np.array([kernel])
    return found
