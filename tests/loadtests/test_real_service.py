"""The generator and the real service, with both models, in processes of their own."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import until

from kindling import bench_observability, paths
from kindling.web import without_proxy
from loadtests import data as held_out
from loadtests import hostile
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
        found = f"http://127.0.0.1:{service.port}"
        until(lambda: _get(f"{found}/ready"), "both models are served")
        yield found


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


_UI = """
import sys
from pathlib import Path
from loadtests.data import Data
from loadtests.load import ui

url, folder, port = sys.argv[1:]
ui(url, Path(folder), port=int(port), data=Data.read(Path(folder) / "known.json"))
"""


def test_locusts_own_page_drives_the_same_users_and_listens_on_loopback_alone(
    url: str, data: Data, tmp_path: Path
) -> None:
    learn(data, url).write(tmp_path / "known.json")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    page = f"http://127.0.0.1:{port}"
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-c", _UI, url, str(tmp_path), str(port)],
            cwd=paths.REPOSITORY, stdout=log, stderr=log,
        ) as process,
    ):  # fmt: skip
        try:
            until(lambda: _get(page) is not None, f"the page is there: {tmp_path / 'log'}")
            listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
            hosts = set(re.findall(rf" ([0-9A-F]+):{port:04X} \S+ 0A ", listening))
            assert hosts == {"0100007F"}
            form = urllib.parse.urlencode({"user_count": 10, "spawn_rate": 10}).encode()
            without_proxy().open(f"{page}/swarm", form, timeout=20).close()
            until(lambda: len(_stats(page)) == 2, "both kinds of users have asked")
            stats = _stats(page)
        finally:
            process.terminate()
    assert set(stats) == {"predict", "chat"}
    assert set(stats.values()) == {0}


def _get(url: str) -> bytes | None:
    try:
        with without_proxy().open(url, timeout=20) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except OSError:
        return None


def _stats(page: str) -> dict[str, int]:
    """How many requests of each name failed."""
    found = json.loads(_get(f"{page}/stats/requests") or b"{}").get("stats", [])
    return {one["name"]: one["num_failures"] for one in found if one["name"] != "Aggregated"}


def test_latencies_under_a_stall_are_those_of_arithmetic() -> None:
    # Of 5 s, with a stall of 1 s, one request in a hundred waits for 0.95 s or longer.
    words = ["--rate=40", "--seconds=5", "--stall=1", "--alone"]
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.bench_latency", *words],
        cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    assert re.search(r"^ours +200 requests, stalled for 1\.\d+ s", done.stdout, re.MULTILINE)
    (ratio,) = re.findall(r"^p99 / arithmetic (\d\.\d+)", done.stdout, re.MULTILINE)
    assert float(ratio) >= 0.95


def test_hostile_clients_of_every_kind_come_and_others_are_answered(url: str, data: Data) -> None:
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname
    assert parts.port
    kept = asyncio.run(hostile.keep(parts.hostname, parts.port, 28, 8))
    found = kept.kinds
    assert kept.open >= 28
    assert found.keys() == hostile.KINDS.keys()
    assert all(one["begun"] >= 4 for one in found.values())
    assert {kind for kind, one in found.items() if one["ended"]} >= {
        "a head too large", "a compressed body",
    }  # fmt: skip
    assert not any(one["not taken"] for one in found.values())
    assert _get(f"{url}/ready")
