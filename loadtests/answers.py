"""Whether an answer is right, not only whether there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from loadtests.data import CLASSES, Data
from loadtests.demands import WrongError, demand, parse
from loadtests.streams import chunks_of, text_of

Outcome = Literal["ok", "failed", "wrong"]
# Of a version that is not known beforehand, no single answer can be told from a model's ordinary
# error. Of so many together it can: the gate lets no model pass that errs in one of twenty.
_LEAST, _SHARE = 200, 0.15
_ROUNDING = 1e-4


class Verdict(NamedTuple):
    """What became of a request; ``reason`` is one of few short words."""

    outcome: Outcome
    reason: str = ""


OK = Verdict("ok")


class Judge:
    """Compares answers with what the same version said at rest, and with the truth."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._labels: dict[str, _Tally] = {}
        self._empty: dict[str, _Tally] = {}

    def prediction(self, content: bytes, rows: Sequence[int]) -> Verdict:
        """About a 200 of /predict that was asked about these rows of the data."""
        try:
            self._prediction(parse(content), rows)
        except WrongError as error:
            return Verdict("wrong", str(error))
        return OK

    def stream(self, content: bytes, prompt: int) -> Verdict:
        """About a 200 of /v1/chat/completions that went on from this prompt of the data."""
        try:
            chunks = chunks_of(content)
            if "error" in chunks[-1]:
                return Verdict("failed", "error in stream")
            self._text(chunks, prompt)
        except WrongError as error:
            return Verdict("wrong", str(error))
        return OK

    def _prediction(self, answer: dict[str, Any], rows: Sequence[int]) -> None:
        demand(answer.get("model") == self._data.classifier, "model")
        version, predictions = answer.get("version"), answer.get("predictions")
        demand(isinstance(version, str) and bool(version), "version")
        demand(isinstance(predictions, list) and len(predictions) == len(rows), "count")
        assert isinstance(version, str)
        assert isinstance(predictions, list)
        labels = [_label(prediction) for prediction in predictions]
        known = self._data.labels_of.get(version)
        if known is not None:
            for row, label in zip(rows, labels, strict=True):
                demand(known[row] in (None, label), "label")
            return
        tally = self._labels.setdefault(version, _Tally())
        for row, label in zip(rows, labels, strict=True):
            tally.add(label != self._data.labels[row])
        right = all(label == self._data.labels[r] for r, label in zip(rows, labels, strict=True))
        demand(right or not tally.too_many, "label")

    def _text(self, chunks: list[dict[str, Any]], prompt: int) -> None:
        said = text_of(chunks)
        known = self._data.texts_of.get(said.version)
        asked = self._data.prompts[prompt]
        demand(said.completion_tokens <= asked.max_tokens, "usage")
        if said.finish_reason == "length":
            demand(said.completion_tokens == asked.max_tokens, "usage")
        demand(bool(said.text) == bool(said.completion_tokens), "usage")
        if known is not None:
            demand(bool(said.text) or not known[prompt].text, "empty")
            demand(said == known[prompt], "text")
            return
        # A model may end the text at once, which is seldom right in the middle of a sentence.
        tally = self._empty.setdefault(said.version, _Tally())
        tally.add(not said.text)
        demand(bool(said.text) or not tally.too_many, "empty")


def labels_of(content: bytes) -> tuple[str, list[tuple[int, float]]]:
    """The version that gave this answer; of each row the label, and how far it is from the next.

    Raises ValueError for what is no such answer.
    """
    try:
        answer = parse(content)
        version, predictions = str(answer.get("version")), answer.get("predictions")
        demand(isinstance(predictions, list), "count")
        assert isinstance(predictions, list)
        found = []
        for prediction in predictions:
            label = _label(prediction)
            *_, second, first = sorted(prediction["probabilities"])
            found.append((label, first - second))
    except WrongError as error:
        raise ValueError(str(error)) from None
    return version, found


class _Tally:
    """How often something was so, of how many."""

    def __init__(self) -> None:
        self._count = self._all = 0

    def add(self, happened: bool) -> None:
        self._all += 1
        self._count += happened

    @property
    def too_many(self) -> bool:
        return self._all >= _LEAST and self._count > _SHARE * self._all


def _label(prediction: Any) -> int:
    """The label of one prediction, which its probabilities bear out."""
    demand(isinstance(prediction, dict), "prediction")
    label, probabilities = prediction.get("label"), prediction.get("probabilities")
    demand(isinstance(probabilities, list) and len(probabilities) == CLASSES, "probabilities")
    demand(set(map(type, probabilities)) <= {int, float}, "probabilities")
    fits = min(probabilities) >= 0 and abs(sum(probabilities) - 1) < _ROUNDING
    demand(fits, "probabilities")
    demand(type(label) is int and 0 <= label < CLASSES, "prediction")
    demand(probabilities[label] == max(probabilities), "argmax")
    found: int = label
    return found
