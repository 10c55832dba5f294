"""Whether an answer is right, not only whether there is one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from loadtests.data import CLASSES, CLASSIFIER, GENERATOR, Data, Said

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


class _WrongError(Exception):
    """An answer contradicts what it should say; the text is the reason."""


class Judge:
    """Compares answers with what the same version said at rest, and with the truth."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._labels: dict[str, _Tally] = {}
        self._empty: dict[str, _Tally] = {}

    def prediction(self, content: bytes, rows: Sequence[int]) -> Verdict:
        """About a 200 of /predict that was asked about these rows of the data."""
        try:
            self._prediction(_object(content), rows)
        except _WrongError as error:
            return Verdict("wrong", str(error))
        return OK

    def stream(self, content: bytes, prompt: int) -> Verdict:
        """About a 200 of /v1/chat/completions that went on from this prompt of the data."""
        try:
            chunks = _chunks(content)
            if "error" in chunks[-1]:
                return Verdict("failed", "error in stream")
            self._text(chunks, prompt)
        except _WrongError as error:
            return Verdict("wrong", str(error))
        return OK

    def _prediction(self, answer: dict[str, Any], rows: Sequence[int]) -> None:
        _demand(answer.get("model") == CLASSIFIER, "model")
        version, predictions = answer.get("version"), answer.get("predictions")
        _demand(isinstance(version, str) and bool(version), "version")
        _demand(isinstance(predictions, list) and len(predictions) == len(rows), "count")
        assert isinstance(version, str)
        assert isinstance(predictions, list)
        labels = [_label(prediction) for prediction in predictions]
        known = self._data.labels_of.get(version)
        if known is not None:
            for row, label in zip(rows, labels, strict=True):
                _demand(known[row] in (None, label), "label")
            return
        tally = self._labels.setdefault(version, _Tally())
        for row, label in zip(rows, labels, strict=True):
            tally.add(label != self._data.labels[row])
        right = all(label == self._data.labels[r] for r, label in zip(rows, labels, strict=True))
        _demand(right or not tally.too_many, "label")

    def _text(self, chunks: list[dict[str, Any]], prompt: int) -> None:
        said = text_of(chunks)
        known = self._data.texts_of.get(said.version)
        asked = self._data.prompts[prompt]
        _demand(said.completion_tokens <= asked.max_tokens, "usage")
        if said.finish_reason == "length":
            _demand(said.completion_tokens == asked.max_tokens, "usage")
        _demand(bool(said.text) == bool(said.completion_tokens), "usage")
        if known is not None:
            _demand(bool(said.text) or not known[prompt].text, "empty")
            _demand(said == known[prompt], "text")
            return
        # A model may end the text at once, which is seldom right in the middle of a sentence.
        tally = self._empty.setdefault(said.version, _Tally())
        tally.add(not said.text)
        _demand(bool(said.text) or not tally.too_many, "empty")


def labels_of(content: bytes) -> tuple[str, list[tuple[int, float]]]:
    """The version that gave this answer; of each row the label, and how far it is from the next.

    Raises ValueError for what is no such answer.
    """
    try:
        answer = _object(content)
        version, predictions = str(answer.get("version")), answer.get("predictions")
        _demand(isinstance(predictions, list), "count")
        assert isinstance(predictions, list)
        found = []
        for prediction in predictions:
            label = _label(prediction)
            *_, second, first = sorted(prediction["probabilities"])
            found.append((label, first - second))
    except _WrongError as error:
        raise ValueError(str(error)) from None
    return version, found


def said_in(content: bytes) -> Said:
    """What this stream says. Raises ValueError for what is no such stream."""
    try:
        return text_of(_chunks(content))
    except _WrongError as error:
        raise ValueError(str(error)) from None


def text_of(chunks: list[dict[str, Any]]) -> Said:
    """Put together what chunks say: a role, pieces, a reason to finish, the usage."""
    first, last = chunks[0], chunks[-1]
    for chunk in chunks:
        _demand(chunk.get("object") == "chat.completion.chunk", "chunk")
        _demand(chunk.get("model") == GENERATOR, "model")
        same = all(chunk.get(key) == first.get(key) for key in ("id", "system_fingerprint"))
        _demand(same, "chunk")
    name, _, version = str(first.get("system_fingerprint")).rpartition("-")
    _demand(name == GENERATOR and bool(version), "version")
    _demand(last.get("choices") == [] and len(chunks) > 2, "no usage")
    pieces: list[Any] = []
    reasons: list[Any] = []
    for chunk in chunks[:-1]:
        choice = _only(chunk.get("choices"))
        pieces.append(choice["delta"].get("content") or "")
        reasons.append(choice.get("finish_reason"))
    _demand(_only(first.get("choices"))["delta"].get("role") == "assistant", "chunk")
    _demand(all(isinstance(piece, str) for piece in pieces), "chunk")
    _demand(reasons[-1] in ("stop", "length") and not any(reasons[:-1]), "finish")
    usage = last.get("usage")
    _demand(isinstance(usage, dict), "no usage")
    assert isinstance(usage, dict)
    counts: list[Any] = [usage.get(f"{k}_tokens") for k in ("prompt", "completion", "total")]
    _demand(all(type(one) is int for one in counts), "usage")
    prompt, completion, total = counts
    _demand(prompt > 0 and completion >= 0 and prompt + completion == total, "usage")
    return Said(version, "".join(pieces), reasons[-1], prompt, completion)


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


def _demand(fits: bool, reason: str) -> None:
    if not fits:
        raise _WrongError(reason)


def _object(content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        raise _WrongError("not JSON") from None
    _demand(isinstance(answer, dict), "not JSON")
    found: dict[str, Any] = answer
    return found


def _label(prediction: Any) -> int:
    """The label of one prediction, which its probabilities bear out."""
    _demand(isinstance(prediction, dict), "prediction")
    label, probabilities = prediction.get("label"), prediction.get("probabilities")
    _demand(isinstance(probabilities, list) and len(probabilities) == CLASSES, "probabilities")
    _demand(set(map(type, probabilities)) <= {int, float}, "probabilities")
    fits = min(probabilities) >= 0 and abs(sum(probabilities) - 1) < _ROUNDING
    _demand(fits, "probabilities")
    _demand(type(label) is int and 0 <= label < CLASSES, "prediction")
    _demand(probabilities[label] == max(probabilities), "argmax")
    found: int = label
    return found


def _chunks(content: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream that is whole, one of an error being the last."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _WrongError("not a stream") from None
    *events, rest = text.split("\n\n")
    _demand(bool(events) and not rest, "not a stream")
    _demand(all(event.startswith("data: ") for event in events), "not a stream")
    datas = [event.removeprefix("data: ") for event in events]
    done = datas[-1] == "[DONE]"
    chunks = [_object(data.encode()) for data in (datas[:-1] if done else datas)]
    _demand(bool(chunks), "not a stream")
    # An error is the last event, and none follows it.
    _demand(done != ("error" in chunks[-1]), "no end")
    return chunks


def _only(choices: Any) -> dict[str, Any]:
    _demand(isinstance(choices, list) and len(choices) == 1, "chunk")
    _demand(isinstance(choices[0], dict) and isinstance(choices[0].get("delta"), dict), "chunk")
    found: dict[str, Any] = choices[0]
    return found
