"""Histograms that are counted in batches: to a scraper they are the library's."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import choose_encoder

from service.tallies import Tallies

BOUNDS = (0.001, 0.25, 1.0, 2.5)


def made(kind: Callable[..., Any]) -> tuple[Any, CollectorRegistry]:
    registry = CollectorRegistry()
    return kind("seconds", "How long.", ["model"], buckets=BOUNDS, registry=registry), registry


def count(registry: CollectorRegistry) -> float:
    found = registry.get_sample_value("seconds_count", {"model": "digits"})
    assert found is not None
    return found


def shown(registry: CollectorRegistry) -> str:
    encode, _ = choose_encoder("application/openmetrics-text;version=1.0.0")
    lines = encode(registry).decode().splitlines()
    # When each series began is not exported by the service.
    return "\n".join(line for line in lines if "_created" not in line)


@pytest.mark.parametrize("count", [0, 1, 511, 512, 3000])
def test_a_scraper_sees_what_the_librarys_histogram_would_show(count: int) -> None:
    # Of 64ths the sum is the same in any order.
    values = (np.random.default_rng(count).integers(0, 200, count) / 64).tolist()
    texts = []
    for kind in (Tallies, Histogram):
        histogram, registry = made(kind)
        series = histogram.labels("digits")
        # Values on a bound belong to its bucket.
        for value in (*values, *BOUNDS, 0.0, 99.0):
            series.observe(value)
        histogram.labels("text").observe(0.5)
        histogram.labels("gone")
        histogram.remove("gone")
        texts.append(shown(registry))
    assert texts[0] == texts[1]


def test_an_exemplar_stands_at_the_bucket_of_its_value() -> None:
    histogram, registry = made(Tallies)
    series = histogram.labels("digits")
    series.observe(0.25)
    series.example(0.25, {"trace_id": "abc"}, 17.5)
    (line,) = [line for line in shown(registry).splitlines() if "abc" in line]
    assert line == 'seconds_bucket{le="0.25",model="digits"} 1.0 # {trace_id="abc"} 0.25 17.5'


def test_values_that_nobody_scrapes_take_no_more_memory() -> None:
    histogram, registry = made(Tallies)
    series = histogram.labels("digits")
    for _ in range(10_000):
        series.observe(1.0)
    assert len(series._waiting) < 1_000
    assert count(registry) == 10_000


def test_nothing_is_lost_while_scrapes_count() -> None:
    # Threads take turns as often as they can, and the series is never left alone.
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    histogram, registry = made(Tallies)
    series, over = histogram.labels("digits"), threading.Event()
    seen: list[float] = []

    def scrape() -> None:
        while not over.is_set():
            seen.append(count(registry))

    thread = threading.Thread(target=scrape)
    thread.start()
    observed = 0
    while len(seen) < 5_000:
        series.observe(1.0)
        observed += 1
    over.set()
    thread.join()
    sys.setswitchinterval(before)
    assert count(registry) == observed
    assert registry.get_sample_value("seconds_sum", {"model": "digits"}) == observed
    assert seen == sorted(seen)


def test_a_second_metric_of_the_name_is_refused() -> None:
    _, registry = made(Tallies)
    with pytest.raises(ValueError, match="Duplicated"):
        Histogram("seconds", "Again.", registry=registry)
