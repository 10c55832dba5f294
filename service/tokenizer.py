"""SentencePiece from bytes in memory, as the text model needs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from service.errors import ModelInvalidError
from service.package import TOKENIZER_FILE

# Spaces, lines and rare characters are where tokenizers lose or change something.
_PROBE = "a \n\n  b\t\u2603\x7f "


class Tokenizer:
    """Text to token ids and back. Raises ModelInvalidError for a model that loses some of it."""

    def __init__(self, content: bytes) -> None:
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.load_from_serialized_proto(content)
        except RuntimeError:
            raise ModelInvalidError(f"{TOKENIZER_FILE} is not a SentencePiece model") from None
        if self._processor.pad_id() != 0 or self.eos < 0:
            raise ModelInvalidError(f"{TOKENIZER_FILE} has no pad token with id 0, or no eos token")
        self._spellings = self._spell()
        if b"".join(map(self.spelling, self.encode(_PROBE))) != _PROBE.encode():
            raise ModelInvalidError(
                f"{TOKENIZER_FILE} does not give every text back as it was: byte_fallback is off,"
                " or a normalisation or the dummy prefix is on"
            )
        # To add to logits: nothing, or minus infinity for what cannot come there.
        self.between_characters = _barrier(map(_begins, self._spellings))
        self.between_characters[self.eos] = 0
        self.within_character = _barrier(map(_continues, self._spellings))

    @property
    def vocabulary(self) -> int:
        """How many tokens there are; their ids are those below."""
        return int(self._processor.get_piece_size())

    @property
    def eos(self) -> int:
        """The id of the token that ends a text."""
        return int(self._processor.eos_id())

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``."""
        ids: list[int] = self._processor.encode(text)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids``; bytes that are not UTF-8 become replacement characters."""
        text: str = self._processor.decode(list(ids))
        return text

    def count(self, text: str) -> int:
        """How many tokens ``text`` is."""
        return len(self._processor.encode_as_numpy(text))

    def spelling(self, token: int) -> bytes:
        """What ``token`` adds to a text: UTF-8, or a byte of it; nothing for a control token."""
        return self._spellings[token]

    def _spell(self) -> list[bytes]:
        ids = list(range(self.vocabulary))
        pieces = self._processor
        silent = np.array([pieces.is_control(ids), pieces.is_unknown(ids), pieces.is_unused(ids)])
        spellings = [self.decode([token]).encode() for token in ids]
        # A byte of several is no text by itself; its piece reads <0xC3>.
        for token in np.flatnonzero(pieces.is_byte(ids)).tolist():
            spellings[token] = bytes.fromhex(pieces.id_to_piece(token)[3:5])
        for token in np.flatnonzero(silent.any(axis=0)).tolist():
            spellings[token] = b""
        return spellings


def _begins(spelling: bytes) -> bool:
    return spelling != b"" and not _continues(spelling)


def _continues(spelling: bytes) -> bool:
    return len(spelling) == 1 and 0x80 <= spelling[0] <= 0xBF


def _barrier(allowed: Iterable[bool]) -> NDArray[np.float32]:
    return np.where(list(allowed), np.float32(0), np.float32(-np.inf))
