from __future__ import annotations

import subprocess
from pathlib import Path

import mutate
import pytest
import yaml

from kindling.errors import KindlingError
from kindling.rules import running_waits, shortened, waits

SERVING = (mutate.RULES / "serving.yml").read_text()
# Half of the requests fail; with 5m / 60, but no less than 20s, for window and `for`.
TEST = """
rule_files: [rules.yml]
evaluation_interval: 5s
tests:
  - interval: 5s
    input_series:
      - {series: 'llm_requests_total{model="digits", status="200"}', values: 0+50x60}
      - {series: 'llm_requests_total{model="digits", status="500"}', values: 0+50x60}
    promql_expr_test:
      - eval_time: 20s
        expr: &firing count(ALERTS{alertname="HighErrorRate", alertstate="firing"})
      - eval_time: 25s
        expr: *firing
        exp_samples: [{labels: '{}', value: 1}]
"""


def one_rule(expr: str, **more: str) -> str:
    return yaml.safe_dump(
        {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": expr, **more}]}]}
    )


def of(text: str) -> dict[str, str]:
    rule: dict[str, str] = yaml.safe_load(text)["groups"][0]["rules"][0]
    return rule


def test_an_alert_with_shorter_waits_fires_at_the_shorter_time(
    promtool: Path, tmp_path: Path
) -> None:
    (tmp_path / "rules.yml").write_text(shortened(SERVING, 60, floor=20))
    (tmp_path / "test.yml").write_text(TEST)
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "test.yml"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", sorted(mutate.RULES.glob("*.yml")), ids=lambda file: file.stem)
def test_every_rule_file_is_valid_with_shorter_waits(
    file: Path, promtool: Path, tmp_path: Path
) -> None:
    made = tmp_path / file.name
    made.write_text(shortened(file.read_text(), 20, floor=20))
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", made],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_waits_windows_and_offsets_become_shorter() -> None:
    rule = of(shortened(
        one_rule("rate(a[5m]) + max_over_time(b[1h:1m]) + sum_over_time(c[2d:]) + d offset 1h30m",
                 **{"for": "10m", "keep_firing_for": "3m"}), 10, floor=1,
    ))  # fmt: skip
    assert rule["expr"] == (
        "rate(a[30s]) + max_over_time(b[360s:6s]) + sum_over_time(c[17280s:]) + d offset 540s"
    )
    assert (rule["for"], rule["keep_firing_for"]) == ("60s", "18s")


def test_nothing_becomes_shorter_than_the_floor_or_longer_than_it_was() -> None:
    rule = of(shortened(one_rule("rate(a[5m]) + rate(b[15s])", **{"for": "0s"}), 100, floor=20))
    assert (rule["expr"], rule["for"]) == ("rate(a[20s]) + rate(b[15s])", "0s")


def test_a_part_of_a_second_is_written_in_milliseconds() -> None:
    assert of(shortened(one_rule("rate(a[5m])"), 200, floor=1))["expr"] == "rate(a[1500ms])"


def test_strings_thresholds_names_and_words_stay() -> None:
    expr = 'level:a:rate5m{path="x[5m]"} > 300 and predict_linear(b[20s], 3600) < 5'
    assert of(shortened(one_rule(expr), 60, floor=20))["expr"] == expr


def test_only_waits_differ_in_the_rules_of_the_chart() -> None:
    for file in mutate.RULES.glob("*.yml"):
        before, after = (
            [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
            for text in (file.read_text(), shortened(file.read_text(), 20, floor=20))
        )
        assert [set(rule) for rule in before] == [set(rule) for rule in after]
        for was, now in zip(before, after, strict=True):
            for key in set(was) - {"expr", "for"}:
                assert was[key] == now[key]


def test_waits_in_files_are_compared_with_those_that_prometheus_has(tmp_path: Path) -> None:
    whole = one_rule("a", **{"for": "1m30s"})
    running = [
        {
            "name": "g",
            "rules": [
                {"type": "alerting", "name": "A", "duration": 90},
                {"type": "recording", "name": "r:a:sum"},
            ],
        }
    ]
    assert waits([whole]) == running_waits(running) == ["A: 90 s"]
    assert waits([shortened(whole, 10, floor=1)]) == ["A: 9 s"]
    assert waits([one_rule("a"), whole]) == ["A: 0 s", "A: 90 s"]


def test_every_shortened_file_waits_otherwise_than_before() -> None:
    texts = [file.read_text() for file in mutate.RULES.glob("*.yml")]
    assert waits(texts) != waits(shortened(text, 10, floor=20) for text in texts)


@pytest.mark.parametrize("text", ["", "groups: 1", "groups: [{name: a}]"])
def test_what_is_no_rule_file_is_refused(text: str) -> None:
    with pytest.raises(KindlingError, match="no file of Prometheus rules"):
        shortened(text, 2, floor=1)


@pytest.mark.parametrize(("factor", "floor"), [(0, 1), (-1, 1), (2, 0)])
def test_a_factor_or_floor_of_nothing_is_refused(factor: float, floor: float) -> None:
    with pytest.raises(KindlingError, match="above zero"):
        shortened(SERVING, factor, floor=floor)
