"""junit.xml: a suite for each scenario, a case for each check."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from loadtests.report.document import Document

# XML 1.0 has no way to write these at all.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {"failed": "failure", "invalid": "error", "skipped": "skipped"}
_COUNTS = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def render(report: Document) -> str:
    """The file's text, in the form that GitHub, GitLab and Jenkins take."""
    root = ElementTree.Element("testsuites", name="loadtest")
    known = {one["name"]: one for one in report["scenarios"]}
    names = dict.fromkeys([*known, *(check["scenario"] for check in report["checks"])])
    for name in names:
        _suite(root, name, known.get(name), report)
    if report["verdict"] == "interrupted":
        _whole(root, report, "the run was interrupted", "What it had not checked is unknown.")
    elif not any(check["status"] != "skipped" for check in report["checks"]):
        _whole(root, report, "nothing was checked", "A run without checks says nothing.")
    for attribute in ("tests", "failures", "errors", "skipped"):
        total = sum(int(suite.get(attribute, 0)) for suite in root)
        root.set(attribute, str(total))
    root.set("time", f"{report['ended'] - report['started']:.3f}")
    root.set("timestamp", _stamp(report["started"]))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _suite(
    root: ElementTree.Element, name: str, scenario: dict[str, Any] | None, report: Document
) -> None:
    begin = scenario["begin"] if scenario else report["started"]
    seconds = scenario["end"] - scenario["begin"] if scenario else 0.0
    suite = _element(root, "testsuite", name=name, time=f"{seconds:.3f}", timestamp=_stamp(begin))
    properties = _element(suite, "properties")
    for key, value in _properties(scenario, report).items():
        _element(properties, "property", name=key, value=str(value))
    for check in report["checks"]:
        if check["scenario"] == name:
            _case(suite, check)
    if scenario:
        _element(suite, "system-out").text = _clean(
            f"{scenario['title']}: {scenario['description']}"
        )
    _count(suite)


def _properties(scenario: dict[str, Any] | None, report: Document) -> dict[str, Any]:
    found = {
        f"{group}.{key}": value
        for group, facts in report["environment"].items()
        for key, value in facts.items()
    }
    if scenario:
        for key in ("requests", "failed", "wrong", "requests_per_second"):
            found[key] = scenario[key]
        found |= {f"latency.{key}": value for key, value in scenario["latency"].items()}
        found |= scenario["numbers"]
    return {key: value for key, value in found.items() if value is not None}


def _case(suite: ElementTree.Element, check: dict[str, str]) -> None:
    case = _element(
        suite, "testcase", name=check["name"], classname=f"loadtest.{check['scenario']}", time="0"
    )
    tag = _TAGS.get(check["status"])
    if tag is None:
        return
    message = f"expected {check['expected']}, observed {check['observed']}"
    if tag == "skipped":
        message = check["hint"] or check["observed"] or "skipped"
    made = _element(case, tag, message=message)
    if tag != "skipped":
        made.set("type", check["status"])
    made.text = _clean(
        "\n".join(f"{key}: {check[key]}" for key in ("expected", "observed", "bound", "hint")
                  if check[key])
    )  # fmt: skip


def _whole(root: ElementTree.Element, report: Document, message: str, text: str) -> None:
    stamp = _stamp(report["started"])
    suite = _element(root, "testsuite", name="loadtest", time="0", timestamp=stamp)
    case = _element(suite, "testcase", name="the whole run", classname="loadtest", time="0")
    _element(case, "error", message=message, type="invalid").text = text
    _count(suite)


def _count(suite: ElementTree.Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for tag, attribute in _COUNTS.items():
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))


def _element(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    cleaned = {key: _clean(value) for key, value in attributes.items()}
    return ElementTree.SubElement(parent, tag, cleaned)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
