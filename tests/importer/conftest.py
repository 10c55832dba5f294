"""Models and what the converter makes of them, each once."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator

import pytest
from converter import MAKER, Converter, Made, run

from kindling.import_answer import Answer


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """The model of this name of ``made_models.py``; all are made at once, which is far quicker."""
    out = tmp_path_factory.mktemp("made")
    done = run(MAKER, out)
    assert done.returncode == 0, done.stderr.decode()

    def find(name: str) -> Made:
        truth = out / name / "truth.json"
        found = json.loads(truth.read_text()) if truth.exists() else {}
        return Made(out / name / "model", found)

    return find


@pytest.fixture(scope="session")
def converter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converter]:
    converter = Converter(tmp_path_factory.mktemp("converter"))
    yield converter
    converter.close()


@pytest.fixture(scope="session")
def converted(made: Callable[[str], Made], converter: Converter) -> Callable[[str], Answer]:
    """What the converter makes of the model of this name."""
    return functools.cache(lambda name: converter.convert(made(name).folder))
