"""The benchmark of being observed: what it compares, and that it runs."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from kindling import bench_observability, paths


def test_the_ratio_is_that_of_turns_that_stood_beside_each_other() -> None:
    # The machine is slow in the second half, for both.
    on, off = [900, 900, 90, 90], [1000, 1000, 100, 100]
    assert bench_observability.ratio_of(on, off) == pytest.approx(0.9)
    # Whoever comes first has the better part of a machine that becomes slower.
    assert bench_observability.ratio_of([1000, 700], [900, 800]) == pytest.approx(1.0)


def test_it_drives_both_and_says_what_is_left() -> None:
    words = [
        "-m",
        "kindling.bench_observability",
        "--starts=1",
        "--turns=2",
        "--seconds=0.3",
        "--connections=2",
    ]
    done = subprocess.run(
        [sys.executable, *words], cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=600
    )
    assert done.stderr == ""
    # So short a measurement may well fall short.
    assert done.returncode in (0, 1)
    assert re.search(r"^on +\d+ requests/s", done.stdout, re.MULTILINE)
    assert re.search(
        r"^[1-9]\d* and [1-9]\d* spans were sent, none lost$", done.stdout, re.MULTILINE
    )
    assert re.search(r"^unbound/off \d+\.\d{3}, for comparison$", done.stdout, re.MULTILINE)
    assert re.search(r"^on/off \d+\.\d{3}, at least 0\.90 wanted$", done.stdout, re.MULTILINE)
