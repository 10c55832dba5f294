"""What the chat endpoints answer, as OpenAI's API has it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

# A text generator of ours knows no filter; an upstream may.
AnswerReason = Literal["stop", "length", "content_filter"]


class Usage(BaseModel):
    """Tokens of prompt and answer, as the model's own tokenizer, or its upstream, counts them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(BaseModel):
    """The text, without the prompt that it goes on from."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The one text. ``length``: at the most tokens; ``stop``: at a stop string or by itself."""

    index: Literal[0] = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: AnswerReason


class ChatCompletion(BaseModel):
    """The whole answer; ``system_fingerprint`` is the model's name and version.

    An upstream may leave out the usage.
    """

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Usage | None


class Delta(BaseModel):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    """A piece of the one text; ``finish_reason`` comes with the last."""

    index: Literal[0]
    delta: Delta
    finish_reason: AnswerReason | None


class ChatCompletionChunk(BaseModel):
    """One event of a stream. With ``include_usage``, the last has the usage and no choices."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class ModelCard(BaseModel):
    """A model that writes texts; ``created`` is when this process started."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    """The models that write texts."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
