from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import report_records as records

from loadtests.checks import Check
from loadtests.report import Record, Scenario, page, trend, words
from loadtests.report.document import document
from loadtests.report.marks import marks
from loadtests.report.panels import panels
from loadtests.report.plot import spread
from loadtests.report.strips import CHARACTER, LAYOUTS, axis, scenarios, stages, ticks
from loadtests.timeline import Timeline

ALL = [records.passed, records.failed, records.invalid, records.interrupted, records.empty]
VOID = {"meta", "br", "wbr"}
HOSTILE = "\"'><script>alert(1)</script>&<img src=x onerror=alert(2)></svg></style>"


class Parsed(HTMLParser):
    """All elements with their attributes; complains of what is not well-formed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"{tag} has an attribute twice"
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.scripts.append(data)
        elif self._open and self._open[-1] != "style":
            self.text += data

    def having(self, key: str) -> dict[str, dict[str, str | None]]:
        return {str(a[key]): a for _, a in self.elements if key in a}


def drawn(record: Record) -> tuple[dict[str, Any], Parsed]:
    report = document(record)
    return report, Parsed(page.render(report))


@pytest.mark.parametrize("made", ALL)
def test_it_is_one_well_formed_page_that_asks_for_nothing_else(made: Any) -> None:
    report, parsed = drawn(made())
    text = page.render(report)
    assert text.startswith("<!DOCTYPE html>")
    attributes = {name for _, attrs in parsed.elements for name in attrs}
    assert not attributes & {"src", "href", "srcset", "data", "action", "background", "xlink:href"}
    assert not {tag for tag, _ in parsed.elements} & {"link", "img", "iframe", "object", "image"}
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "None" not in parsed.text
    assert "nan" not in text


@pytest.mark.parametrize("made", ALL)
def test_each_panel_has_a_picture_or_says_why_not(made: Any) -> None:
    report, parsed = drawn(made())
    wanted = {f"panel-{panel.key}" for panel in panels(report)} | {"panel-alerts", "panel-marks"}
    assert wanted <= set(parsed.having("id"))
    for panel in panels(report):
        assert bool(panel.why) != panel.drawn
        if panel.why:
            assert panel.why in parsed.text
        else:
            assert all(any(v is not None for v in line.values) for line in panel.lines)


@pytest.mark.parametrize("made", ALL)
def test_what_was_tested_and_how_it_ended_stands_first(made: Any) -> None:
    report, parsed = drawn(made())
    said = re.sub(r"\s+", " ", parsed.text)
    assert report["verdict"] in said[: said.index("Assertions")]
    for check in report["checks"]:
        for key in ("expected", "observed", "bound"):
            assert check[key] in said


def test_a_failure_is_told_in_the_first_sentences_and_heads_the_table() -> None:
    _, parsed = drawn(records.failed())
    said = re.sub(r"\s+", " ", parsed.text)
    head, rest = said.split("Assertions", 1)
    assert "“pods are added” of scale-out failed: expected 4 ready pods within 90 s" in head
    assert rest.index("pods are added") < rest.index("p95 is within the SLO")
    assert "AutoscalerCannotScale.md" in rest


@pytest.mark.parametrize("made", ALL)
def test_a_table_wider_than_a_telephone_scrolls_by_itself(made: Any) -> None:
    text = page.render(document(made()))
    assert text.count("<table ") == text.count('<div class="scroll"><table ')


def test_names_cannot_break_out() -> None:
    record, timeline = records.passed(), Timeline(records.passed().timeline)
    at = record.started + 40
    for name in (HOSTILE, "plain"):
        timeline.add("action", name, at=at, text=HOSTILE)
        timeline.add("alert", name, at=at, state="firing", labels={name: HOSTILE})
        timeline.add("notification", name, at=at, status=HOSTILE, labels={}, received_at=at)
        timeline.add("stage", name, at=at, phase="begin", rate=1)
        timeline.add("observer", name, at=at, state="lost", text=HOSTILE)
        timeline.add("metrics", "cpu", at=at, values={name: 0.5})
        timeline.add("event", name, at=at, kind=name, object=name, message=HOSTILE)
        timeline.add("hpa", "serving", at=at, metrics=[{"name": name, "value": 1, "target": 1}])
    hostile = dataclasses.replace(
        record,
        timeline=timeline,
        command=HOSTILE,
        environment={HOSTILE: HOSTILE, "group": {HOSTILE: HOSTILE}, "shortened": {"a": HOSTILE}},
        generator={HOSTILE: HOSTILE},
        scenarios=[
            Scenario(HOSTILE, HOSTILE, record.started, at, HOSTILE, {HOSTILE: 1.0}),
            *record.scenarios,
        ],
        checks=[Check(*[HOSTILE] * 5, "failed", HOSTILE)],
    )
    report = document(hostile)
    parsed = Parsed(page.render(report, [report, report]))
    assert [tag for tag, _ in parsed.elements].count("script") == 2
    assert len(parsed.scripts) == 2
    assert not [tag for tag, attrs in parsed.elements if tag == "img" or "onerror" in attrs]
    names = {line["name"] for lines in json.loads(parsed.scripts[0])["panels"].values()
             for line in lines}  # fmt: skip
    assert HOSTILE.rsplit("-", 1)[-1] in names


def test_lines_are_drawn_where_the_data_are() -> None:
    report, parsed = drawn(records.failed())
    expected = {
        "answered": report["series"]["load"]["achieved"],
        "target": report["series"]["load"]["asked"],
        "p50": report["series"]["latency"]["p50"],
        "p95": report["series"]["latency"]["p95"],
        "p99": report["series"]["latency"]["p99"],
        "desired": report["series"]["replicas"]["desired"],
        "ready": report["series"]["replicas"]["ready"],
        "generator": report["series"]["load"]["in_flight"],
        "failed": [value or None for value in report["series"]["load"]["failed"]],
        **{pod.rsplit("-", 1)[-1]: values for pod, values in report["series"]["cpu"].items()},
        "cpu": [v / t for v, t in zip(report["series"]["scaling"]["cpu"]["value"],
                                      report["series"]["scaling"]["cpu"]["target"], strict=True)],
    }  # fmt: skip
    found = series_of(parsed)
    assert set(expected) <= set(found)
    for name, values in expected.items():
        path, svg = found[name]
        assert len(values) == report["series"]["length"]
        seen = values_of(path, svg, len(values))
        for cell, (value, at) in enumerate(zip(values, seen, strict=True)):
            assert (value is None) == (at is None), (name, cell)
            if value is not None and at is not None:
                assert at == pytest.approx(value, abs=tolerance(svg, value)), (name, cell)


def test_limits_are_drawn_at_their_level() -> None:
    _, parsed = drawn(records.passed())
    svg: dict[str, str | None] = {}
    levels = {}
    for tag, attrs in parsed.elements:
        svg = attrs if tag == "svg" else svg
        if "data-limit" in attrs:
            y = float(str(attrs["d"]).split()[1].split("H")[0])
            levels[attrs["data-limit"]] = value_at(y, svg)
    assert levels["SLO 500 ms"] == pytest.approx(0.5, rel=0.02)
    assert levels["target"] == pytest.approx(1, rel=0.02)
    assert levels["max 4"] == pytest.approx(4, rel=0.02)


def test_without_a_slo_the_page_says_so() -> None:
    _, parsed = drawn(dataclasses.replace(records.passed(), slo_p95=None))
    assert "no SLO was given" in parsed.text


def test_labels_of_marks_do_not_lie_on_each_other() -> None:
    record = records.passed()
    timeline = Timeline(record.timeline)
    for n in range(60):
        timeline.add("action", f"action number {n}", at=record.started + 7 * n + n % 3, text="it")
    report = document(dataclasses.replace(record, timeline=timeline))
    for lanes in marks(report, axis(report)):
        room, boxes = LAYOUTS[lanes.layout], []
        for mark in lanes.marks:
            at = mark.left / 100 * room
            left = at + 11 - mark.width if mark.flipped else at - 11
            boxes.append((mark.lane, left, left + mark.width))
        assert len(boxes) == 64
        for n, (lane, left, right) in enumerate(boxes):
            assert right <= room + 11
            assert lane < lanes.count
            for other, left_too, right_too in boxes[:n]:
                assert lane != other or right <= left_too or left >= right_too


@pytest.mark.parametrize("made", ALL[:4])
def test_each_layout_has_the_label_of_each_mark(made: Any) -> None:
    report = document(made())
    labels = [event["label"] for event in report["events"] if event["marked"]]
    text = page.render(report)
    panel = text[text.index('id="panel-marks"') : text.index('<section id="scenarios">')]
    blocks = re.split(r'(?=<(?:div class="row|p class="labels) fit )', panel)
    for layout in LAYOUTS:
        shown = "".join(block for block in blocks if f' fit {layout}">' in block[:40])
        found = re.findall(r"<span>(?:<b[^>]*>\d+</b> )?([^<]+)</span>", shown)
        assert sorted(found) == sorted(labels), layout
    # Paper is as wide as the narrow layout.
    assert re.search(r"@media [^{]*\bprint \{ \.fit:not\(\.narrow\)", text)


@pytest.mark.parametrize("made", ALL)
@pytest.mark.parametrize(("layout", "room"), LAYOUTS.items())
def test_nothing_on_the_axis_is_cut_or_lies_on_its_neighbour(
    made: Any, layout: str, room: float
) -> None:
    report = document(made())
    on = axis(report)
    for one in [*scenarios(report, on), *stages(report, on)]:
        text = one.text if layout in one.fits.split() else str(one.number or "")
        if layout in one.fits.split() or text:
            assert (layout in one.fits.split()) != (layout in one.numbered.split())
        if layout in one.fits.split():
            assert len(text) * CHARACTER <= one.width / 100 * room
    shown = [(left, text) for left, text, fits in ticks(on) if layout in fits.split()]
    assert shown
    for (left, text), (right, _) in itertools.pairwise(shown):
        assert (right - left) / 100 * room >= len(text) * CHARACTER + 6


def test_a_name_too_long_for_the_end_of_its_line_is_in_the_legend() -> None:
    record = records.passed()
    timeline = Timeline(record.timeline)
    name = "http_requests_in_flight"
    for second in range(20):
        timeline.add("hpa", "serving", at=record.started + second,
                     metrics=[{"name": name, "value": 1, "target": 4}])  # fmt: skip
        for pod in range(6):
            timeline.add("metrics", "cpu", at=record.started + second,
                         values={f"serving-{n}": 0.5 for n in range(pod + 1)})  # fmt: skip
    report, parsed = drawn(dataclasses.replace(record, timeline=timeline))
    legends = {panel.key: [name for _, name in panel.legend()] for panel in panels(report)}
    assert legends["scaling"] == [name]
    assert {str(n) for n in range(6)} <= set(legends["cpu"])
    assert legends["latency"] == []
    assert name in parsed.text
    lines = next(panel.lines for panel in panels(report) if panel.key == "cpu")
    assert len({line.look for line in lines}) == len(lines)


def rows_of(text: str, section: str) -> list[list[str]]:
    part = text[text.index(f'<section id="{section}">') :]
    body = part[part.index("<tbody>") : part.index("</tbody>")]
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
        for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    ]


def test_there_is_a_table_by_endpoint_and_one_of_errors() -> None:
    report = document(records.failed())
    text = page.render(report)
    rows = rows_of(text, "endpoints")
    assert [row[0] for row in rows] == ["chat", "predict", "all"]
    for row, one in zip(rows, [*report["endpoints"], report["totals"]], strict=True):
        assert row[1:3] == [f"{one['requests']:,}", f"{one['failed']:,}"]
        assert row[4] == words.amount(one["requests_per_second"])
        assert row[5:] == [words.latency(one, name) for name in ("p50", "p90", "p95", "p99", "max")]
    errors = rows_of(text, "errors")
    assert [(row[0], row[1], row[3]) for row in errors] == [
        (one["kind"], one["endpoint"], f"{one['count']:,}") for one in report["errors"]
    ]
    assert {(row[0], row[6]) for row in errors} == {
        ("503 model_error", "alerts"), ("reset", "rollout"),
    }  # fmt: skip
    assert all(re.fullmatch(r"\d+:\d\d", row[4]) for row in errors)


def test_figures_name_the_time_that_they_are_taken_over() -> None:
    _, parsed = drawn(records.passed())
    said = re.sub(r"\s+", " ", parsed.text)
    sections = {name: said.split(name, 1)[1] for name in ("Scenarios", "Endpoints", "Errors")}
    assert "over the whole scenario, the last over the whole run" in sections["Scenarios"]
    assert "Over the whole run of 11 min 05 s" in sections["Endpoints"]
    assert "Over the whole run" in sections["Errors"]
    assert "percentiles of the last 5 s" in said
    assert "responses/s over 1 s" in said
    assert {name for name, _, _ in trend._NUMBERS[:2]} == {
        "p95 of the scenario", "requests/s of the scenario",
    }  # fmt: skip


def test_the_rate_that_was_to_be_sent_is_that_of_the_stages_everywhere() -> None:
    report = document(records.passed())
    cells = [row[1] for row in rows_of(page.render(report), "scenarios")]
    assert cells == ["8 to 12/s", "4 to 70/s", "15/s", "12/s", ""]
    text = json.dumps(report)
    assert "asked_per_second" not in text
    assert "sent_per_second" not in text


def test_labels_at_the_end_of_lines_are_spread_within_the_panel() -> None:
    assert spread([10, 50], 15, 100) == [10, 50]
    for places in ([0, 0, 0], [100, 100, 99], [40, 41, 42, 43], [0, 5, 95, 100]):
        found = spread(places, 15, 100)
        assert all(b - a > 14.5 for a, b in itertools.pairwise(found))
        assert found[0] >= 0
        assert found[-1] <= 100


def test_a_trend_needs_earlier_runs() -> None:
    earlier = [document(records.passed(records.STARTED - day * 86400)) for day in (3, 2, 1)]
    last = document(records.failed())
    assert "nothing to compare it with yet" in page.render(last)
    text = page.render(last, earlier)
    assert "nothing to compare it with yet" not in text
    assert re.findall(r'class="run (\w+)', text) == ["passed"] * 3 + ["failed"]


def test_a_trend_shows_each_run_and_says_what_is_missing() -> None:
    days = enumerate((1.0, 2.0, 3.0), 1)
    runs = [document(records.passed(records.STARTED + day * 86400, slower)) for day, slower in days]
    runs[1]["scenarios"] = runs[1]["scenarios"][1:]
    found = trend.small(runs[-1], runs)
    p95 = found["scale-out"][0]
    known = [run["scenarios"][-3]["latency"]["p95"] for run in runs]
    assert p95.now == words.duration(known[-1])
    assert p95.note == f"{words.duration(known[0])} to {words.duration(known[2])} in 3 runs"
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", drawn_line(p95))]
    levels = [(35 - y) / 30 * known[2] for y in heights]
    assert levels == pytest.approx(known, rel=0.01)
    # The second run had no baseline, so there is no line between the first and the third.
    baseline = found["baseline"][1]
    assert baseline.note == "the same in all 2 runs"
    assert re.findall(r"[ML]", drawn_line(baseline)) == ["M", "M"]
    assert (found["alerts"][0].now, found["alerts"][0].note) == ("", "none in any run")
    assert trend.small(runs[0], runs[:1])["baseline"][0].note == "nothing to compare with yet"


def drawn_line(one: trend.Small) -> str:
    return one.picture.split("line s1")[1].split("dots")[0]


def series_of(parsed: Parsed) -> dict[str, tuple[str, dict[str, str | None]]]:
    svg: dict[str, str | None] = {}
    found: dict[str, tuple[str, dict[str, str | None]]] = {}
    for tag, attrs in parsed.elements:
        svg = attrs if tag == "svg" else svg
        if "data-series" in attrs:
            found.setdefault(str(attrs["data-series"]), (str(attrs["d"]), svg))
    return found


def values_of(path: str, svg: dict[str, str | None], length: int) -> list[float | None]:
    """The value that a path has in each cell of the grid."""
    seen: list[float | None] = [None] * length
    x = y = 0.0
    for word, numbers in re.findall(r"([MLHVh])([-\d. ]+)", path):
        values = [float(number) for number in numbers.split()]
        if word in "ML":
            x, y = values
            if x % 1:
                seen[math.floor(x)] = value_at(y, svg)
        elif word == "H":
            for cell in range(int(x), int(values[0])):
                seen[cell] = value_at(y, svg)
            x = values[0]
        elif word == "V":
            y = values[0]
    return seen


def value_at(y: float, svg: dict[str, str | None]) -> float:
    low, high = float(str(svg["data-low"])), float(str(svg["data-high"]))
    share = 1 - y / float(str(svg["height"]))
    if svg["data-log"] == "1":
        return low * (high / low) ** share
    return low + (high - low) * share


def tolerance(svg: dict[str, str | None], value: float) -> float:
    # Paths are written to a hundredth of a pixel.
    if svg["data-log"] == "1":
        return 0.002 * value
    return 0.0002 * float(str(svg["data-high"]))
