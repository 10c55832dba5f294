"""Alters the rules one number at a time and runs the alerts' promtool tests on each alteration.

Every alteration must make a test fail; those that do not are printed, and the exit code is 1.
Run as ``python tests/rules/mutate.py --promtool PATH [ALERT…]``.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "charts/prometheus/rules"

Rule = dict[str, Any]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_TOKEN = re.compile(
    r"""(?P<skip>vector\(1\)|[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<matchers>\{[^}]*\})
      | (?P<duration>\d+(?:ms|[smhdwy]))
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<comparison>[<>]=?|[=!]=)""",
    re.VERBOSE,
)
_MATCHER = re.compile(r'\w+(?:=~|!~|!=|=)"[^"]*"')
# Next to a quotient of fractions, < and <= differ by nothing that a measurement shows.
_QUOTIENT = re.compile(r"/ \d+\.\d+ $")
# Files that one promtool is given: its start takes longer than most of them.
_AT_ONCE = 20
_OTHER = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}


@dataclass(frozen=True)
class Mutant:
    """A rule with one alteration; ``tests`` are the alerts whose tests may notice it."""

    rule: str
    change: str
    rules: list[Rule]
    tests: tuple[str, ...]


def load() -> list[Rule]:
    """All rules of the chart, in order."""
    documents = [yaml.safe_load(file.read_text()) for file in sorted(RULES.glob("*.yml"))]
    return [
        rule for document in documents for group in document["groups"] for rule in group["rules"]
    ]


def alterations(text: str) -> Iterator[tuple[str, str]]:
    """(what is altered, altered text) for each number, window, comparison and matcher of PromQL."""
    for token in _TOKEN.finditer(text):
        for place, old, new in _others(token):
            yield (
                f"{old} -> {new} in …{_around(text, place)}…",
                text[:place] + new + text[place + len(old) :],
            )


def _others(token: re.Match[str]) -> Iterator[tuple[int, str, str]]:
    place, old = token.start(), token.group()
    if token["number"]:
        zero = float(old) == 0
        for new in ("-1", "2") if zero else (f"{float(old) * 0.5:g}", f"{float(old) * 1.5:g}"):
            yield place, old, new
    elif token["duration"]:
        for new in _scaled(old):
            yield place, old, new
    elif token["comparison"] and not _QUOTIENT.search(token.string[: token.start()]):
        yield place, old, _OTHER[old]
    elif token["matchers"]:
        for matcher in _MATCHER.finditer(old):
            yield place + matcher.start(), matcher.group(), 'none=""'


def _scaled(duration: str) -> tuple[str, str]:
    number, unit = re.fullmatch(r"(\d+)(\w+)", duration).groups()  # type: ignore[union-attr]
    seconds = int(number) * _UNITS[unit]
    return f"{seconds * 0.5:.0f}s", f"{seconds * 1.5:.0f}s"


def _around(text: str, place: int) -> str:
    return re.sub(r"\s+", " ", text[max(0, place - 40) : place + 24])


def mutants(rules: list[Rule]) -> Iterator[Mutant]:
    """Every alteration of every rule, with the few rules that its tests need."""
    named = tests_of(rules)
    needed = {test: _needed(rules, index) for index, test in named.items()}
    for index, rule in enumerate(rules):
        tests = tuple(test for test in needed if index in needed[test])
        for change, altered in _altered(rule):
            wanted = sorted(set().union(*(needed[test] for test in tests)))
            yield Mutant(
                named.get(index) or rule["record"],
                change,
                [altered if number == index else rules[number] for number in wanted],
                tests,
            )


def tests_of(rules: list[Rule]) -> dict[int, str]:
    """The name of the test of each alert, and of each record that no alert needs, by its place.

    That is the alert's own or, where several have it, with the value of their own label appended;
    a record's is that of its metric.
    """
    names = [rule.get("alert") for rule in rules]
    alerts = {
        index: name if names.count(name) == 1 else f"{name}.{_own_label(rules[index])}"
        for index, name in enumerate(names)
        if name
    }
    needed = set().union(*(_needed(rules, index) for index in alerts))
    alone = set(range(len(rules))) - needed
    return alerts | {index: rules[index]["record"].split(":")[1] for index in sorted(alone)}


def _own_label(rule: Rule) -> str:
    return next(str(value) for label, value in rule["labels"].items() if label != "severity")


def _altered(rule: Rule) -> Iterator[tuple[str, Rule]]:
    for change, expr in alterations(rule["expr"]):
        yield change, copy.deepcopy(rule) | {"expr": expr}
    for key in ("for", "keep_firing_for"):
        for new in _scaled(rule[key]) if key in rule else ():
            yield f"{key}: {rule[key]} -> {new}", copy.deepcopy(rule) | {key: new}


def _needed(rules: list[Rule], alert: int) -> set[int]:
    found = {alert}
    while True:
        names = set().union(*(re.findall(r"[a-zA-Z_:]\w*[\w:]*", rules[i]["expr"]) for i in found))
        more = {index for index, rule in enumerate(rules) if rule.get("record") in names}
        if more <= found:
            return found
        found |= more


def unmutated(rules: list[Rule]) -> Iterator[Mutant]:
    """Each alert's test with the rules as they are: all of these must survive."""
    for index, test in tests_of(rules).items():
        wanted = [rules[number] for number in sorted(_needed(rules, index))]
        yield Mutant(test, "nothing", wanted, (test,))


def surviving(promtool: Path, made: Sequence[Mutant], processes: int = 2) -> list[Mutant]:
    """Those of ``made`` that no test notices."""
    alive = dict(enumerate(made))
    cases = [[case for test in mutant.tests for case in _cases(test)] for mutant in made]
    # One case after another: the first ones notice most alterations.
    for place in range(max(map(len, cases), default=0)):
        asked = [number for number in alive if place < len(cases[number])]
        batches = [asked[at : at + _AT_ONCE] for at in range(0, len(asked), _AT_ONCE)]
        given = [
            [(made[number].rules, cases[number][place]) for number in batch] for batch in batches
        ]
        with ThreadPoolExecutor(processes) as pool:
            answers = pool.map(functools.partial(passes, promtool), given)
            passed = [one for answer in answers for one in answer]
        for number, one in zip(asked, passed, strict=True):
            if not one:
                del alive[number]
    return list(alive.values())


@functools.cache
def _cases(test: str) -> list[dict[str, Any]]:
    """The cases of a test file, each as a file of its own."""
    document = yaml.safe_load((HERE / f"{test}.test.yml").read_text())
    return [document | {"rule_files": ["rules.yml"], "tests": [case]} for case in document["tests"]]


def passes(promtool: Path, given: Sequence[tuple[list[Rule], dict[str, Any]]]) -> list[bool]:
    """Whether each of some test files passes with its rules; one promtool runs them all.

    Raises ValueError where the rules are not valid: that is no answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(number), "test.yml") for number in range(len(given))]
        for file, (rules, test) in zip(files, given, strict=True):
            file.parent.mkdir()
            # JSON is YAML too, and quickly written.
            group = {"name": "altered", "rules": rules}
            file.with_name("rules.yml").write_text(json.dumps({"groups": [group]}))
            file.write_text(json.dumps(test))
        report = Path(folder, "report.xml")
        done = subprocess.run(
            [promtool, "test", f"--junit={report}", "rules", *files],
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        said = done.stdout + done.stderr
        if done.returncode and "parse" in said:
            raise ValueError(said)
        suites = {suite.get("name"): suite for suite in ElementTree.parse(report).getroot()}
    found = [suites[str(file)] for file in files]
    return [suite.get("failures") == suite.get("errors") == "0" for suite in found]


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--promtool", type=Path, required=True)
    parser.add_argument("alerts", nargs="*", help="only what these use")
    options = parser.parse_args()
    began = time.monotonic()

    def wanted(mutant: Mutant) -> bool:
        tests = {test.split(".")[0] for test in mutant.tests}
        return not options.alerts or bool(tests & {*options.alerts})

    whole = [each for each in unmutated(load()) if wanted(each)]
    passing = {each.rule for each in surviving(options.promtool, whole)}
    if failing := sorted({each.rule for each in whole} - passing):
        print("tests that fail before anything is altered:", *failing)
        return 1
    made = [each for each in mutants(load()) if wanted(each)]
    alive = surviving(options.promtool, made)
    for mutant in alive:
        print(f"{mutant.rule:42} {mutant.change}")
    seconds = time.monotonic() - began
    print(f"{len(made)} mutants, {len(made) - len(alive)} killed, in {seconds:.0f} s")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
