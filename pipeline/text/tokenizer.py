"""SentencePiece tokens that give every text back exactly."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sentencepiece

from pipeline.text.batch import Ints

PAD, UNKNOWN, EOS = 0, 1, 2
# Longer texts would be left out of the training of the tokenizer.
_LONGEST_BYTES = 1 << 20


def fit(texts: Sequence[str], vocabulary: int) -> bytes:
    """A tokenizer of ``vocabulary`` tokens, 256 of which are bytes for what is rare or new."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="bpe",
        vocab_size=vocabulary, byte_fallback=True, normalization_rule_name="identity",
        add_dummy_prefix=False, remove_extra_whitespaces=False, max_sentence_length=_LONGEST_BYTES,
        pad_id=PAD, unk_id=UNKNOWN, eos_id=EOS, bos_id=-1, num_threads=1, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


def load(file: Path) -> sentencepiece.SentencePieceProcessor:
    """The tokenizer in a file of its own."""
    return sentencepiece.SentencePieceProcessor(model_proto=file.read_bytes())


def encode(tokens: sentencepiece.SentencePieceProcessor, texts: Sequence[str]) -> list[Ints]:
    """The tokens of each text."""
    return [np.array(ids, np.int64) for ids in tokens.encode(list(texts))]
