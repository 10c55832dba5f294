from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import report_records as records

from loadtests.report import Scenario, series, shape, stats, words
from loadtests.report.document import document
from loadtests.report.scales import linear, logarithmic, of_latency, time_ticks
from loadtests.samples import Samples
from loadtests.timeline import Timeline

GRID = series.Grid.over(100.0, 110.0)


def sample(intended: float, seconds: float, outcome: str = "ok") -> list[object]:
    return [intended, intended, intended + seconds, "/predict", 200, outcome, ""]


def test_sums_of_series_are_the_requests() -> None:
    report = document(records.failed())
    load = report["series"]["load"]
    assert sum(load["achieved"]) == pytest.approx(report["totals"]["requests"], abs=25)
    assert sum(load["failed"]) == pytest.approx(report["totals"]["failed"])
    per_scenario = [one["requests"] for one in report["scenarios"]]
    assert sum(per_scenario) == report["totals"]["requests"]
    assert [one["failed"] for one in report["scenarios"]] == [0, 0, 74, 360]


def test_percentiles_are_of_requests_that_were() -> None:
    record = records.passed()
    one = document(record)["scenarios"][0]
    seconds = record.samples.between(one["begin"], one["end"]).latency
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("max", 1)):
        expected = np.quantile(seconds, share, method="higher")
        assert one["latency"][name] == pytest.approx(expected, abs=1e-5)


def test_endpoints_add_up_to_the_whole_run() -> None:
    record = records.failed()
    report = document(record)
    rows, totals = report["endpoints"], report["totals"]
    assert [row["endpoint"] for row in rows] == ["chat", "predict"]
    for key in ("requests", "failed", "wrong"):
        assert sum(row[key] for row in rows) == totals[key] or key == "wrong"
    rates = sum(row["requests_per_second"] for row in rows)
    assert rates == pytest.approx(totals["requests_per_second"], abs=0.002)
    predict = record.samples.where(record.samples.name == "predict")
    seconds = np.where(predict.outcome == "failed", np.inf, predict.latency)
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        expected = np.quantile(seconds, share, method="higher")
        assert rows[1]["latency"][name] == pytest.approx(expected, abs=1e-5)
    assert rows[1]["latency"]["max"] == pytest.approx(
        predict.latency[predict.outcome != "failed"].max(), abs=1e-5
    )


def test_errors_are_counted_by_kind_with_their_first_and_last_time() -> None:
    rows = [sample(101, 0.5, "failed"), sample(102, 0.5), sample(103, 0.5, "wrong")]
    rows += [sample(104, 9, "failed"), sample(105, 0.5, "failed")]
    for row, (status, reason) in zip(
        rows, [(503, "503 busy"), (200, ""), (200, "class"), (503, "503 busy"), (0, "")],
        strict=True,
    ):  # fmt: skip
        row[4], row[6] = status, reason
    found = stats.errors(Samples.of(rows))
    assert [(e["kind"], e["outcome"], e["count"], e["first"], e["last"]) for e in found] == [
        ("503 busy", "failed", 2, 101.5, 113),
        ("class", "wrong", 1, 103.5, 103.5),
        ("no response", "failed", 1, 105.5, 105.5),
    ]
    report = document(records.failed())
    assert sum(row["count"] for row in report["errors"]) == report["totals"]["failed"]
    assert [row["kind"] for row in report["errors"]][::3] == ["503 model_error", "reset"]


def test_a_request_that_failed_was_never_answered() -> None:
    rows = [sample(101 + n / 100, 0.01 * n) for n in range(90)]
    rows += [sample(102 + n / 100, 0.001, "failed") for n in range(10)]
    found = series.latency(GRID, Samples.of(rows))
    assert found["p50"][3] == pytest.approx(0.5)
    assert found["p95"][3] is None
    assert found["p95"][1] is not None
    assert found["p50"][0] is None


def test_the_window_of_latency_ends_with_its_cell() -> None:
    found = series.latency(GRID, Samples.of([sample(103.5, 0.25)]))["p95"]
    assert found == [None] * 3 + [0.25] * series.WINDOW_SECONDS + [None] * 2


def test_what_was_seen_last_holds_until_something_else_is() -> None:
    timeline = Timeline()
    timeline.add("hpa", "serving", at=101.5, desired=1, current=1, minimum=1, maximum=4)
    timeline.add("hpa", "serving", at=104.5, desired=3)
    timeline.add("deployment", "serving", at=106.0, ready=3)
    timeline.add("deployment", "other", at=102.0, ready=9)
    found = series.replicas(GRID, timeline)
    assert found["desired"] == [None, 1, 1, 1, 3, 3, 3, 3, 3, 3]
    assert found["ready"] == [None] * 6 + [3] * 4
    assert found["maximum"] == [None] + [4] * 9


def test_a_pod_that_has_gone_ends_its_line() -> None:
    timeline = Timeline()
    timeline.add("metrics", "cpu", at=101.0, values={"a": 0.5})
    timeline.add("metrics", "cpu", at=103.0, values={"a": 0.25, "b": 1.0})
    timeline.add("metrics", "cpu", at=106.0, values={"b": 0.75})
    found = series.measured(GRID, timeline, "cpu")
    assert found["a"] == [None, 0.5, 0.5, 0.25, 0.25, 0.25] + [None] * 4
    assert found["b"] == [None] * 3 + [1.0] * 3 + [0.75] * 4


def test_processes_of_the_generator_are_added_and_the_busiest_counts() -> None:
    timeline = Timeline()
    for process, cpu in (("load-0", 0.25), ("load-1", 0.75)):
        for second in (101, 102, 103):
            timeline.add("load", process, at=second + 1.02, asked=5.0, finished=4, failed=1,
                         wrong=0, in_flight=2, behind=cpu, cpu=cpu)  # fmt: skip
    found = series.load(GRID, timeline, Samples.of([]))
    assert found["asked"] == [None, 10, 10, 10, 10] + [None] * 5
    assert found["achieved"] == [0, 8, 8, 8, 0, 0, 0, 0, 0, 0]
    assert found["failed"][:5] == [0, 2, 2, 2, 0]
    assert found["in_flight"][1] == 4
    assert found["cpu"][1] == found["behind"][1] == 0.75


def test_scale_out_is_timed_from_the_stage_that_brought_it() -> None:
    one = document(records.passed())["scenarios"][1]
    hold, ready = one["begin"] + 50, one["begin"] + 71
    assert one["numbers"]["scale_out_seconds"] == pytest.approx(ready - hold, abs=1)
    assert "scale_out_seconds" not in document(records.passed())["scenarios"][0]["numbers"]
    assert one["replicas"] == {"min": 1, "max": 4}


def test_long_runs_have_wider_cells_and_the_same_rates() -> None:
    grid = series.Grid.over(0.0, 36_000.0)
    assert grid.step == 10
    assert grid.length == 3600
    rates = grid.rate(np.arange(0, 36_000, 0.5))
    assert set(rates) == {2.0}


def test_what_json_does_not_have_is_null() -> None:
    record = records.empty()
    record.timeline.add("hpa", "serving", at=record.started, desired=math.nan, metrics=None)
    record.timeline.add("load", "load-0", at=record.started + 1, asked=math.inf, cpu="much")
    scenario = Scenario("a", "A", record.started, record.ended, "", {"b": math.nan, "c": 1.0})
    report = document(
        dataclasses.replace(
            record, environment={"odd": math.inf}, slo_p95=math.nan, scenarios=[scenario]
        )
    )
    json.dumps(report, allow_nan=False)
    assert shape.problem(report) == ""
    assert report["environment"]["tested"]["odd"] is None
    assert report["scenarios"][0]["numbers"] == {"c": 1.0}
    found = report["series"]
    assert set(found["replicas"]["desired"]) == {None}
    assert set(found["load"]["asked"]) == set(found["load"]["cpu"]) == {None}


def test_watchdog_is_no_event() -> None:
    record = records.empty()
    record.timeline.add("alert", "Watchdog", at=record.started, state="firing", labels={})
    record.timeline.add("notification", "Watchdog", at=record.started, status="firing", labels={})
    found = document(record)
    assert found["alerts"] == found["notifications"] == found["events"] == []


def test_events_beyond_a_page_are_counted_and_marked_ones_stay() -> None:
    record = records.empty()
    for n in range(400):
        record.timeline.add("event", f"Reason{n}", at=record.started + n / 1000, object="pod")
    record.timeline.add("action", "promote", at=record.started + 3, text="digits 2")
    found = document(record)
    assert len(found["events"]) == 250
    assert found["events_more"] == 151
    assert found["events"][-1]["text"] == "promote: digits 2"


@pytest.mark.parametrize("highest", [0, 0.0003, 0.07, 1, 3, 4.5, 9.99, 10, 70, 132, 999, 12_345])
def test_ticks_are_round_and_cover_the_data(highest: float) -> None:
    scale = linear(highest)
    assert scale.low == 0
    assert scale.high >= highest
    assert 2 <= len(scale.ticks) <= 6
    steps = {round(b - a, 9) for a, b in zip(scale.ticks, scale.ticks[1:], strict=False)}
    assert len(steps) == 1
    mantissa = min(steps) / 10 ** math.floor(math.log10(min(steps)))
    assert min(abs(mantissa - step) for step in (1, 2, 2.5, 5, 10)) < 1e-6
    assert len({words.amount(tick) for tick in scale.ticks}) == len(scale.ticks)


def test_pods_have_whole_ticks() -> None:
    for most in range(1, 40):
        assert all(tick == int(tick) for tick in linear(most, whole=True).ticks)


def test_latency_is_logarithmic_where_the_slowest_is_far_off() -> None:
    assert not of_latency([[0.02, 0.03, None, 0.04]], [0.5]).log
    scale = of_latency([[0.02, 0.03, 0.025, 9.0]], [0.5])
    assert scale.log
    assert scale.low <= 0.02
    assert scale.high >= 9
    assert scale.share(scale.low) == 0
    assert scale.share(scale.high) == pytest.approx(1)
    assert logarithmic(0.01, 0.01).high > logarithmic(0.01, 0.01).low


def test_time_has_round_ticks_from_zero() -> None:
    assert time_ticks(665, 14) == list(range(0, 661, 60))
    assert time_ticks(5, 14) == [0, 1, 2, 3, 4, 5]
    assert len(time_ticks(86_400, 8)) <= 9


def test_numbers_in_words() -> None:
    assert words.duration(0.0213) == "21.3 ms"
    assert words.duration(4.7) == "4.7 s"
    assert words.duration(665.4) == "11 min 05 s"
    assert words.duration(7260) == "2 h 01 min"
    assert words.duration(None) == words.DASH
    assert words.amount(15_490) == "15,490"
    assert words.amount(0.12345) == "0.123"
    assert words.clock(437) == "7:17"
    assert words.clock(3661) == "1:01:01"
    assert words.glued("4 pods in 90 s, 5 %") == "4\u00a0pods in 90\u00a0s, 5\u00a0%"


def test_what_the_generator_sent_is_held_against_what_it_was_asked() -> None:
    record = records.passed()
    kept_up = document(record)["generator"]
    assert kept_up["sent_share"] == pytest.approx(1, abs=0.02)
    half = record.samples.where(np.arange(len(record.samples)) % 2 == 0)
    fell_short = document(dataclasses.replace(record, samples=half))["generator"]
    assert fell_short["sent_share"] == pytest.approx(0.5, abs=0.02)
    assert document(records.empty())["generator"]["sent_share"] is None
