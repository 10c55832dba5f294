"""What a scenario is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loadtests.checks import Check
from loadtests.loadtest import LoadTest


@dataclass(frozen=True)
class Scenario:
    """Something done under load, and what must be seen of it.

    ``run`` does it, puts everything back also when it is interrupted, and judges what was seen.
    """

    name: str
    title: str
    # One sentence for somebody who was not there.
    description: str
    run: Callable[[LoadTest], list[Check]]
    # Whether it must see into the cluster, or asks the service alone.
    needs_cluster: bool = True
