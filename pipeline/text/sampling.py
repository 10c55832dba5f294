"""Texts that the exported model writes, for people to look at."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import sentencepiece

from pipeline.text.tokenizer import EOS, PAD

_PROMPTS = ("", "The number of", "If True,", "Compute the", "This function", "Returns")
_MOST_TOKENS = 80
_TEMPERATURE = 0.6
_SEED = 20


def samples(session: ort.InferenceSession, tokens: sentencepiece.SentencePieceProcessor) -> str:
    """For each of a few beginnings a text, the same every time."""
    rng = np.random.default_rng(_SEED)
    texts = []
    for prompt in _PROMPTS:
        ids = list(tokens.encode(prompt))
        while len(ids) < _MOST_TOKENS and EOS not in ids:
            ids.append(_next(session, ids, rng))
        texts.append(tokens.decode([token for token in ids if token != EOS]))
    return "\n---\n".join(texts) + "\n"


def _next(session: ort.InferenceSession, ids: list[int], rng: np.random.Generator) -> int:
    context = session.get_inputs()[0].shape[1]
    seen = ([PAD] * context + ids)[-context:]
    logits = session.run(None, {"tokens": np.array([seen], np.int64)})[0][0] / _TEMPERATURE
    # The Gumbel trick: the largest is chosen as often as the softmax says.
    return int(np.argmax(logits + rng.gumbel(size=len(logits))))
