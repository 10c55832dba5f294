"""Texts of the generators that are served: the model's steps in the pool, one after another."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import dataclass

import onnxruntime as ort

from service.body import parse_body
from service.chat_answers import Usage
from service.chat_schemas import DEFAULT_TOKENS, ChatRequest
from service.metrics import Metrics
from service.models import Models, Named, Served
from service.observed import count_tokens
from service.package import Kind
from service.predictor import Predictor
from service.text import TextGenerator
from service.text_generation import FinishReason, Generation, Options
from service.text_sampling import Sampling

_KIND: Kind = "text-generator"


class LocalTexts:
    """The text generators that are served here."""

    owner = "kindling"
    request_schema = ChatRequest
    about = (
        "Continue a text, in the shape of OpenAI's chat API.\n\n"
        "The model continues text and follows no instructions: its prompt is the content of all"
        " messages, joined by line breaks, whatever their roles."
    )

    def __init__(self, models: Models, predictor: Predictor) -> None:
        self._models = models
        self._predictor = predictor

    def all(self) -> list[Named]:
        """Those that are loaded."""
        return [served for served in self._models.all() if served.descriptor.kind == _KIND]

    def find(self, name: str) -> Served:
        """The one of that name. Raises ModelNotFoundError, NotReadyError."""
        return self._models.get(name, _KIND)

    def writer(self, body: bytes) -> LocalWriter:
        """The request in ``body``, and the model that it asks.

        Raises InvalidRequestError, ModelNotFoundError, NotReadyError.
        """
        asked = parse_body(body, ChatRequest)
        return LocalWriter(asked, self.find(asked.model), self._predictor)


@dataclass(frozen=True)
class LocalWriter:
    """A request, and the version that was served when it came."""

    asked: ChatRequest
    named: Served
    predictor: Predictor

    async def begin(self, ends: ExitStack) -> Turn:
        """As ``Turn.begin``; what a turn holds, it lets go by itself."""
        return await Turn.begin(self.asked, self.named, self.predictor)


class Turn:
    """Goes on from a prompt with the version that was served when the request came."""

    def __init__(
        self,
        served: Served,
        generation: Generation,
        first: str,
        *,
        predictor: Predictor,
        deadline: float,
    ) -> None:
        self.named = served
        self.generation = generation
        self._first = first
        self._predictor = predictor
        self._deadline = deadline

    @classmethod
    async def begin(cls, asked: ChatRequest, served: Served, predictor: Predictor) -> Turn:
        """Read the prompt and take the first token: what fails here is no stream yet.

        Raises TimedOutError, PredictionFailedError.
        """
        generator: TextGenerator = served.runner
        prompt, options = asked.prompt(), _options(asked)
        deadline = predictor.deadline()

        def work(run: ort.RunOptions) -> tuple[Generation, str]:
            generation = generator.start(prompt, options)
            return generation, generation.step(run)

        generation, first = await predictor.run(work, served, deadline=deadline)
        return cls(served, generation, first, predictor=predictor, deadline=deadline)

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the text ended, once it has."""
        return self.generation.finish_reason

    @property
    def usage(self) -> Usage:
        """The tokens so far."""
        read, written = self.generation.prompt_tokens, self.generation.completion_tokens
        return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)

    async def pieces(self, metrics: Metrics) -> AsyncGenerator[str, None]:
        """What each step adds to the text, often nothing; counts the tokens, however it ends.

        Raises TimedOutError, PredictionFailedError.
        """
        generation = self.generation
        try:
            yield self._first
            while generation.finish_reason is None:
                yield await self._predictor.run(
                    generation.step, self.named, deadline=self._deadline
                )
        finally:
            if self.named.sketch:
                self.named.sketch.tokens(generation.prompt_ids, generation.taken_ids)
            count_tokens(generation.prompt_tokens, generation.completion_tokens)
            metrics.tokens(
                self.named.name,
                self.named.version,
                input=generation.prompt_tokens,
                output=generation.completion_tokens,
            )


def _options(asked: ChatRequest) -> Options:
    limits = [limit for limit in (asked.max_tokens, asked.max_completion_tokens) if limit]
    return Options(
        max_tokens=min(limits, default=DEFAULT_TOKENS),
        sampling=Sampling(
            temperature=1.0 if asked.temperature is None else asked.temperature,
            top_p=1.0 if asked.top_p is None else asked.top_p,
            seed=asked.seed,
        ),
        stops=asked.stop or (),
    )
