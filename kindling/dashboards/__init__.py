"""Dashboards as code: the one source in ``dashboards/``, and what Grafana and the viewer get of it.

Command: ``python -m kindling.dashboards write [--check]``.
"""

from kindling.dashboards.queries import Asked, queries
from kindling.dashboards.source import Dashboard, load, load_all

__all__ = ["Asked", "Dashboard", "load", "load_all", "queries"]
