"""``alerts``: what pends and fires now, and which notifications arrived lately.

``--json`` prints one object: ``alerts`` as Prometheus' API gives them, ``notifications`` as the
receiver in the cluster kept them.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from kindling import cluster, cluster_setup, settings
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.prometheus import Prometheus
from kindling.table import console, table

# The path of what it keeps, at the API server.
RECEIVER = "/api/v1/namespaces/kindling/services/prometheus-alert-receiver:http/proxy/notifications"
_SHOWN = 10
_STYLES = {"firing": "red", "pending": "yellow"}
# It fires always, so that its absence tells.
WATCHDOG = "Watchdog"


def ask_prometheus(port: int) -> list[dict[str, Any]]:
    """The alerts that pend or fire. Raises KindlingError where Prometheus does not answer."""
    return Prometheus(f"http://127.0.0.1:{port}", seconds=5).alerts()


def ask_receiver(kubectl: Kubectl, **query: str) -> list[dict[str, Any]] | None:
    """What was notified, the oldest first; None where no receiver of ours answers.

    ``query`` narrows it: alertname, status, since (a time as in RFC 3339).
    """
    done = kubectl.run("get", f"--raw={RECEIVER}?{urllib.parse.urlencode(query)}", timeout=10)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["notifications"]
    except (ValueError, KeyError, TypeError):
        return None
    return found


def main(
    argv: Sequence[str] | None = None,
    *,
    prometheus: Callable[[int], list[dict[str, Any]]] = ask_prometheus,
    receiver: Callable[[Kubectl], list[dict[str, Any]] | None] = ask_receiver,
) -> int:
    """Print them. Returns 0 when nothing but the watchdog fires, 3 when something does, else 1."""
    parser = argparse.ArgumentParser(
        prog="nox -s alerts --",
        description=(__doc__ or "").partition("\n")[0],
        allow_abbrev=False,
    )
    settings.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(argv)
    try:
        known = cluster.known(settings.load(options.inventory, options.set).cluster_name)
        if "prometheus" not in known["ports"]:
            raise KindlingError("the cluster has no Prometheus", next_step="nox -s cluster-up")
        alerts = prometheus(known["ports"]["prometheus"])
        notifications = receiver(cluster_setup.kubectl(known))
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"alerts": alerts, "notifications": notifications}, indent=2))
    else:
        _show(alerts, notifications)
    wrong = [one for one in alerts if one["state"] == "firing" and _name(one) != WATCHDOG]
    return 3 if wrong else 0


def _show(
    alerts: Sequence[Mapping[str, Any]], notifications: Sequence[Mapping[str, Any]] | None
) -> None:
    out = console()
    shown = sorted(alerts, key=lambda one: (one["state"] != "firing", _name(one)))
    rows = [
        [
            Text(one["state"], style=_STYLES.get(one["state"], "")), _name(one),
            one["labels"].get("severity", ""), _time(one["activeAt"]),
            one["annotations"].get("summary", ""),
        ]
        for one in shown
    ]  # fmt: skip
    if rows:
        out.print(table(("state", "alert", "severity", "since", "summary"), rows))
    if not any(_name(one) == WATCHDOG for one in alerts):
        out.print(f"\n{WATCHDOG} does not fire: rules are not evaluated, or not yet", markup=False)
    elif len(alerts) == 1:
        out.print(f"\nonly {WATCHDOG}, which always does: all is well", markup=False)
    if notifications is None:
        out.print("\nno receiver of notifications answers in the cluster", markup=False)
        return
    out.print(f"\nlast of {len(notifications)} notifications", markup=False)
    out.print(
        table(
            ("at", "status", "alert", "summary"),
            [
                [_time(one["received"]), one["status"], _name(one),
                 one["annotations"].get("summary", "")]
                for one in notifications[-_SHOWN:]
            ],
        )
    )  # fmt: skip


def _name(alert: Mapping[str, Any]) -> str:
    return str(alert["labels"]["alertname"])


def _time(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


if __name__ == "__main__":
    sys.exit(main())
