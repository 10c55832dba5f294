"""What the served versions answer at rest: under load they must answer the same."""

from __future__ import annotations

import dataclasses
import http.client
import json
from urllib.parse import urlsplit

from kindling.errors import KindlingError
from kindling.web import NO_ANSWER
from loadtests import answers, streams
from loadtests.data import CLASSIFIER, GENERATOR, Data, Prompt, Said

_SECONDS = 30.0
_BATCH = 60
# Nearer to each other than this, two labels may change places with the size of a batch.
_SURE = 0.02
# The gate asks for 0.95. Who answers worse than this does not answer what was asked.
_LEAST_RIGHT = 0.9
_OTHER_SEED = 1000


def learn(data: Data, url: str) -> Data:
    """``data`` with what is served at ``url`` says of it; a few seconds.

    Raises KindlingError if nothing answers there, or no sound model.
    """
    parts = urlsplit(url)
    assert parts.hostname
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_SECONDS)
    try:
        labels_of = _labels(connection, data)
        prompts, texts_of = _texts(connection, data)
    except NO_ANSWER as error:
        raise KindlingError(
            f"the model service at {url} does not answer: {error or type(error).__name__}",
            next_step="nox -s status",
        ) from error
    finally:
        connection.close()
    return dataclasses.replace(data, labels_of=labels_of, prompts=prompts, texts_of=texts_of)


def _labels(connection: http.client.HTTPConnection, data: Data) -> dict[str, list[int | None]]:
    known: dict[str, list[int | None]] = {}
    right = 0
    for start in range(0, len(data.rows), _BATCH):
        rows = range(len(data.rows))[start : start + _BATCH]
        content = _ask(connection, "/predict", data.request(rows), CLASSIFIER)
        try:
            version, found = answers.labels_of(content)
        except ValueError as error:
            raise _unsound(CLASSIFIER, f"its answer is wrong: {error}") from error
        if len(found) != len(rows):
            raise _unsound(CLASSIFIER, "its answer has another number of predictions")
        labels = known.setdefault(version, [None] * len(data.rows))
        for row, (label, margin) in zip(rows, found, strict=True):
            labels[row] = label if margin > _SURE else None
            right += label == data.labels[row]
    if right < _LEAST_RIGHT * len(data.rows):
        raise _unsound(CLASSIFIER, f"it is right about {right} of {len(data.rows)} held-out rows")
    return known


def _texts(
    connection: http.client.HTTPConnection, data: Data
) -> tuple[list[Prompt], dict[str, list[Said]]]:
    """What is said to each prompt; one that is answered with nothing gets another seed."""
    prompts, texts = [], []
    for prompt in data.prompts:
        said = _say(connection, prompt)
        if not said.text:
            prompt = dataclasses.replace(prompt, seed=prompt.seed + _OTHER_SEED)
            said = _say(connection, prompt)
        prompts.append(prompt)
        texts.append(said)
    if len({said.version for said in texts}) != 1:
        # None, or replicas that differ, as while a version is being promoted.
        return prompts, {}
    if not any(said.text for said in texts):
        raise _unsound(GENERATOR, "it answers every prompt with nothing")
    return prompts, {texts[0].version: texts}


def _say(connection: http.client.HTTPConnection, prompt: Prompt) -> Said:
    content = _ask(connection, "/v1/chat/completions", prompt.request(), GENERATOR)
    try:
        return streams.said_in(content)
    except ValueError as error:
        raise _unsound(GENERATOR, f"its stream is wrong: {error}") from error


def _ask(connection: http.client.HTTPConnection, path: str, body: bytes, model: str) -> bytes:
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise _unsound(model, f"it answers {answer.status}: {_message(content)}")
    return content


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return content[:200].decode(errors="replace")


def _unsound(model: str, why: str) -> KindlingError:
    return KindlingError(
        f"the model {model} is not fit for a load test: {why}", next_step="nox -s models"
    )
