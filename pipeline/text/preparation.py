"""The text: what the docstrings of installed packages say, and which of it is held out."""

from __future__ import annotations

import ast
import contextlib
import gc
import hashlib
import importlib.util
import json
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.text import prose, tokenizer
from pipeline.text.params import Prepare

TOKENIZER = "tokenizer.model"
_FILES = {"train": "train.jsonl", "held_out": "held_out.jsonl"}
# Tests say little about what is tested; the rest is other people's code.
_LEFT_OUT = {"tests", "testing", "_vendor", "externals", "_external"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# Where a statement keeps others.
_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")


@dataclass(frozen=True)
class Document:
    """Paragraphs of one docstring, and the file that it is in."""

    source: str
    paragraphs: tuple[str, ...]

    @property
    def text(self) -> str:
        """The paragraphs with an empty line between them."""
        return "\n\n".join(self.paragraphs)

    def sentences(self) -> Iterator[str]:
        for paragraph in self.paragraphs:
            yield from prose.sentences(paragraph)


def prepare(out: Path, params: Prepare) -> None:
    """Write the documents of both parts and the tokenizer, which knows only those for training."""
    train, held_out = split(collect(params.sources), params.held_out_share)
    out.mkdir(parents=True, exist_ok=True)
    for part, documents in (("train", train), ("held_out", held_out)):
        lines = [json.dumps({"source": one.source, "text": one.text}) for one in documents]
        (out / _FILES[part]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    fitted = tokenizer.fit([document.text for document in train], params.vocabulary)
    (out / TOKENIZER).write_bytes(fitted)


def read(data: Path, part: str) -> list[str]:
    """The texts of one part of the prepared data: ``train`` or ``held_out``."""
    lines = (data / _FILES[part]).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def collect(sources: Iterable[str]) -> list[Document]:
    """All documents in ascending order of their files; a paragraph appears once, where first seen.

    ``sources`` are names of packages or folders in them, such as ``sklearn/cluster``.
    Raises PipelineError for one that is not installed.
    """
    seen: set[str] = set()
    documents = []
    for source, docstring in _docstrings(sources):
        for paragraphs in prose.documents(docstring):
            if new := tuple(text for text in dict.fromkeys(paragraphs) if text not in seen):
                seen.update(new)
                documents.append(Document(source, new))
    return documents


def split(documents: Iterable[Document], share: float) -> tuple[list[Document], list[Document]]:
    """Training and held-out documents: whole files are held out, chosen by their names.

    A held-out document that shares a sentence with the training ones is left out: libraries repeat
    themselves, and knowing a sentence by heart is not what is measured.
    """
    train: list[Document] = []
    held_out: list[Document] = []
    for document in documents:
        (held_out if _fraction(document.source) < share else train).append(document)
    known = {sentence for document in train for sentence in document.sentences()}
    return train, [document for document in held_out if known.isdisjoint(document.sentences())]


def _docstrings(sources: Iterable[str]) -> Iterator[tuple[str, str]]:
    for source in sources:
        name, _, below = source.partition("/")
        found = importlib.util.find_spec(name)
        if found is None or not found.submodule_search_locations:
            raise PipelineError(
                f"the text is to come from the package {name}, which is not installed",
                next_step="install requirements/models.txt, or change text.prepare.sources",
            )
        root = Path(found.submodule_search_locations[0])
        for file in sorted((root / below).rglob("*.py")):
            relative = file.relative_to(root.parent)
            if _LEFT_OUT.isdisjoint(relative.parts):
                yield from ((relative.as_posix(), text) for text in _of_file(file))


def _of_file(file: Path) -> list[str]:
    with warnings.catch_warnings(), _no_garbage_collection():
        # Not our code: its backslashes are none of our business.
        warnings.simplefilter("ignore")
        statements = deque[ast.AST]([ast.parse(file.read_bytes())])
        found = []
        while statements:
            statement = statements.popleft()
            if isinstance(statement, _DOCUMENTED) and (text := ast.get_docstring(statement)):
                found.append(text)
            # Level by level, as ``ast.walk`` does, but not into the many expressions.
            for block in _BLOCKS:
                statements.extend(getattr(statement, block, ()))
    return found


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Not to go through a syntax tree, which has no cycles, again and again while it grows."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _fraction(name: str) -> float:
    """A number in 0..1 that depends on the name and on nothing else."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
