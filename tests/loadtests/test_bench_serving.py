"""The benchmark of serving: what it compares, what it draws, and that it runs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree

import joblib
import numpy as np
import pytest
from loopback import Loopback
from waiting import until

from kindling import environments, paths
from kindling.errors import KindlingError
from kindling.processes import alive
from loadtests.bench_serving import __main__ as command
from loadtests.bench_serving import (
    chart,
    family,
    models,
    page,
    registry,
    rounds,
    servers,
    terminal,
    traffic,
)
from loadtests.bench_serving.figures import CONCURRENCIES, Figures, Turn, judge, rate_ratio
from loadtests.bench_serving.models import Model
from loadtests.bench_serving.page import Result
from loadtests.bench_serving.peers import OURS, PEERS, Peer, Start
from loadtests.bench_serving.rounds import Effort
from loadtests.bench_serving.servers import Helpers, Server
from loadtests.bench_serving.traffic import Plan
from pipeline.digits.evaluation import predict
from service.digests import parse_digests
from service.fetch import Fetcher
from service.registry import Registry

EFFORT = Effort(rounds=1, seconds=0.2, server_core=0, load_core=0)
NO_HELPERS = Helpers(registry=0, traces=0)


def figures(
    name: str, rate: float = 1000.0, p99: float = 0.02, memory: float = 100, first: float = 1.0
) -> Figures:
    turns = {c: [Turn(rate, p99 / 2, p99, 0.3)] * 3 for c in CONCURRENCIES}
    return Figures(name, turns, memory, first)


def field() -> dict[str, Figures]:
    """Everybody; ours holds every limit."""
    others = [figures(name) for name in PEERS if name not in (OURS, "bare")]
    found = [figures(OURS, rate=4100, p99=0.01), figures("bare", rate=4000, p99=0.011), *others]
    return {one.name: one for one in found}


def held(measured: dict[str, Figures]) -> dict[str, bool | None]:
    return {limit.what: limit.held for limit in judge(measured)}


def test_a_ratio_is_that_of_turns_that_stood_beside_each_other() -> None:
    # The machine is slow in the second half, for both.
    ours, other = figures(OURS), figures("bare")
    ours.turns[16] = [Turn(rate, 1, 1, 0) for rate in (2000, 2000, 200, 200)]
    other.turns[16] = [Turn(rate, 1, 1, 0) for rate in (1000, 1000, 100, 100)]
    assert rate_ratio(ours, other, 16) == pytest.approx(2.0)


def test_a_turn_has_the_rate_and_the_percentiles_of_its_latencies() -> None:
    turn = Turn.of([index / 1000 for index in range(1, 102)], 2.0, 0.5)
    assert turn == Turn(50.5, pytest.approx(0.051), pytest.approx(0.100), 0.5)


def test_all_limits_hold_where_all_hold() -> None:
    assert set(held(field()).values()) == {True}


@pytest.mark.parametrize(
    ("name", "change", "missed"),
    [
        ("ray", {"rate": 1030.0}, "requests/s / best model server"),
        ("bare", {"rate": 4200.0, "p99": 0.011}, "requests/s / bare handler"),
        ("bentoml", {"p99": 0.0099}, "p99 / best p99 of the others"),
        ("baseline", {"rate": 4300.0}, "requests/s / baseline"),
        (OURS, {"rate": 4100.0, "p99": 0.01, "memory": 151}, "memory"),
        (OURS, {"rate": 4100.0, "p99": 0.01, "first": 2.1}, "first answer"),
    ],
)
def test_one_limit_is_missed_alone(name: str, change: dict[str, float], missed: str) -> None:
    found = held(field() | {name: figures(name, **change)})
    assert [what for what, holds in found.items() if not holds] == [missed]


def test_the_bare_handler_is_no_model_server() -> None:
    found = {limit.what: limit.found for limit in judge(field())}
    assert found["requests/s / best model server"] == "4.10 (mlserver)"


def test_an_earlier_commit_is_compared_in_requests_alone() -> None:
    fast = figures("baseline", rate=4100, p99=0.001)
    assert set(held(field() | {"baseline": fast}).values()) == {True}
    without = {name: one for name, one in field().items() if name != "baseline"}
    assert "requests/s / baseline" not in held(without)


def test_who_answers_wrongly_is_nobody_to_be_compared_with() -> None:
    fast = figures("ray", rate=9000, p99=0.001)
    fast.wrong = "row 3 is a 2"
    assert set(held(field() | {"ray": fast}).values()) == {True}
    assert "not ranked: ray: row 3 is a 2" in terminal.remarks(field() | {"ray": fast})
    ours = figures(OURS)
    ours.wrong = "row 3 is a 2"
    assert held(field() | {OURS: ours}) == {"right answers": False}


def test_a_limit_without_anybody_to_compare_with_is_not_judged() -> None:
    found = held({OURS: figures(OURS), "bare": figures("bare")})
    assert found["requests/s / best model server"] is None
    assert found["requests/s / bare handler"] is True
    assert held({OURS: figures(OURS)})["p99 / best p99 of the others"] is None


def test_a_load_that_could_not_keep_up_is_told() -> None:
    measured = field()
    assert not any("can send" in line for line in terminal.remarks(measured))
    measured["bare"].turns[64] = [Turn(9000, 0.01, 0.01, 0.97)] * 3
    assert "the load took at most 97% of a core of its own, beside bare" in terminal.remarks(
        measured
    )
    assert any("can send" in line for line in terminal.remarks(measured))


def test_the_table_has_every_server_at_every_concurrency_the_fastest_first() -> None:
    found = terminal.rows(field())
    assert len(found) == len(PEERS) * len(CONCURRENCIES)
    assert [row[:4] for row in found[:2]] == [
        ("Kindling", "1", "4,100", "–"),  # noqa: RUF001
        ("bare handler", "1", "4,000", "1.02"),
    ]


def test_in_the_picture_fast_is_right_and_slow_is_high() -> None:
    measured = field()
    measured["ray"].turns[64] = [Turn(500, 0.2, 0.4, 0.3)] * 3
    drawn = ElementTree.fromstring(chart.draw(measured, "p99", Figures.p99))
    points = {
        (one.get("class"), index % len(CONCURRENCIES)): one
        for index, one in enumerate(drawn.iter("circle"))
    }
    assert len(points) == len(PEERS) * len(CONCURRENCIES)

    def at(name: str, index: int) -> tuple[float, float]:
        point = points[f"point {chart.LOOKS[name]}", index]
        return float(point.attrib["cx"]), float(point.attrib["cy"])

    assert at(OURS, 0)[0] > at("mlserver", 0)[0] > at("ray", 2)[0]
    assert at(OURS, 0)[1] > at("mlserver", 0)[1] > at("ray", 2)[1]
    width, height = map(int, drawn.attrib["viewBox"].split()[2:])
    names = {one.text: one for one in drawn.iter("text") if "name" in str(one.get("class"))}
    assert set(names) == {peer.title for peer in PEERS.values()}
    for one in [*drawn.iter("circle"), *names.values()]:
        assert 0 <= float(one.get("cx") or one.attrib["x"]) <= width
        assert 0 <= float(one.get("cy") or one.attrib["y"]) <= height


def test_the_page_needs_nothing_from_elsewhere_and_takes_nothing_as_markup() -> None:
    measured = field()
    measured["ray"].wrong = "<script>alert(1)</script>"
    missed = measured | {OURS: figures(OURS)}
    found = page.render(
        [Result("logistic", measured, judge(measured)), Result("forest", missed, judge(missed))],
        "3 rounds",
        ["not measured: bentoml"],
    )
    assert "<script" not in found
    assert "not measured: bentoml" in found
    assert "&lt;script&gt;alert(1)" in found
    assert not re.search(r"(?:src|href|url\()\W*(?:https?:)?//", found)
    assert found.count("<svg") == 4
    assert {"logistic regression", "forest of 100 trees"} <= set(
        re.findall("<h2>(.*?)</h2>", found)
    )
    assert ">held<" in found
    assert ">missed<" in found


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--rounds=0", "not a whole number of at least 1: 0"),
        ("--rounds=x", "not a whole number of at least 1: x"),
        ("--seconds=0", "not a number from 0.1 to 600: 0"),
        ("--seconds=nan", "not a number from 0.1 to 600: nan"),
        ("--only=bare,nobody", "no such server: nobody; there are bare, mlserver"),
        ("--model=other", "invalid choice: 'other'"),
    ],
)
def test_a_wrong_argument_gets_one_clear_line(
    word: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main([word])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_every_server_has_its_environment() -> None:
    for peer in PEERS.values():
        if peer.lock:
            file = paths.REPOSITORY / "requirements" / f"{peer.lock}.in"
            assert file.is_file()
            assert environments.folder(peer.lock).name.startswith(peer.lock)


class _Handler(BaseHTTPRequestHandler):
    fake: Answering
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.fake.asked += 1
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps({"label": self.fake.labels[body["row"][0]]}).encode()
        self.send_response(self.fake.status)
        if self.fake.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (answer[:5], answer[5:], b""):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        else:
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


class Answering(Loopback):
    """Answers a row with the label that is in ``labels`` at its first number."""

    handler = _Handler
    server = ThreadingHTTPServer

    def __init__(self, *, status: int = 200, chunked: bool = False) -> None:
        self.status, self.chunked, self.labels = status, chunked, [5, 6, 7]
        self.asked = 0


LOOKUP = Peer(
    "lookup", "Lookup", "", "", lambda _: Start([], {}), lambda _: "/predict",
    lambda row: {"row": row}, lambda answer: answer["label"],
)  # fmt: skip


def server_of(fake: Answering) -> Server:
    model = Model("logistic", Path(), [[0], [1], [2]], [5, 6, 7])
    return Server(LOOKUP, model, fake.port, 0, 0.0)


@pytest.mark.parametrize("chunked", [False, True])
def test_the_load_asks_in_turn_and_keeps_the_answers(chunked: bool) -> None:
    with Answering(chunked=chunked) as fake:
        server = server_of(fake)
        bodies = [LOOKUP.request(row) for row in server.model.rows]
        plan = Plan(fake.port, "/predict", bodies, connections=1, core=0, most=7, keep=4)
        found = asyncio.run(traffic.drive(plan))
        assert len(found.latencies) == 7
        assert [which for which, _ in sorted(found.answers)] == [0, 0, 1, 2]
        assert all(LOOKUP.read(answer) == [5, 6, 7][which] for which, answer in found.answers)
        timed = asyncio.run(
            traffic.drive(replace(plan, connections=2, most=0, warmup=0.1, seconds=0.3))
        )
        assert timed.seconds >= 0.3
        # Answers in the warm-up do not count.
        assert 0 < len(timed.latencies) < fake.asked - 7


def test_a_label_that_is_not_scikit_learns_is_found() -> None:
    with Answering() as fake:
        rounds.check(server_of(fake), EFFORT)
        fake.labels = [5, 6, 8]
        with pytest.raises(KindlingError, match="row 2 is a 7, and the answer is"):
            rounds.check(server_of(fake), EFFORT)


def test_an_answer_that_is_none_ends_the_load_with_a_line() -> None:
    with Answering(status=503) as fake, pytest.raises(KindlingError, match=r"^not 200: .*503"):
        rounds.check(server_of(fake), EFFORT)


def test_the_registry_has_what_the_service_asks_of_one(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "model.json").write_text('{"name": "logistic"}')
    (package / "model.onnx").write_bytes(b"graph")
    model = Model("logistic", tmp_path, [], [])
    with servers.helpers(model, Path(sys.executable), tmp_path / "helpers", 0) as beside:
        asked = Registry(
            Fetcher(f"http://127.0.0.1:{beside.registry}", username="", password="", seconds=5),
            max_model_bytes=100,
        )

        async def ask() -> None:
            found = await asked.registered(["logistic"])
            assert found["logistic"].aliases == {"champion": registry.VERSION}
            tag = await asked.digest_tag("logistic", registry.VERSION)
            assert tag
            root = await asked.artifact_root("logistic", registry.VERSION)
            await asked.download(root, "model.onnx", parse_digests(tag), tmp_path)

        asyncio.run(ask())
    assert (tmp_path / "model.onnx").read_bytes() == b"graph"


_LASTING = """
import http.server, json, sys
port, most = map(int, sys.argv[1:])
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answered = 0
    def do_POST(self):
        row = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["row"]
        Handler.answered += 1
        body = json.dumps({"label": row[0]}).encode()
        self.send_response(200 if Handler.answered <= most else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def lasting(most: int) -> Peer:
    """Answers ``most`` requests."""
    words = [sys.executable, "-c", _LASTING]
    return replace(LOOKUP, start=lambda site: Start([*words, str(site.port), str(most)], {}))


def test_who_fails_under_load_is_told_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "model.json").write_text('{"name": "logistic"}')
    peers = {OURS: lasting(10**9), "ray": lasting(12)}
    monkeypatch.setattr(rounds, "PEERS", peers)
    monkeypatch.setattr(rounds, "_WARMUP_SECONDS", 0.05)
    model = Model("logistic", tmp_path, [[0], [1], [2]], [0, 1, 2])
    said: list[str] = []
    found = rounds.measure(
        model, dict.fromkeys(peers, Path(sys.executable)), tmp_path / "run",
        replace(EFFORT, rounds=2), said.append,
    )  # fmt: skip
    assert {one.name: one.ranked for one in found.values()} == {OURS: True, "ray": False}
    assert {c: len(turns) for c, turns in found[OURS].turns.items()} == {1: 2, 16: 2, 64: 2}
    assert found[OURS].memory > 5
    assert 0 < found[OURS].first_answer < servers._START_SECONDS
    assert found["ray"].wrong.startswith("not 200: b'HTTP/1.1 500")
    assert sum(line.startswith("ray is not ranked: not 200") for line in said) == 1


_PARENT = """
import http.server, subprocess, sys
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
child = subprocess.Popen(sleep, start_new_session=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response({status})
        self.send_header("Content-Length", "12")
        self.end_headers()
        self.wfile.write(b'{{"label": 5}}')
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def parent(status: int = 200) -> Peer:
    program = _PARENT.format(status=status)
    return replace(
        LOOKUP, start=lambda site: Start([sys.executable, "-c", program, str(site.port)], {})
    )


def test_a_server_is_halted_and_ended_with_all_that_it_started(tmp_path: Path) -> None:
    model = Model("logistic", tmp_path, [[0]], [5])
    with servers.running(
        parent(), model, Path(sys.executable), tmp_path / "it", 0, NO_HELPERS
    ) as server:
        members = family.members(server.pid)
        assert len(members) == 2
        assert {os.sched_getaffinity(pid) == {0} for pid in members} == {True}
        assert server.memory() > 5
        server.pause()
        until(lambda: {_state(pid) for pid in members} == {"T"}, "all are halted")
        server.resume()
        until(lambda: {_state(pid) for pid in members} == {"S"}, "all go on")
        server.pause()
    assert not any(map(alive, members))


@pytest.mark.parametrize(("status", "label"), [(422, 5), (200, 6)])
def test_a_server_that_refuses_or_errs_is_not_waited_for(
    status: int, label: int, tmp_path: Path
) -> None:
    model = Model("logistic", tmp_path, [[0]], [label])
    began = time.monotonic()
    with (
        pytest.raises(KindlingError, match=f"it answers {status}"),
        servers.running(
            parent(status), model, Path(sys.executable), tmp_path / "it", 0, NO_HELPERS
        ),
    ):
        pass
    assert time.monotonic() - began < servers._START_SECONDS / 2


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


@pytest.mark.parametrize("name", models.NAMES)
def test_the_graph_says_what_scikit_learn_says(name: str, tmp_path: Path) -> None:
    made = models.make(name, tmp_path)
    rows = np.asarray(made.rows, np.float32)
    assert rows.shape == (models.ROWS, 64)
    assert predict(made.onnx, rows).tolist() == made.labels
    assert joblib.load(made.joblib).predict(rows).tolist() == made.labels
    assert (made.mlflow / "MLmodel").is_file()


def test_it_measures_ours_beside_a_bare_handler(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    # Where lines are as long as in a log.
    wide = {**os.environ, "COLUMNS": "160"}
    words = ["--only=bare", "--model=logistic", "--rounds=1", "--seconds=0.2", f"--report={file}"]
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.bench_serving", *words],
        cwd=paths.REPOSITORY, env=wide, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stderr == ""
    # So short a measurement may well fall short.
    assert done.returncode in (0, 1)
    for concurrency in CONCURRENCIES:
        for title in ("Kindling", "bare handler"):
            assert re.search(rf"^{title} +{concurrency} +[\d,.]+ ", done.stdout, re.MULTILINE)
    assert re.search(r"^right answers +all +all +held", done.stdout, re.MULTILINE)
    assert re.search(r"^requests/s / bare handler .* \d+\.\d\d \(bare\)", done.stdout, re.MULTILINE)
    assert "not ranked" not in done.stdout
    assert file.read_text().count("<svg") == 2
