"""Ids of predictions: they hold what was predicted, signed, so that no replica keeps anything."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import secrets
import struct
import time
from base64 import b64decode
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import FeedbackExpiredError, InvalidRequestError

# Format, time in seconds, and a number that makes ids of the same prediction differ.
_HEAD = struct.Struct(">BIQ")
# Classes, and how many bytes name and version have. These follow, then labels and signature.
_MODEL = struct.Struct(">IBB")
_FORMAT = 1
_SIGNATURE_BYTES = 16
# Whatever else the key may sign one day, it is not taken for an id.
_PURPOSE = b"prediction id"
_MOST_ROWS = 4096
_MOST_REMEMBERED = 100
_MOST_READY = 32
_MOST_BYTES = _HEAD.size + _MODEL.size + 63 + 18 + _MOST_ROWS * 4 + _SIGNATURE_BYTES
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
LONGEST = -(-_MOST_BYTES * 4 // 3)


@dataclass(frozen=True)
class Predicted:
    """What was predicted; ``signature`` is as unique as the id."""

    model: str
    version: str
    classes: int
    labels: list[int]
    signature: bytes


class _Ready:
    """Ids that wait for predictions of one kind, and how many are made next: more each time.

    One among many takes a third of the time of one by itself.
    """

    __slots__ = ("ids", "most")

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.most = 1


class PredictionIds:
    """Makes and reads ids with ``key``, which all replicas share. An id is good for ``days``."""

    def __init__(self, key: str, *, days: float) -> None:
        # BLAKE2 is keyed by itself, in one pass; its key has 64 bytes at most, ours any number.
        own = hashlib.sha256(key.encode()).digest()
        self._keyed = hashlib.blake2b(digest_size=_SIGNATURE_BYTES, key=own, person=_PURPOSE)
        # The key is a block of its own, which is taken in only as something follows it.
        self._keyed.update(bytes([_FORMAT]))
        self._seconds = days * 86_400
        self._numbers = itertools.count(secrets.randbits(62))
        self._models: dict[tuple[str, str, int], bytes] = {}
        self._second = 0
        # Of one row each, by model, version, classes and label, for this second alone.
        self._ready: dict[tuple[str, str, int, int], _Ready] = {}

    def make(self, model: str, version: str, labels: Sequence[int], classes: int) -> str:
        """The id of a prediction of these labels, which are below ``classes``."""
        second = int(time.time())
        if len(labels) != 1:
            return self._make(model, version, labels, classes, second, 1)[0]
        if second != self._second:
            self._second = second
            self._ready.clear()
        key = (model, version, classes, labels[0])
        ready = self._ready.get(key)
        if ready is None:
            ready = self._ready[key] = _Ready()
        if not ready.ids:
            ready.ids = self._make(model, version, labels, classes, second, ready.most)
            ready.most = min(2 * ready.most, _MOST_READY)
        return ready.ids.pop()

    def _make(
        self,
        model: str,
        version: str,
        labels: Sequence[int],
        classes: int,
        second: int,
        count: int,
    ) -> list[str]:
        """``count`` ids of the same prediction."""
        named = self._models.get((model, version, classes))
        if named is None:
            if len(self._models) > _MOST_REMEMBERED:
                self._models.clear()
            named = self._models[model, version, classes] = _name(model, version, classes)
        made, rest = [], named + _pack(labels, classes)
        for _ in range(count):
            content = _HEAD.pack(_FORMAT, second, next(self._numbers)) + rest
            # Unpadded: the characters are those of header values, URLs and file names.
            signed = b2a_base64(content + self._sign(content), newline=False)
            made.append(signed.translate(_URL_SAFE, b"=").decode())
        return made

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
        signing = self._keyed.copy()
        signing.update(content)
        return signing.digest()


def _name(model: str, version: str, classes: int) -> bytes:
    name, number = model.encode(), version.encode()
    return _MODEL.pack(classes, len(name), len(number)) + name + number


def _parse(content: bytes, signature: bytes) -> tuple[Predicted, int]:
    """What a signed id holds, and when it was made. Raises InvalidRequestError."""
    if content[:1] != bytes([_FORMAT]):
        # Signed by a release that knows another format.
        raise _invalid()
    _, made, _ = _HEAD.unpack_from(content)
    classes, name, number = _MODEL.unpack_from(content, _HEAD.size)
    start = _HEAD.size + _MODEL.size
    model, version = content[start:][:name], content[start + name :][:number]
    labels = _unpack(content[start + name + number :], classes)
    return Predicted(model.decode(), version.decode(), classes, labels, signature), made


def _pack(labels: Sequence[int], classes: int) -> bytes:
    if classes <= 256:
        return bytes(labels)
    return struct.pack(f">{len(labels)}{_code(classes)}", *labels)


def _unpack(content: bytes, classes: int) -> list[int]:
    if classes <= 256:
        return list(content)
    code = _code(classes)
    return list(struct.unpack(f">{len(content) // struct.calcsize(f'>{code}')}{code}", content))


def _code(classes: int) -> str:
    return "H" if classes <= 65_536 else "I"


def _invalid() -> InvalidRequestError:
    return InvalidRequestError("this is no prediction_id of this service", field="id")
