"""``alerts``: what pends and fires now, and which notifications arrived lately.

``--json`` prints one object: ``alerts`` as Prometheus' API gives them, with ``firingSince`` (null
while one pends), and ``notifications`` as the receiver in the cluster kept them.

Exit code 0; with ``--exit-code`` 3 where anything but the watchdog fires.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
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
    groups = Prometheus(f"http://127.0.0.1:{port}", seconds=5).get("rules", type="alert")["groups"]
    return [
        {**alert, "firingSince": _firing_since(alert, rule["duration"], group["interval"])}
        for group in groups
        for rule in group["rules"]
        for alert in rule["alerts"]
    ]


def _firing_since(alert: Mapping[str, Any], duration: float, interval: float) -> str | None:
    """When it began to fire: at the first evaluation after it was active for ``duration``."""
    if alert["state"] != "firing":
        return None
    pending = math.ceil(duration / interval) * interval
    return (datetime.fromisoformat(alert["activeAt"]) + timedelta(seconds=pending)).isoformat()


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
    """Print them. Returns 0, 1 with a message on standard error, or 3 (see ``--exit-code``)."""
    parser = argparse.ArgumentParser(
        prog="nox -s alerts --",
        description=(__doc__ or "").partition("\n")[0],
        allow_abbrev=False,
    )
    settings.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--exit-code", action="store_true",
        help=f"exit with 3 where anything but {WATCHDOG} fires",
    )  # fmt: skip
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
    return 3 if wrong and options.exit_code else 0


def _show(
    alerts: Sequence[Mapping[str, Any]], notifications: Sequence[Mapping[str, Any]] | None
) -> None:
    out = console()
    shown = sorted(alerts, key=lambda one: (one["state"] != "firing", _name(one)))
    rows = [
        [
            Text(one["state"], style=_STYLES.get(one["state"], "")), _name(one),
            one["labels"].get("severity", ""), _time(one["activeAt"]),
            _time(one["firingSince"]) if one["firingSince"] else "-",
            one["annotations"].get("summary", ""),
        ]
        for one in shown
    ]  # fmt: skip
    if rows:
        out.print(
            table(("state", "alert", "severity", "active since", "firing since", "summary"), rows)
        )
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
