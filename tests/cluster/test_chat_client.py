"""The text model behind the cluster's port, asked by the unmodified ``openai`` client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import sentencepiece
from conftest import Cluster, metrics_of
from mlflow import MlflowClient, artifacts

from kindling.pods import serving_pods

PROMPT = "The estimator is fitted to the training data"


@pytest.fixture
def client(cluster: Cluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{cluster.url}/v1", api_key="unused") as client:
        yield client


@pytest.fixture(scope="module")
def tokenizer(
    mlflow: MlflowClient, tmp_path_factory: pytest.TempPathFactory
) -> sentencepiece.SentencePieceProcessor:
    """The tokenizer of the champion, out of the registry and not out of the service."""
    folder = artifacts.download_artifacts(
        artifact_uri="models:/text@champion", dst_path=str(tmp_path_factory.mktemp("text"))
    )
    return sentencepiece.SentencePieceProcessor(model_file=str(Path(folder) / "tokenizer.model"))


@pytest.mark.parametrize("seed", range(5))
def test_its_token_counts_are_the_tokenizers(
    client: openai.OpenAI, tokenizer: sentencepiece.SentencePieceProcessor, seed: int
) -> None:
    answer = client.chat.completions.create(
        model="text", messages=[{"role": "user", "content": PROMPT}], max_tokens=40, seed=seed
    )
    assert answer.usage is not None
    text = answer.choices[0].message.content
    assert text
    assert answer.usage.prompt_tokens == len(tokenizer.encode(PROMPT))
    assert answer.usage.completion_tokens == len(tokenizer.encode(text))
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.choices[0].finish_reason in {"stop", "length"}


def test_a_stream_carries_the_same_text_and_usage(client: openai.OpenAI) -> None:
    asked = {
        "model": "text", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 40,
        "seed": 7,
    }  # fmt: skip
    whole = client.chat.completions.create(**asked)  # type: ignore[call-overload]
    chunks = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})  # type: ignore[call-overload]
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert len(chunks) > 5


def test_the_models_are_listed_and_an_unknown_one_is_not_there(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["text"]
    with pytest.raises(openai.NotFoundError, match="text"):
        client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": PROMPT}]
        )


def counted(cluster: Cluster, kind: str) -> float:
    """Tokens of that type that the pods have counted for the text model."""
    total = 0.0
    for pod in serving_pods(cluster.kubectl, "kindling"):
        for line in metrics_of(cluster, pod.namespace, pod.name).splitlines():
            if line.startswith("llm_tokens_total") and f'type="{kind}"' in line and "text" in line:
                total += float(line.split()[-1])
    return total


def test_tokens_are_counted_in_the_metrics(client: openai.OpenAI, cluster: Cluster) -> None:
    before = {kind: counted(cluster, kind) for kind in ("input", "output")}
    client.chat.completions.create(
        model="text", messages=[{"role": "user", "content": PROMPT}], max_tokens=2
    )
    for kind, tokens in before.items():
        assert counted(cluster, kind) > tokens
