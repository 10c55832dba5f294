"""What a chat request may say that an upstream answers: the upstream's own limits bind it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field

from service.chat_fields import NoItems, NotOffered, OnlyFalse, OnlyNeutral, OnlyText, Whole
from service.chat_schemas import BaseChatRequest, StreamOptions

# Left out: they say nothing without tools, which are not offered, and of them there is one value.
_NEUTRAL = frozenset({
    "tools", "functions", "tool_choice", "function_call", "parallel_tool_calls", "n", "logprobs",
    "top_logprobs",
})  # fmt: skip
_PASSED_ON = ConfigDict(extra="allow", strict=True)


class UpstreamMessage(BaseModel):
    """One message; everything in it is passed on."""

    model_config = _PASSED_ON

    role: str = Field(min_length=1)
    content: str | list[dict[str, Any]] | None = None

    def passed_on(self) -> dict[str, Any]:
        """What the upstream gets: as it came, but for texts in parts, which not every one reads."""
        fields = self.model_dump(exclude_unset=True)
        parts = fields.get("content")
        if isinstance(parts, list) and parts and all(map(_is_text, parts)):
            fields["content"] = "".join(part["text"] for part in parts)
        return fields


def _is_text(part: dict[str, Any]) -> bool:
    return (
        part.keys() == {"type", "text"} and part["type"] == "text" and isinstance(part["text"], str)
    )


class UpstreamStreamOptions(StreamOptions):
    """Without effect unless ``stream`` is true; the rest is passed on."""

    model_config = _PASSED_ON


class UpstreamChatRequest(BaseChatRequest):
    """A conversation that the upstream goes on with.

    What would change the shape of the response is not offered; everything else is passed on.
    """

    model_config = ConfigDict(
        **_PASSED_ON,
        json_schema_extra={
            "examples": [
                {"model": "text", "messages": [{"role": "user", "content": "Who are you?"}]}
            ]
        },
    )

    messages: Annotated[list[UpstreamMessage], Field(min_length=1), FailFast()]
    max_completion_tokens: Annotated[int, Field(ge=1), Whole] | None = None
    max_tokens: Annotated[int, Field(ge=1), Whole] | None = None
    stream_options: UpstreamStreamOptions | None = None

    n: Annotated[int, Field(ge=1, le=1), Whole, OnlyNeutral] | None = None
    logprobs: OnlyFalse | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0), Whole, OnlyNeutral] | None = None
    modalities: OnlyText | None = None
    tools: NoItems | None = None
    functions: NoItems | None = None
    audio: NotOffered = None

    def passed_on(self) -> dict[str, Any]:
        """What the upstream gets, but for the model: what says nothing is left out."""
        fields = self.model_dump(
            exclude={"model", "messages", "stream", "stream_options", *_NEUTRAL}, exclude_unset=True
        )
        fields["messages"] = [message.passed_on() for message in self.messages]
        if self.max_tokens and self.max_completion_tokens:
            # Servers know one name or the other: the client's newer one is sent.
            fields["max_completion_tokens"] = min(
                fields.pop("max_tokens"), self.max_completion_tokens
            )
        if self.stream:
            told = self.stream_options.model_dump(exclude_unset=True) if self.stream_options else {}
            fields |= {"stream": True, "stream_options": {**told, "include_usage": True}}
        return {name: value for name, value in fields.items() if value not in (None, [], {})}
