"""The language model learns from right gradients, and its ONNX says what it says."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from pipeline.text import counts, examples, export, ngrams
from pipeline.text.batch import Floats, Ints
from pipeline.text.network import Network
from pipeline.text.ngrams import RowGradient
from pipeline.text.optimizer import AdamW
from pipeline.text.params import Train
from pipeline.text.training import fit

VOCABULARY = 20


def network(kernels: tuple[int, ...] = (2, 3)) -> Network:
    rng = np.random.default_rng(1)
    prior = rng.standard_normal((VOCABULARY, VOCABULARY), np.float32)
    made = Network(rng, prior, embedding=6, hidden=8, kernels=kernels, tables=(7, 11))
    # Biases and tables that are not zero, and an end that matters.
    for name, value in made.parameters.items():
        if name.startswith(("bias", "table")) or name == "weight_out":
            value += rng.standard_normal(value.shape, np.float32) * np.float32(0.3)
    return made


def texts(*lengths: int) -> list[Ints]:
    rng = np.random.default_rng(2)
    return [rng.integers(3, VOCABULARY, length) for length in lengths]


def test_gradients_are_the_slopes_of_the_loss() -> None:
    model, batch = network(), examples.batch(texts(1, 9, 4, 12, 0))
    for name, value in model.parameters.items():
        model.parameters[name] = value.astype(np.float64)  # type: ignore[assignment]
    _, gradients = model.loss_and_gradients(batch)
    rng = np.random.default_rng(3)
    for name, value in model.parameters.items():
        for _ in range(10):
            index = tuple(int(rng.integers(size)) for size in value.shape)
            before, losses = value[index], []
            for change in (1e-3, -1e-3):
                value[index] = before + change
                losses.append(model.loss(batch))
            value[index] = before
            slope = (losses[0] - losses[1]) / 2e-3
            assert dense(gradients[name], value)[index] == pytest.approx(
                slope, abs=2e-5, rel=2e-2
            ), name


@pytest.mark.parametrize("kernels", [(2, 3), (3, 3, 3), (4,), (2, 2, 2, 2)])
def test_the_exported_model_says_what_the_network_learned_to_say(kernels: tuple[int, ...]) -> None:
    model, given = network(kernels), texts(1, 40, 4, 0, 17)
    inputs, targets = examples.windows(given, model.context)
    logits = run(model, inputs)
    batch = examples.batch(given)
    assert batch.targets.tolist() == targets.tolist()
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    loss = -np.log(chances[np.arange(len(targets)), targets]).mean()
    assert model.loss(batch) == pytest.approx(loss, rel=1e-5)


def test_the_exported_model_sees_its_context_and_nothing_before() -> None:
    model = network()
    rows = np.random.default_rng(4).integers(3, VOCABULARY, (1, model.context))
    for place in range(model.context):
        other = rows.copy()
        other[0, place] = (other[0, place] - 3 + 1) % (VOCABULARY - 3) + 3
        assert not np.allclose(run(model, rows), run(model, other)), place
    onnx.checker.check_model(export.to_onnx(model), full_check=True)


def test_padding_is_on_the_left_and_the_last_token_is_said_to_be_the_end() -> None:
    inputs, targets = examples.windows([np.array([5, 6, 7])], 3)
    assert inputs.tolist() == [[0, 0, 0], [0, 0, 5], [0, 5, 6], [5, 6, 7]]
    assert targets.tolist() == [5, 6, 7, 2]


def test_batches_hold_every_text_once_before_any_twice() -> None:
    given = [np.array([number]) for number in range(3, 13)]
    made = examples.batches(given, 4, np.random.default_rng(5))
    seen = np.concatenate([next(made).targets for _ in range(5)])
    assert sorted(seen[seen != 2]) == list(range(3, 13))


def test_the_row_of_a_table_depends_on_the_last_tokens_of_the_text_and_on_nothing_else() -> None:
    first, second = np.array([5, 6, 7, 6, 7]), np.array([6, 7])
    pairs, triples = (ngrams.rows(examples.batch([first]), length, 1009) for length in (2, 3))
    assert pairs[3] == pairs[5]
    assert len(set(pairs)) == 5
    assert len(set(triples)) == 6
    for length in (2, 3):
        alone = [ngrams.rows(examples.batch([text]), length, 1009) for text in (first, second)]
        together = ngrams.rows(examples.batch([first, second]), length, 1009)
        assert np.concatenate(alone).tolist() == together.tolist()


def test_counting_says_what_follows_and_leaves_something_for_all_else() -> None:
    batch = examples.batch([np.array([4, 5, 4, 5, 4, 6])])
    chances = np.exp(counts.log_probabilities(batch, VOCABULARY))
    assert chances.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert chances.min() > 0
    assert chances[4].argsort()[:-3:-1].tolist() == [5, 6]
    assert chances[4, 5] == pytest.approx((2 - 0.75) / 3, abs=0.1)
    # Nothing was seen after it: what follows many tokens is the likeliest.
    assert chances[9, 4] > chances[9, 9]


def test_training_learns_what_there_is_to_learn() -> None:
    always = [np.array([4, 5, 6, 7, 8, 9] * 3)] * 40
    chosen = Train(
        seed=1, kernels=(2, 2), embedding=8, hidden=16, tables=(), table_factor=1.0, passes=40.0,
        batch=128, learning_rate=0.02, weight_decay=0.1,
    )  # fmt: skip
    rng, nothing = np.random.default_rng(1), np.zeros((VOCABULARY, VOCABULARY), np.float32)
    model = Network(rng, nothing, chosen.embedding, chosen.hidden, chosen.kernels, chosen.tables)
    curve = list(fit(model, always, always[:1], chosen, rng))
    steps, training, held_out = zip(*curve, strict=True)
    assert list(steps) == sorted(steps)
    assert training[0] > 2
    assert held_out[-1] < 0.5


def test_the_optimizer_goes_downhill_and_lets_only_matrices_decay() -> None:
    parameters: dict[str, Floats] = {
        "weight": np.full((1, 1), 5, np.float32), "bias": np.full(1, 5, np.float32),
    }  # fmt: skip
    optimizer = AdamW(parameters, decay=0.1)
    nothing = {name: np.zeros_like(value) for name, value in parameters.items()}
    optimizer.step(nothing, 0.5)
    assert parameters["weight"].item() == pytest.approx(5 * 0.95)
    assert parameters["bias"].item() == 5
    for _ in range(300):
        optimizer.step({name: 2 * value for name, value in parameters.items()}, 0.1)
    assert all(abs(value.item()) < 0.5 for value in parameters.values())


def test_only_the_rows_of_a_table_that_were_used_change_and_faster() -> None:
    parameters: dict[str, Floats] = {
        "weight": np.zeros((3, 2), np.float32), "table": np.ones((3, 2), np.float32),
    }  # fmt: skip
    optimizer = AdamW(parameters, decay=0.1, table_factor=4)
    used = RowGradient(np.array([2]), np.full((1, 2), 0.5, np.float32))
    for _ in range(3):
        optimizer.step({"weight": np.full((3, 2), 0.5, np.float32), "table": used}, 0.01)
    assert parameters["weight"] == pytest.approx(-0.03, rel=1e-2)
    assert parameters["table"][2] == pytest.approx(1 - 0.12, rel=1e-3)
    assert parameters["table"][:2].tolist() == [[1, 1], [1, 1]]


def dense(gradient: Floats | RowGradient, like: Floats) -> Floats:
    if not isinstance(gradient, RowGradient):
        return gradient
    whole = np.zeros_like(like)
    whole[gradient.index] = gradient.values
    return whole


def run(model: Network, tokens: Ints) -> Floats:
    session = ort.InferenceSession(export.to_onnx(model), providers=["CPUExecutionProvider"])
    logits: Floats = session.run(["logits"], {"tokens": tokens})[0]
    return logits
