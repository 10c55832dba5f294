"""What is left of a docstring is English, and its split is by file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import package, text
from pipeline.errors import PipelineError
from pipeline.text import preparation, prose
from pipeline.text.params import Prepare
from pipeline.text.preparation import Document

DOCSTRING = """Fit a line through points.

The line is the one with the `smallest` sum of squares [1]_, see
:func:`~library.module.solve`. It is found in one step. It takes n_points.
Call it as fit(points) and nothing else. The linePlot function draws what it found.

.. versionadded:: 1.2
    Before that it was found in many steps.

    It was a great deal slower then.

>>> fit([1, 2])
3

An example of what is not prose::

    This would be a sentence too. It is code all the same.

Parameters
----------
points : array-like of shape (n, 2)
    The points, in **any** order. Their number is :math:`n`.

    * Each of them counts as much as any other.

weights : dict, default=None
    If None, all points weigh the same.

See Also
--------
other : This one does something else entirely.

Notes
-----
Points far away pull the line towards them.
"""


def test_prose_is_sentences_without_code_tables_and_markup() -> None:
    assert list(prose.documents(DOCSTRING)) == [
        [
            "Fit a line through points.",
            "The line is the one with the smallest sum of squares, see solve. "
            "It is found in one step.",
            "Points far away pull the line towards them.",
        ],
        ["The points, in any order."],
        ["If None, all points weigh the same."],
    ]


@pytest.mark.parametrize("docstring", ["", "x", ">>> f()", "Parameters\n----------\nx : int"])
def test_a_docstring_without_prose_is_no_document(docstring: str) -> None:
    assert list(prose.documents(docstring)) == []


def test_abbreviations_do_not_end_a_sentence() -> None:
    paragraph = "Use one of them, e.g. The first. Or the second, i.e. Another one."
    first, second = prose.sentences(paragraph)
    assert first == "Use one of them, e.g. The first."
    assert second == "Or the second, i.e. Another one."


def test_whole_files_are_held_out_without_what_is_trained_on() -> None:
    said = [("It is known to both.",), ("This is said once.",), ("That is said once.",)]
    documents = [
        Document(f"package/file_{number}.py", paragraphs)
        for number in range(400)
        for paragraphs in (*said[:1], (f"This is said once by file {number}.",))
    ]
    train, held_out = preparation.split(documents, 0.2)
    files = [{document.source for document in part} for part in (train, held_out)]
    assert not files[0] & files[1]
    assert len(files[0] | files[1]) == 400
    assert len(files[1]) == pytest.approx(0.2 * 400, abs=20)
    assert [document.paragraphs for document in held_out if document.paragraphs in said] == []
    assert preparation.split(documents, 0.2) == (train, held_out)


def test_the_data_is_the_same_every_time_and_another_for_other_parameters(tmp_path: Path) -> None:
    chosen = Prepare(("sklearn/cluster",), held_out_share=0.2, vocabulary=320)
    text.prepare(tmp_path / "first", chosen)
    text.prepare(tmp_path / "second", chosen)
    text.prepare(tmp_path / "third", Prepare(("sklearn/cluster",), 0.5, 320))
    first, second, third = (
        package.digest(tmp_path / name) for name in ("first", "second", "third")
    )
    assert first == second != third
    assert list(package.sha256(tmp_path / "first")) == [
        "held_out.jsonl", "tokenizer.model", "train.jsonl",
    ]  # fmt: skip


def test_a_source_that_is_not_installed_is_named() -> None:
    with pytest.raises(PipelineError, match="the package nowhere, which is not installed"):
        preparation.collect(["nowhere/at_all"])
