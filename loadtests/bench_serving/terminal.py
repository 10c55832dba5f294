"""What was measured, as tables for a terminal or a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from kindling.table import table
from loadtests.bench_serving.figures import CONCURRENCIES, JUDGED, Figures, Limit, rate_ratio
from loadtests.bench_serving.models import TITLES
from loadtests.bench_serving.peers import OURS, PEERS
from loadtests.report import words

_BUSY_GENERATOR = 0.9
COLUMNS = ("server", "at once", "requests/s", "ours / it", "p50", "p99", "memory", "first answer")


def show(
    console: Console, model: str, measured: Mapping[str, Figures], limits: Sequence[Limit]
) -> None:
    """Print the figures of one model, and each limit with whether it holds."""
    console.print(f"\n{TITLES[model]}", style="bold")
    console.print(table(COLUMNS, rows(measured)))
    for line in remarks(measured):
        console.print(line, markup=False)
    console.print()
    verdicts = {True: "held", False: "MISSED", None: "not judged"}
    console.print(
        table(
            ("limit, at 16 requests at once", "wanted", "found", ""),
            [(one.what, one.wanted, one.found, verdicts[one.held]) for one in limits],
        )
    )


def rows(measured: Mapping[str, Figures]) -> list[tuple[str, ...]]:
    """A row for each concurrency of each server that is ranked, the fastest of each first."""
    ours = measured[OURS]
    found: list[tuple[str, ...]] = []
    ranked = [one for one in measured.values() if one.ranked]
    for concurrency in CONCURRENCIES:
        for one in sorted(ranked, key=lambda one: -one.rate(concurrency)):
            beside = f"{rate_ratio(ours, one, concurrency):.2f}" if ours.ranked else words.DASH
            found.append(
                (
                    PEERS[one.name].title, str(concurrency), words.amount(one.rate(concurrency)),
                    words.DASH if one is ours else beside,
                    words.duration(one.p50(concurrency)), words.duration(one.p99(concurrency)),
                    f"{one.memory:.0f} MB", words.duration(one.first_answer),
                )
            )  # fmt: skip
    return found


def remarks(measured: Mapping[str, Figures]) -> list[str]:
    """What a reader must know of these figures: who is missing, and whether the load kept up."""
    found = [f"not ranked: {one.name}: {one.wrong}" for one in measured.values() if one.wrong]
    busiest, name = max(
        (
            (one.median(concurrency, lambda turn: turn.generator), one.name)
            for one in measured.values() if one.ranked for concurrency in CONCURRENCIES
        ),
        default=(0.0, ""),
    )  # fmt: skip
    if name:
        found.append(f"the load took at most {busiest:.0%} of a core of its own, beside {name}")
    if busiest > _BUSY_GENERATOR:
        found.append("so what was measured there may be what the load can send")
    return found


def setups(names: Sequence[str]) -> list[str]:
    """How each server is set up."""
    return [f"{PEERS[name].title}: {PEERS[name].about}" for name in names]


def latency_words() -> str:
    """What the latencies are, for whoever compares them with others."""
    return (
        f"Each of 1, {JUDGED} and 64 connections sends its next request when it has its answer;"
        " medians over rounds."
    )
