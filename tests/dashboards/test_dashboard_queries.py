"""Queries with their variables filled in, and the check of them against a Prometheus."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from kindling import paths
from kindling.dashboards import Asked, load_all, queries
from kindling.dashboards.live import rules, unknown_metrics, without_data
from kindling.errors import KindlingError
from kindling.prometheus import Prometheus


def test_no_query_is_left_with_a_variable_and_none_is_left_out() -> None:
    asked = list(queries())
    assert [one for one in asked if "$" in one.promql] == []
    every = load_all()
    assert len(asked) == sum(len(one.expressions()) + len(one.variables) for one in every)
    assert {one.kind for one in asked} == {"panel", "variable", "annotation"}


def test_variables_have_their_defaults_or_what_is_asked_for() -> None:
    (first, *_) = queries()
    assert 'namespace="kindling",model=~".+"' in first.promql
    assert "[1m]" in first.promql
    (first, *_) = queries(values={"namespace": "other", "model": "digits"}, rate_interval="20s")
    assert 'namespace="other",model=~"digits"' in first.promql
    assert "[20s]" in first.promql


def test_panels_of_one_title_measure_over_the_same_time_on_every_page() -> None:
    windows: dict[tuple[str, str], set[str]] = {}
    for dashboard in load_all():
        for panel in dashboard.panels:
            texts = " ".join(query.promql for query in panel.queries)
            found = set(re.findall(r"\[([^\]]+)\]", texts))
            assert windows.setdefault((panel.kind, panel.title), found) == found, panel.title


def test_what_alerts_measure_is_shown_as_they_measure_it() -> None:
    recorded = {
        rule["record"]
        for file in (paths.REPOSITORY / "charts/prometheus/rules").glob("*.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    used = {
        name
        for dashboard in load_all()
        for _, promql in dashboard.expressions()
        for name in re.findall(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", promql)
    }
    assert used <= recorded
    assert {name.split(":")[1] for name in used} == {
        "inference_queue_seconds", "kubelet_volume_stats_free", "llm_request_errors",
        "llm_requests_slow", "model_accuracy_feedback", "model_drift_samples",
        "model_feedback_labels", "node_filesystem_free", "serving_cpu_utilization",
    }  # fmt: skip


def test_a_ratio_on_two_pages_is_recorded() -> None:
    pages: dict[str, set[str]] = {}
    for dashboard in load_all():
        for panel in dashboard.panels:
            for query in panel.queries:
                bare = re.sub(r"\s+|\{[^}]*\}", "", query.promql)
                if re.search(r"/(?!\s*\d)", bare):
                    pages.setdefault(bare, set()).add(dashboard.uid)
    assert [bare for bare, uids in pages.items() if len(uids) > 1] == []


def test_a_limit_is_only_beside_series_that_are_held_against_it() -> None:
    (serving,) = (one for one in load_all() if one.uid == "model-serving")
    panels = {panel.title: panel.queries for panel in serving.panels}
    *judged, limit = panels["Model Accuracy"]
    assert limit.limit
    (alert,) = (
        rule for rule in rules(paths.REPOSITORY / "charts/prometheus/rules")
        if rule.get("alert") == "LowAccuracy"
    )  # fmt: skip
    assert alert["expr"].endswith(f"< {limit.promql.removeprefix('vector(')[:-1]}")
    # The alert judges classifiers alone, and so do the records that it reads.
    for query in judged:
        assert 'kind="classifier"' in query.promql or ":model_accuracy_feedback:" in query.promql
    (text,) = panels["Accuracy of text models"]
    assert 'kind!="classifier"' in text.promql


def test_every_limit_of_an_alert_is_that_of_its_rule() -> None:
    found = {
        rule["alert"]: rule["expr"]
        for rule in rules(paths.REPOSITORY / "charts/prometheus/rules")
        if "alert" in rule
    }
    named = 0
    for dashboard in load_all():
        for panel in dashboard.panels:
            for query in panel.queries:
                if match := re.fullmatch(r"(\w+) fires (above|below)", query.legend):
                    sign = {"above": ">", "below": "<"}[match[2]]
                    bound = query.promql.removeprefix("vector(").removesuffix(")")
                    assert re.search(rf" {sign} {re.escape(bound)}(\s|$)", found[match[1]])
                    named += 1
    assert named == 3


VALUE = {"full": "1", "nan": "NaN", "full then": "1"}


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        split = urlsplit(self.path)
        given = parse_qs(split.query)
        query = given.get("query", [""])[0]
        if query == "broken(":
            return self._send(400, {"status": "error", "error": "unclosed parenthesis"})
        there = query in VALUE and ("then" not in query or given.get("time") == ["12.5"])
        found = [{"metric": {}, "value": [0, VALUE[query]]}] if there else []
        tree = {
            "type": "call",
            "args": [{"type": "matrixSelector", "name": "deep"}, {"type": "numberLiteral"}],
            "expr": {"type": "vectorSelector", "name": query},
        }
        data: Any = {
            "query": {"resultType": "vector", "result": found},
            "parse_query": tree,
            "values": ["full", "deep"],
            "metadata": {"requests": [{"type": "counter"}]},
        }[split.path.rpartition("/")[2]]
        return self._send(200, {"status": "success", "data": data})

    def _send(self, status: int, content: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Prometheus(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


def asked(promql: str, empty_when: str = "") -> Asked:
    return Asked("Board", "panel", "Panel", promql, empty_when)


def test_a_query_with_nothing_or_no_number_is_named_with_its_panel(prometheus: Prometheus) -> None:
    wrong = without_data(
        prometheus, [asked("full"), asked("none"), asked("nan"), asked("none", "nobody asks")]
    )
    assert wrong == ["no data: Board, panel Panel: none", "no data: Board, panel Panel: nan"]


def test_queries_are_asked_as_they_were_at_a_time(prometheus: Prometheus) -> None:
    assert without_data(prometheus, [asked("full then")]) != []
    assert without_data(prometheus, [asked("full then")], at=12.5) == []


def test_a_query_that_is_refused_is_named_with_what_prometheus_says(
    prometheus: Prometheus,
) -> None:
    (wrong,) = without_data(prometheus, [asked("broken(", "nobody asks")])
    assert "unclosed parenthesis" in wrong
    assert "Board, panel Panel" in wrong


def test_metrics_are_known_by_what_is_stored_announced_or_recorded(prometheus: Prometheus) -> None:
    expressions = ["full", "requests_total", "level:metric:rate5m", "misspelt"]
    unknown = unknown_metrics(prometheus, expressions, known=["level:metric:rate5m"])
    assert unknown == {"misspelt": "misspelt"}


def test_a_prometheus_that_is_away_is_an_error_for_people() -> None:
    with pytest.raises(KindlingError, match="does not answer"):
        Prometheus("http://127.0.0.1:1").metrics()


def test_rules_of_all_files_and_groups_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(
        "groups: [{name: a, rules: [{record: r, expr: x}]},"
        " {name: b, rules: [{alert: A, expr: y}]}]"
    )
    (tmp_path / "b.yaml").write_text("groups: [{name: c, rules: [{alert: B, expr: z}]}]")
    assert [rule["expr"] for rule in rules(tmp_path)] == ["x", "y", "z"]
