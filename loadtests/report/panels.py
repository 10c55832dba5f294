"""Which charts the page has, from a report."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.report import scales, words
from loadtests.report.document import Document
from loadtests.report.plot import Limit, Line, Panel
from loadtests.report.series import WINDOW_SECONDS, Column

_MOST_LABELS = 4
_COLORS = 5


def panels(report: Document) -> list[Panel]:
    """All of them in the order of the page; those without data say why."""
    return [
        _requests(report),
        _latency(report),
        _replicas(report),
        _scaling(report),
        _cpu(report),
        _in_flight(report),
    ]


def _known(*columns: Column) -> list[float]:
    return [value for column in columns for value in column if value is not None]


def _requests(report: Document) -> Panel:
    load = report["series"]["load"]
    title = "Requests per second"
    if not any(_known(load["achieved"], load["asked"])):
        return Panel("requests", title, why="No request was sent.")
    lines = [Line("answered", load["achieved"], "s1")]
    # Users who wait for their answers are asked for no rate.
    if any(_known(load["asked"])):
        asked = [value or None for value in load["asked"]]
        lines.insert(0, Line("target", asked, "muted dashed", stepped=True))
    for name, look in (("failed", "bad"), ("wrong", "s4")):
        if any(_known(load[name])):
            # Where none failed there is no line: one along the bottom would look like some.
            some = [value or None for value in load[name]]
            lines.append(Line(name, some, look, stepped=True, filled=True))
    lines = [line for line in lines if _known(line.values)]
    bad = [name for name in ("failed", "wrong") if any(_known(load[name]))]
    note = "what the generator was to send, and what was answered"
    if len(lines) == 1 or lines[0].name != "target":
        note = "what was answered; users were to send one request after another, at no set rate"
    if not bad:
        note += "; none failed, none was wrong"
    scale = scales.linear(max(_known(*(line.values for line in lines))))
    return Panel("requests", title, note, lines, scale=scale,
                 written=lambda v: f"{words.amount(v)}/s" if v else "0")  # fmt: skip


def _latency(report: Document) -> Panel:
    latency, slo = report["series"]["latency"], report["slo_p95"]
    if not _known(*latency.values()):
        return Panel("latency", "Latency", why="No request was sent, so none has a latency.")
    lines = [
        Line("p99", latency["p99"], "s4 thin"),
        Line("p95", latency["p95"], "s1"),
        Line("p50", latency["p50"], "s3 thin"),
    ]
    limits = [Limit(f"SLO {words.duration(slo)}", slo)] if slo else []
    scale = scales.of_latency([line.values for line in lines], [limit.value for limit in limits])
    note = f"percentiles of the last {max(WINDOW_SECONDS, report['series']['step'])} s"
    note += ", logarithmic" if scale.log else ""
    note += "" if slo else "; no SLO was given"
    if any(_known(report["series"]["load"]["failed"])):
        note += "; failed requests count as never answered"
    return Panel("latency", "Latency", note, lines, limits, scale, scales.in_one_unit(scale),
                 read=words.duration)  # fmt: skip


def _replicas(report: Document) -> Panel:
    found = report["series"]["replicas"]
    name = report["series"]["deployment"]
    if not _known(found["desired"], found["ready"]):
        return Panel("replicas", "Pods", why="Nothing was seen of a Deployment or its autoscaler.")
    lines = [
        Line("desired", found["desired"], "s2", stepped=True),
        Line("ready", found["ready"], "s3", stepped=True, filled=True),
    ]
    limits = []
    for key, word in (("maximum", "max"), ("minimum", "min")):
        levels = set(_known(found[key]))
        if len(levels) == 1:
            limits.append(Limit(f"{word} {words.amount(levels.copy().pop())}", levels.pop()))
        elif levels:
            lines.append(Line(key, found[key], "muted dashed", stepped=True))
    lines = [line for line in lines if _known(line.values)]
    top = max([*_known(*(line.values for line in lines)), *(limit.value for limit in limits)])
    scale = scales.linear(top + 0.5, most=6, whole=True)
    return Panel("replicas", "Pods", f"of Deployment {name}", lines, limits, scale, words.amount,
                 height=110)  # fmt: skip


def _scaling(report: Document) -> Panel:
    title, found = "What it scales on", report["series"]["scaling"]
    lines = []
    for n, (name, one) in enumerate(found.items()):
        shares: Column = [
            None if value is None or not target else round(value / target, 4)
            for value, target in zip(one["value"], one["target"], strict=True)
        ]
        if _known(shares):
            lines.append(Line(name, shares, f"s{n % _COLORS + 1}", stepped=True))
    if not lines:
        why = "The autoscaler never reported a value together with its target."
        if not found:
            why = "No autoscaler was seen, so it followed no metric."
        return Panel("scaling", title, why=why)
    top = max(1.0, *_known(*(line.values for line in lines)))
    note = "each metric as a share of its target; above 100 % the autoscaler adds pods"
    return Panel("scaling", title, note, lines, [Limit("target", 1.0)], scales.linear(top),
                 lambda v: f"{v * 100:,.0f} %", height=110)  # fmt: skip


def _cpu(report: Document) -> Panel:
    found = report["series"]["cpu"]
    lines = _by_pod(found, "all pods")
    if not lines:
        return Panel("cpu", "CPU per pod", why="No reading of CPU by pod was taken.")
    note = "cores; a line for each pod, by the end of its name" if len(lines) > 1 else "cores"
    return Panel("cpu", "CPU per pod", note, lines,
                 scale=scales.linear(max(_known(*(line.values for line in lines)))),
                 written=words.amount, height=110)  # fmt: skip


def _in_flight(report: Document) -> Panel:
    title = "Requests in flight"
    sent = report["series"]["load"]["in_flight"]
    served = _added(list(report["series"]["in_flight"].values()), len(sent))
    lines = [Line("generator", sent, "s1"), Line("service", served, "s2", stepped=True)]
    lines = [line for line in lines if _known(line.values)]
    if not lines:
        why = "Neither the generator nor the service told how many were under way."
        return Panel("in-flight", title, why=why)
    note = "sent and not answered yet, as the generator and as all pods together count them"
    top = max(_known(*(line.values for line in lines)))
    return Panel("in-flight", title, note, lines, scale=scales.linear(top, whole=True),
                 written=words.amount, height=110)  # fmt: skip


def _by_pod(found: dict[str, Column], alone: str) -> list[Line]:
    shown = {pod: values for pod, values in found.items() if _known(values)}
    few = len(shown) <= _MOST_LABELS
    return [
        Line(pod.rsplit("-", 1)[-1] or alone, values, _look(n), labelled=few)
        for n, (pod, values) in enumerate(shown.items())
    ]


def _look(n: int) -> str:
    return f"s{n % _COLORS + 1} thin" + (" dashed" if n // _COLORS % 2 else "")


def _added(columns: Sequence[Column], length: int) -> Column:
    cells = [_known(list(column)) for column in zip(*columns, strict=True)] or [[]] * length
    return [sum(cell) if cell else None for cell in cells]
