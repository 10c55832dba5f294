"""The generator and the real service, with both models, in processes of their own."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kindling import bench_observability, paths
from loadtests import data as held_out
from loadtests.data import Data
from loadtests.learning import learn
from loadtests.load import Generator, Mix, Stage
from loadtests.timeline import Timeline
from pipeline import digits, text
from pipeline.text import preparation
from service.copies import Copies


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service of digits and of a text generator that was trained for a second."""
    folder = tmp_path_factory.mktemp("service")
    copies = Copies(folder / "cache")
    for name, package in (("digits", digits.PACKAGE), ("text", text.PACKAGE)):
        (folder / name).mkdir()
        if name == "digits":
            digits.write_package(folder / name)
        else:
            text.write_package(folder / name, params=text.TINY)
        workspace = copies.workspace(name)
        hashes = {}
        for file in package:
            content = (folder / name / file).read_bytes()
            (workspace / file).write_bytes(content)
            hashes[file] = hashlib.sha256(content).hexdigest()
        copies.note(name, copies.keep(name, "3", hashes, workspace))
    settings = {"MODELS": "digits,text", "LOG_LEVEL": "error"}
    with bench_observability.serving(
        folder / "log", folder / "cache", ["-m", "service"], settings
    ) as service:
        yield f"http://127.0.0.1:{service.port}"


@pytest.fixture(scope="module")
def data() -> Data:
    """Held-out images, and held-out texts of what the text generator was trained on."""
    documents = preparation.collect(text.TINY.prepare.sources)
    _, out = preparation.split(documents, text.TINY.prepare.held_out_share)
    prompts = held_out.prompts([one.text for one in out], most=12)
    return dataclasses.replace(held_out.load(chat=False), prompts=prompts)


@pytest.mark.parametrize("known", [True, False])
def test_all_answers_of_a_sound_service_are_right(
    url: str, data: Data, tmp_path: Path, known: bool
) -> None:
    # A version that came while the load ran is not known, and judged by the truth.
    asked = learn(data, url) if known else data
    assert set(asked.labels_of) == set(asked.texts_of) == ({"3"} if known else set())
    stages = [Stage("s", 3, 40, 16)]
    mix = Mix(predict=2, chat=1)
    with Generator.start(url, stages, mix, tmp_path, Timeline(), data=asked) as generator:
        assert generator.wait(120)
    samples = generator.samples()
    assert len(samples) == 120
    assert {(str(o), str(r)) for o, r in zip(samples.outcome, samples.reason, strict=True)} == {
        ("ok", "")
    }
    assert set(samples.name.tolist()) == {"predict", "chat"}


def test_another_version_behind_a_known_name_is_found(url: str, data: Data, tmp_path: Path) -> None:
    learned = learn(data, url)
    turned = dataclasses.replace(
        learned,
        labels_of={
            "3": [None if one is None else (one + 1) % 10 for one in learned.labels_of["3"]]
        },
        texts_of={"3": [said._replace(text=f"{said.text}.") for said in learned.texts_of["3"]]},
    )
    mix = Mix(predict=1, chat=1)
    stages = [Stage("s", 1, 30, 16)]
    with Generator.start(url, stages, mix, tmp_path, Timeline(), data=turned) as generator:
        assert generator.wait(120)
    samples = generator.samples()
    found = zip(samples.name, samples.outcome, samples.reason, strict=True)
    assert {tuple(map(str, one)) for one in found} == {
        ("predict", "wrong", "label"),
        ("chat", "wrong", "text"),
    }


def test_latencies_under_a_stall_are_those_of_arithmetic() -> None:
    # Of 5 s, with a stall of 1 s, one request in a hundred waits for 0.95 s or longer.
    words = ["--rate=40", "--seconds=5", "--stall=1", "--alone"]
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.bench_latency", *words],
        cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode == 0
    assert re.search(r"^ours +200 requests, stalled for 1\.\d+ s", done.stdout, re.MULTILINE)
    (ratio,) = re.findall(r"^p99 / arithmetic (\d\.\d+)", done.stdout, re.MULTILINE)
    assert float(ratio) >= 0.95
