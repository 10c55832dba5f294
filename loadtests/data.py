"""What a load test asks about: what no model was trained on, and what the right answers are."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

from kindling import paths

BUILD = paths.REPOSITORY / "pipeline" / "build"
CLASSIFIER, GENERATOR, CLASSES = "digits", "text", 10
PROMPTS = 64
_WORD = re.compile(r"\S+")
# A prompt ends in the middle of what is written, where a text seldom ends: an empty answer is odd.
_FEWEST_WORDS, _MOST_WORDS, _SHARE = 8, 60, 0.7
_TOKENS = (8, 16, 32)


@dataclass(frozen=True)
class Prompt:
    """Where a text begins, and how it is to go on; the same seed draws the same text."""

    text: str
    seed: int
    max_tokens: int

    def request(self) -> bytes:
        """The body of a request for a stream."""
        body = {
            "model": GENERATOR,
            "messages": [{"role": "user", "content": self.text}],
            "seed": self.seed,
            "max_tokens": self.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return json.dumps(body).encode()


class Said(NamedTuple):
    """What a stream said, put together."""

    version: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Data:
    """Held-out images with their labels, beginnings of held-out texts.

    Of versions that are known, ``labels_of`` has what each says of every image (null where it is
    hardly sure), and ``texts_of`` how it goes on from every prompt.
    """

    rows: list[list[int]]
    labels: list[int]
    prompts: list[Prompt]
    labels_of: dict[str, list[int | None]] = field(default_factory=dict)
    texts_of: dict[str, list[Said]] = field(default_factory=dict)
    # The registered model that predicts.
    classifier: str = CLASSIFIER

    def request(self, rows: Sequence[int]) -> bytes:
        """The body of a prediction for these rows."""
        written = ",".join([self._written[row] for row in rows])
        return f'{{"model": "{self.classifier}", "instances": [{written}]}}'.encode()

    @cached_property
    def requests(self) -> list[bytes]:
        """The bodies of requests for streams that go on from the prompts."""
        return [prompt.request() for prompt in self.prompts]

    @cached_property
    def _written(self) -> list[str]:
        # Writing them down anew for each request would cost more than sending it.
        return [json.dumps(row) for row in self.rows]

    def write(self, file: Path) -> None:
        """Write it all as JSON."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> Self:
        """What ``write`` wrote."""
        return cls.parse(json.loads(file.read_text()))

    @classmethod
    def parse(cls, content: dict[str, Any]) -> Self:
        """From what ``asdict`` makes of it, also after a way through JSON."""
        content["prompts"] = [Prompt(**prompt) for prompt in content["prompts"]]
        content["texts_of"] = {
            version: [Said(*said) for said in texts]
            for version, texts in content["texts_of"].items()
        }
        return cls(**content)


def load(build: Path = BUILD, *, chat: bool = True) -> Data:
    """What the pipeline held out: as it is in ``build``, or prepared again by its own code.

    Without ``build``, the texts take some 20 seconds; without ``chat`` there are none.
    """
    # Here: the libraries behind the data take a second to load.
    from pipeline import params
    from pipeline.digits import Params as DigitsParams
    from pipeline.digits import prepare
    from pipeline.digits.preparation import read

    with tempfile.TemporaryDirectory() as temporary:
        folder = build / CLASSIFIER / "data"
        if not (folder / "held_out.csv").is_file():
            folder = Path(temporary)
            prepare(folder, params.load(CLASSIFIER, DigitsParams).prepare)
        images = read(folder, "held_out")
    return Data(
        images.pixels.astype(int).tolist(),
        images.labels.tolist(),
        prompts(_texts(build / GENERATOR / "data")) if chat else [],
    )


def prompts(texts: Sequence[str], most: int = PROMPTS) -> list[Prompt]:
    """Beginnings of texts, of as many different ones as there are up to ``most``."""
    long = [text for text in texts if len(text.split()) >= _FEWEST_WORDS]
    chosen = long[:: max(1, len(long) // most)][:most]
    return [
        Prompt(_beginning(text), number, _TOKENS[number % len(_TOKENS)])
        for number, text in enumerate(chosen)
    ]


def _beginning(text: str) -> str:
    words = list(_WORD.finditer(text))
    kept = min(_MOST_WORDS, int(len(words) * _SHARE))
    return text[: words[kept - 1].end()]


def _texts(folder: Path) -> list[str]:
    from pipeline import params
    from pipeline.text import Params, preparation

    if (folder / "held_out.jsonl").is_file():
        return preparation.read(folder, "held_out")
    chosen = params.load(GENERATOR, Params).prepare
    documents = preparation.collect(chosen.sources)
    return [one.text for one in preparation.split(documents, chosen.held_out_share)[1]]
