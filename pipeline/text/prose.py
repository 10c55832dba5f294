"""From a docstring to plain English: what is left when tables, code and markup are gone."""

from __future__ import annotations

import re
from collections.abc import Iterator

_UNDERLINE = re.compile(r"([=\-~^*#\"'])\1{2,}\s*$")
_OF_ITEMS = {
    "Parameters", "Other Parameters", "Keyword Arguments", "Attributes", "Returns", "Yields",
    "Receives", "Raises", "Warns",
}  # fmt: skip
_WITHOUT_PROSE = {"Examples", "Methods", "References", "See Also"}
_NOT_PROSE = re.compile(r"(>>>|[*|•#-] |\+-|\.\.\.|\d+[.)] |\([a-z0-9]+\) |[=-]{3,} )")
# Each is looked for only where its mark is: most of the text has none.
_MARKUP = (
    # A formula leaves a mark behind, so that its sentence is not taken for English.
    (":math:`", re.compile(r":math:`[^`]*`"), "="),
    ("`~", re.compile(r":[a-zA-Z:+-]+:`~[^`]*?(\w+)`"), r"\1"),
    (":`", re.compile(r":[a-zA-Z:+-]+:`([^`<]*?)\s*(?:<[^`>]*>)?`"), r"\1"),
    ("`", re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?"), r"\1"),
    ("]_", re.compile(r"\s*\[\w+\]_"), ""),
    ("`", re.compile(r"``?([^`]*)``?"), r"\1"),
    ("**", re.compile(r"\*\*([^*]+)\*\*"), r"\1"),
    ("*", re.compile(r"(?<!\w)\*([^*\s][^*]*)\*(?!\w)"), r"\1"),
    ("::", re.compile(r"::"), ":"),
)
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)\s+(?=[A-Z\"'(])")
_SENTENCE = re.compile(r"[A-Z][A-Za-z0-9 ,;:.'\"()?!-]*[.!?]")
_CODE = re.compile(r"\.\w|[a-z][A-Z]|--|\w\(|\.\.|\d{3}|\bsklearn\b|\bhttp|\bet al")
_POINTERS = ("Read more", "See the User Guide", "See User Guide")
_FEWEST_WORDS = 4


def documents(docstring: str) -> Iterator[list[str]]:
    """The prose in a docstring: first what it says as a whole, then of each parameter.

    Each is a list of paragraphs without line breaks, none of them empty.
    """
    whole: list[str] = []
    items: list[list[str]] = []
    for title, lines in _sections(docstring.splitlines()):
        if title in _OF_ITEMS:
            items += [_prose(item) for item in _items(lines)]
        elif title not in _WITHOUT_PROSE:
            whole += _prose(lines)
    yield from filter(None, [whole, *items])


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph."""
    return _BETWEEN_SENTENCES.split(paragraph)


def _sections(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    title, start = "", 0
    for number in range(len(lines) - 1):
        heading = lines[number]
        if heading.strip() and heading[0] != " " and _UNDERLINE.match(lines[number + 1]):
            yield title, lines[start:number]
            title, start = heading.strip(), number + 2
    yield title, lines[start:]


def _items(lines: list[str]) -> Iterator[list[str]]:
    """What is indented below each line that is not: the line itself names and types."""
    item: list[str] = []
    for line in lines:
        if line.strip() and line[0] != " ":
            yield item
            item = []
        else:
            item.append(line)
    yield item


def _prose(lines: list[str]) -> list[str]:
    return [text for text in map(_plain, _paragraphs(lines)) if text]


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """Blocks of lines, but for directives and literal blocks and what is indented below them."""
    block: list[str] = []
    below: int | None = None
    for line in [*lines, ""]:
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if text and below is not None:
            if indent > below:
                continue
            below = None
        directive = text.startswith(".. ")
        if text and not directive:
            block.append(text)
        if directive or text.endswith("::"):
            below = indent
        if block and (not text or below is not None):
            yield block
            block = []


def _plain(block: list[str]) -> str:
    if _NOT_PROSE.match(block[0]):
        return ""
    text = " ".join(block)
    for mark, pattern, replacement in _MARKUP:
        if mark in text:
            text = pattern.sub(replacement, text)
    text = " ".join(text.split())
    return " ".join(filter(_is_english, sentences(text)))


def _is_english(sentence: str) -> bool:
    return (
        _SENTENCE.fullmatch(sentence) is not None
        and _CODE.search(sentence) is None
        and len(sentence.split()) >= _FEWEST_WORDS
        and sentence.count("(") == sentence.count(")")
        and sentence.count('"') % 2 == 0
        and not sentence.startswith(_POINTERS)
    )
