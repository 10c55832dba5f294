"""One text in the making: the model's steps in the pool, one after another."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import onnxruntime as ort

from service.chat_schemas import DEFAULT_TOKENS, ChatRequest
from service.metrics import Metrics
from service.models import Served
from service.predictor import Predictor
from service.text import TextGenerator
from service.text_generation import Generation, Options
from service.text_sampling import Sampling


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
        self.served = served
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

    async def pieces(self, metrics: Metrics) -> AsyncGenerator[str, None]:
        """What each step adds to the text, often nothing; counts the tokens, however it ends.

        Raises TimedOutError, PredictionFailedError.
        """
        generation = self.generation
        try:
            yield self._first
            while generation.finish_reason is None:
                yield await self._predictor.run(
                    generation.step, self.served, deadline=self._deadline
                )
        finally:
            if self.served.sketch:
                self.served.sketch.tokens(generation.prompt_ids, generation.taken_ids)
            metrics.tokens(
                self.served.name,
                self.served.version,
                input=generation.prompt_tokens,
                output=generation.completion_tokens,
            )

    async def text(self, metrics: Metrics) -> str:
        """The whole text. Raises TimedOutError, PredictionFailedError."""
        async with aclosing(self.pieces(metrics)) as pieces:
            return "".join([piece async for piece in pieces])


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
