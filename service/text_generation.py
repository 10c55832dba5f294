"""One text being continued, token by token."""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.text_sampling import Sampler, Sampling
from service.text_stops import StopStrings
from service.tokenizer import Tokenizer

FinishReason = Literal["stop", "length"]
Tokens = NDArray[np.int64]
Logits = NDArray[np.float32]
Run = Callable[[Tokens, ort.RunOptions | None], Logits]


@dataclass(frozen=True)
class Options:
    """What a request may choose about its text."""

    max_tokens: int = 64
    sampling: Sampling = field(default_factory=Sampling)
    stops: Sequence[str] = ()


class Generation:
    """Continues one prompt with the model that it started with; one thread at a time.

    The tokens taken are those that the tokenizer makes of the text, so that both sides count the
    same. That holds for the whole text if it holds for every two neighbours: what BPE joins across
    a border it joins whatever else is around.
    """

    def __init__(
        self,
        run: Run,
        tokenizer: Tokenizer,
        prompt: str,
        *,
        context: int,
        options: Options,
    ) -> None:
        """``run`` gives the (vocabulary,) logits that follow (1, context) tokens."""
        self._run = run
        self._tokenizer = tokenizer
        self._sampler = Sampler(options.sampling)
        self._stops = StopStrings(options.stops)
        self._max_tokens = options.max_tokens
        ids = tokenizer.encode(prompt)
        self.prompt_tokens = len(ids)
        # For who compares them with what the model was trained on.
        self.prompt_ids, self.taken_ids = ids, list[int]()
        # Left of a short prompt is padding, whose id is zero.
        self._window: Tokens = np.zeros((1, context), np.int64)
        last = ids[-context:]
        self._window[0, context - len(last) :] = last
        self._shown: list[str] = []
        self._tokens = 0
        # The latest whole piece or character, and the bytes of one that is not yet whole.
        self._unit: list[int] = []
        self._unit_text = ""
        self._open: list[int] = []
        self.finish_reason: FinishReason | None = None

    @property
    def completion_tokens(self) -> int:
        """How many tokens were taken so far; once finished, how many the text is."""
        return self._tokens

    def step(self, options: ort.RunOptions | None = None) -> str:
        """Take one token and return what may be shown of the text now, often nothing; blocks.

        Raises PredictionFailedError if the model answers with something else than logits.
        """
        if self.finish_reason is not None:
            return ""
        tokenizer = self._tokenizer
        barrier = tokenizer.within_character if self._open else tokenizer.between_characters
        logits = self._run(self._window, options) + barrier
        for token in self._sampler.draw(logits):
            if token == tokenizer.eos:
                break
            text = self._complete(token)
            if text is not None:
                return self._take(token, text)
        return self._finish("stop")

    def _complete(self, token: int) -> str | None:
        """The text that ``token`` completes, "" if none yet; None if it must not follow."""
        unit = [*self._open, token]
        spelled = b"".join(map(self._tokenizer.spelling, unit))
        try:
            text, _ = utf_8_decode(spelled, "strict", False)
        except UnicodeDecodeError:
            return None
        if text:
            ids = self._tokenizer.encode(self._unit_text + text)
            return text if ids == self._unit + unit else None
        # A character is begun only if there is room for all its bytes.
        whole = self._tokens - len(self._open) + _length(spelled[0])
        return "" if whole <= self._max_tokens else None

    def _take(self, token: int, text: str) -> str:
        self._window[0, :-1] = self._window[0, 1:]
        self._window[0, -1] = token
        self._tokens += 1
        self.taken_ids.append(token)
        self._open.append(token)
        if not text:
            return ""
        self._unit, self._unit_text, self._open = self._open, text, []
        shown = self._stops.feed(text)
        self._shown.append(shown)
        if self._stops.found:
            return shown + self._finish("stop")
        return shown + self._finish("length") if self._tokens == self._max_tokens else shown

    def _finish(self, reason: FinishReason) -> str:
        """End here, without what is open; returns what was kept back."""
        rest = self._stops.flush()
        self._shown.append(rest)
        self._tokens = self._tokenizer.count("".join(self._shown))
        self.finish_reason = reason
        return rest


def _length(lead: int) -> int:
    """How many bytes the UTF-8 character has that begins with ``lead``."""
    return 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
