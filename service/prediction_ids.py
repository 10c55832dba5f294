"""Ids of predictions: they hold what was predicted, signed, so that no replica keeps anything."""

from __future__ import annotations

import hmac
import random
import re
import struct
import time
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass

import numpy as np

from service.classifier import Labels
from service.errors import FeedbackExpiredError, InvalidRequestError
from service.package import NAME_PATTERN, VERSION_PATTERN

# Format, time in seconds, classes, a number that makes ids of the same prediction differ, and how
# many bytes name and version have. These follow, then the labels, then the signature.
_HEAD = struct.Struct(">BII6sBB")
_FORMAT = 1
_SIGNATURE_BYTES = 16
# Whatever else the key may sign one day, it is not taken for an id.
_PURPOSE = b"kindling prediction id\0"
_MOST_ROWS = 4096
_MOST_BYTES = _HEAD.size + 63 + 18 + _MOST_ROWS * 4 + _SIGNATURE_BYTES
LONGEST = -(-_MOST_BYTES * 4 // 3)


@dataclass(frozen=True)
class Predicted:
    """What was predicted; ``signature`` is as unique as the id."""

    model: str
    version: str
    classes: int
    labels: list[int]
    signature: bytes


class PredictionIds:
    """Makes and reads ids with ``key``, which all replicas share. An id is good for ``days``."""

    def __init__(self, key: str, *, days: float) -> None:
        self._key = key.encode()
        self._seconds = days * 86_400

    def make(self, model: str, version: str, labels: Labels, classes: int) -> str:
        """The id of a prediction of these labels, which are below ``classes``."""
        name, number = model.encode(), version.encode()
        # It need not be hard to guess: the signature is.
        unlike = random.randbytes(6)  # noqa: S311
        head = _HEAD.pack(_FORMAT, int(time.time()), classes, unlike, len(name), len(number))
        content = head + name + number + labels.astype(_width(classes)).tobytes()
        # Unpadded: the characters are those of header values, URLs and file names.
        return urlsafe_b64encode(content + self._sign(content)).rstrip(b"=").decode()

    def read(self, text: str) -> Predicted:
        """What was predicted under this id.

        Raises InvalidRequestError if it was not made with this key, FeedbackExpiredError.
        """
        try:
            whole = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise _invalid() from None
        content, signature = whole[:-_SIGNATURE_BYTES], whole[-_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(content)):
            raise _invalid()
        predicted, made = _parse(content, signature)
        if time.time() - made > self._seconds:
            raise FeedbackExpiredError(
                f"feedback is taken for {self._seconds / 86_400:g} days", field="id"
            )
        return predicted

    def _sign(self, content: bytes) -> bytes:
        return hmac.digest(self._key, _PURPOSE + content, "sha256")[:_SIGNATURE_BYTES]


def _parse(content: bytes, signature: bytes) -> tuple[Predicted, int]:
    """What a signed id holds, and when it was made. Raises InvalidRequestError."""
    if len(content) < _HEAD.size or content[0] != _FORMAT:
        # Signed by a release that knows another format.
        raise _invalid()
    _, made, classes, _, name, number = _HEAD.unpack_from(content)
    after_name, after_number = _HEAD.size + name, _HEAD.size + name + number
    model = content[_HEAD.size : after_name].decode()
    version = content[after_name:after_number].decode()
    if not re.fullmatch(NAME_PATTERN, model) or not re.fullmatch(VERSION_PATTERN, version):
        raise _invalid()
    labels = np.frombuffer(content[after_number:], _width(classes)).tolist()
    return Predicted(model, version, classes, labels, signature), made


def _width(classes: int) -> str:
    return "u1" if classes <= 256 else ">u2" if classes <= 65_536 else ">u4"


def _invalid() -> InvalidRequestError:
    return InvalidRequestError("this is no prediction_id of this service", field="id")
