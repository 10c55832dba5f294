"""What a chat request may say; the fields are those of OpenAI's API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from service.chat_fields import (
    IGNORED,
    NoItems,
    NotOffered,
    OnlyFalse,
    OnlyNeutral,
    OnlyText,
    OnlyZero,
    Whole,
)

MAX_TOKENS = 256
DEFAULT_TOKENS = 64

_STRICT = ConfigDict(extra="forbid", strict=True)


class TextContent(BaseModel):
    """A part of a message's content; other types of parts are refused."""

    model_config = _STRICT

    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: dict[str, Any] | None = IGNORED


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


_Parts = Annotated[list[TextContent], Field(min_length=1)]
_Content = Annotated[
    _Parts, FailFast(), BeforeValidator(_as_parts, json_schema_input_type=str | _Parts)
]


class ChatMessage(BaseModel):
    """One message. The model sees its content only: no role, no name."""

    model_config = _STRICT

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: _Content
    name: str | None = IGNORED
    tool_call_id: str | None = IGNORED
    refusal: str | None = IGNORED
    annotations: list[Any] | None = IGNORED
    audio: NotOffered = None
    function_call: NotOffered = None
    tool_calls: NoItems | None = None

    def text(self) -> str:
        """The content, its parts without anything between them."""
        return "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """Without effect unless ``stream`` is true."""

    model_config = _STRICT

    include_usage: bool = Field(
        default=False, description="Send a last chunk with the usage and no choices."
    )
    include_obfuscation: bool | None = IGNORED


class ModelName(BaseModel):
    """What every chat request names."""

    model: str = Field(min_length=1, description="Name of a text generator, see /v1/models.")


class BaseChatRequest(ModelName):
    """What every chat request says, whoever answers it."""

    stream: bool | None = Field(default=None, description="Send the text as it comes.")
    stream_options: StreamOptions | None = None

    def include_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class TextFormat(BaseModel):
    """Plain text, the only format offered."""

    model_config = _STRICT

    type: Literal["text"]


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


_StopString = Annotated[str, Field(min_length=1)]
_StopStrings = Annotated[list[_StopString], Field(max_length=4)]
_Stop = Annotated[
    _StopStrings, BeforeValidator(_as_list, json_schema_input_type=_StopString | _StopStrings)
]
_TokenLimit = Annotated[int, Field(ge=1, le=MAX_TOKENS), Whole]


class ChatRequest(BaseChatRequest):
    """A conversation whose text the model continues."""

    model_config = ConfigDict(
        **_STRICT,
        json_schema_extra={
            "examples": [
                {
                    "model": "text",
                    "messages": [{"role": "user", "content": "Parameters\n----------\n"}],
                    "max_tokens": 32,
                    "temperature": 0,
                }
            ]
        },
    )

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=64), FailFast()]
    max_completion_tokens: _TokenLimit | None = Field(
        default=None,
        description=f"Maximum tokens of the response; {DEFAULT_TOKENS} if not given.",
    )
    max_tokens: _TokenLimit | None = Field(
        default=None, description="The same by its older name; the smaller one counts."
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="0 takes the likeliest token; 1 if not given."
    )
    top_p: float | None = Field(
        default=None, gt=0, le=1, description="Share of the likeliest tokens; 1 if not given."
    )
    seed: Annotated[int, Whole] | None = Field(
        default=None, description="The same seed draws the same text."
    )
    stop: _Stop | None = Field(default=None, description="The text ends before the first of these.")

    n: Annotated[int, Field(ge=1, le=1), Whole, OnlyNeutral] | None = None
    logprobs: OnlyFalse | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0), Whole, OnlyNeutral] | None = None
    frequency_penalty: OnlyZero | None = None
    presence_penalty: OnlyZero | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0), OnlyNeutral] | None = None
    response_format: Annotated[TextFormat, OnlyNeutral] | None = None
    modalities: OnlyText | None = None
    tools: NoItems | None = None
    tool_choice: Annotated[Literal["none", "auto"], OnlyNeutral] | None = None
    functions: NoItems | None = None
    function_call: Annotated[Literal["none", "auto"], OnlyNeutral] | None = None
    audio: NotOffered = None
    moderation: NotOffered = None
    web_search_options: NotOffered = None
    reasoning_effort: Annotated[Literal["none"], OnlyNeutral] | None = None
    verbosity: Annotated[Literal["medium"], OnlyNeutral] | None = None
    service_tier: Annotated[Literal["auto", "default"], OnlyNeutral] | None = None

    user: str | None = IGNORED
    safety_identifier: str | None = IGNORED
    metadata: dict[str, Any] | None = IGNORED
    store: bool | None = IGNORED
    parallel_tool_calls: bool | None = IGNORED
    prediction: dict[str, Any] | None = IGNORED
    prompt_cache_key: str | None = IGNORED
    prompt_cache_options: dict[str, Any] | None = IGNORED
    prompt_cache_retention: str | None = IGNORED

    def prompt(self) -> str:
        """The text that the model continues: the messages' content, a line break between two."""
        return "\n".join(message.text() for message in self.messages)
