"""``canary``: a version gets a share of the requests, is compared, and then all of them or none."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kindling import cluster, model_inputs, rollout, settings
from kindling.canary_judge import Counts, Judged, Margins, Verdict, judge
from kindling.errors import KindlingError
from kindling.model_registry import CHALLENGER, CHAMPION, Canary, ModelRegistry
from kindling.pods import ServingPod
from kindling.prometheus import Prometheus
from kindling.serving import Service, follow_or_undo
from kindling.table import console, table

# The pods give it up when nobody has renewed it for so long.
_LEASE_SECONDS = 60.0
_LOOK_SECONDS = 5.0
_FAILED = "500|504"
_REFUSED = "400|404|413|422"
_INTERRUPTED = 130


@dataclass(frozen=True)
class Comparison:
    """A champion and its canary, and where they are seen."""

    name: str
    champion: str
    canary: str
    prometheus: Prometheus

    def counts(self, seconds: float) -> tuple[Counts, Counts]:
        """What champion and canary answered in the last ``seconds``."""
        return self._of(self.champion, seconds), self._of(self.canary, seconds)

    def _of(self, version: str, seconds: float) -> Counts:
        labels, window = f'model="{self.name}",version="{version}"', f"[{math.ceil(seconds)}s]"
        requests = f"llm_requests_total{{{labels}%s}}{window}"
        # Not what says nothing of the version: a client that hung up, a service that is full.
        counted, failed, refused = (
            requests % f',status=~"{one}"'
            for one in (f"200|{_FAILED}|{_REFUSED}", _FAILED, _REFUSED)
        )
        bucket = f"llm_request_latency_seconds_bucket{{{labels}}}{window}"
        buckets = f"sum by (le) (increase({bucket}))"
        ask = self.prometheus.value
        return Counts(
            requests=ask(f"sum(increase({counted}))") or 0.0,
            errors=ask(f"sum(increase({failed}))") or 0.0,
            p95=ask(f"histogram_quantile(0.95, {buckets})") or math.nan,
            within={float(le): n for le, n in self.prometheus.values(buckets, "le").items()},
            refusals=ask(f"sum(increase({refused}))") or 0.0,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, then promote or end it. Returns 0 if promoted, 1 if not, 130 if interrupted."""
    options = _arguments(argv)
    try:
        return _run(options)
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nox -s models tells which version is champion", file=sys.stderr)
        return _INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    cluster_name = settings.load(options.inventory, options.set).cluster_name
    known = cluster.known(cluster_name)
    if "prometheus" not in known["ports"]:
        raise KindlingError(
            "the cluster has no Prometheus to compare by", next_step="nox -s cluster-up"
        )
    service = Service.connect(options)
    registry, name = service.registry, options.name
    version = options.version or registry.aliases(name).get(CHALLENGER)
    if not version:
        raise KindlingError(
            f"{name} has no {CHALLENGER}, and no version is named",
            next_step=f"nox -s canary -- {name} VERSION",
        )
    share = options.share / 100
    with service.changing("canary"):
        champion = registry.check_canary(name, version)
        note = ""
        if not options.allow_input_changes:
            note = model_inputs.check(registry, name, champion, version)
        registry.set_canary(name, _lease(version, share))
    url = f"http://127.0.0.1:{known['ports']['prometheus']}"
    comparison = Comparison(name, champion, version, Prometheus(url))
    margins = Margins(options.requests, options.errors / 100, options.latency)
    out = console()
    if note:
        out.print(f"{name}: {note}")
    with looked_after(registry, name, version, share) as renew:
        how = wait_until_served(service.pods, name, version, renew)
        out.print(f"{name}: version {version} gets {options.share:g} % of the requests; {how}")
        judged = compare(comparison, margins, options.seconds, renew, out.print)
    out.print()
    out.print(f"{name}: version {version} is {judged.verdict.value}: {judged.reason}")
    registry.note_canary(name, version, f"{judged.verdict.value}: {judged.reason}")
    if judged.verdict is not Verdict.PASSED:
        raise KindlingError(
            f"version {version} of {name} is not promoted; version {champion} is champion still",
            next_step="nox -s models"
            if judged.verdict is Verdict.WORSE
            else f"nox -s canary -- {name} {version} --seconds {options.seconds * 2:g}",
        )
    with service.changing("canary"):
        move = registry.promote(name, version, instead_of=champion)
    how = follow_or_undo(service, move)
    out.print(f"{name}: version {version} is champion (was {champion}); {how}")
    return 0


def _lease(version: str, share: float) -> Canary:
    return Canary(version, share, time.time() + _LEASE_SECONDS)


@contextmanager
def looked_after(
    registry: ModelRegistry, name: str, version: str, share: float
) -> Iterator[Callable[[], None]]:
    """Ask for the canary, and no more afterwards; what it yields is to be called now and then."""

    def renew() -> None:
        registry.set_canary(name, _lease(version, share))

    renew()
    try:
        yield renew
    finally:
        registry.end_canary(name)


def wait_until_served(
    look: Callable[[], Sequence[ServingPod]],
    name: str,
    version: str,
    renew: Callable[[], None],
    *,
    timeout_seconds: float | None = None,
    pause_seconds: float = 1.0,
) -> str:
    """Wait until every pod has the canary; returns how many these are, in words.

    Raises KindlingError when a pod refuses it, when none serves the model, and at the timeout.
    """
    try:
        return rollout.wait(
            look, version, lambda pod: pod.model(name).get("canary") or {}, between=renew,
            is_configured=lambda pod: bool(pod.model(name)),
            timeout_seconds=timeout_seconds, pause_seconds=pause_seconds,
        )  # fmt: skip
    except rollout.NotConfiguredError:
        raise KindlingError(
            f"no pod serves {name}, so that none can compare a canary with it",
            next_step="nox -s models",
        ) from None


def compare(
    comparison: Comparison,
    margins: Margins,
    seconds: float,
    renew: Callable[[], None],
    say: Callable[[object], None],
    *,
    pause: float = _LOOK_SECONDS,
) -> Judged:
    """Look now and then for ``seconds``, or until it is worse; the verdict."""
    began = time.monotonic()
    while True:
        time.sleep(pause)
        renew()
        passed = time.monotonic() - began
        champion, canary = comparison.counts(passed)
        judged = judge(champion, canary, margins, is_over=passed >= seconds)
        if judged.verdict is not Verdict.GO_ON:
            say(_shown(comparison, champion, canary))
            return judged
        say(
            f"{passed:4.0f} s  canary {canary.requests:.0f} requests,"
            f" {canary.error_share:.1%} failed, {canary.refusal_share:.1%} refused;"
            f" champion {champion.requests:.0f}, {champion.error_share:.1%},"
            f" {champion.refusal_share:.1%}"
        )


def _shown(comparison: Comparison, champion: Counts, canary: Counts) -> object:
    rows = [
        (
            role,
            version,
            f"{counts.requests:.0f}",
            f"{counts.error_share:.1%}",
            f"{counts.refusal_share:.1%}",
            "-" if math.isnan(counts.p95) else f"{counts.p95 * 1000:.0f} ms",
        )
        for role, version, counts in (
            (CHAMPION, comparison.champion, champion),
            ("canary", comparison.canary, canary),
        )
    ]
    return table(("", "version", "requests", "failed", "refused", "p95"), rows)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nox -s canary --",
        description=(__doc__ or "").partition("\n")[0],
        allow_abbrev=False,
    )
    settings.add_arguments(parser)
    parser.add_argument("name", help="a registered model; `nox -s models` lists them")
    parser.add_argument("version", nargs="?", help="one of its versions; else its challenger")
    parser.add_argument(
        "--share", type=_between(0.1, 50), default=10.0, help="percent of the requests (10)"
    )
    parser.add_argument(
        "--seconds", type=_between(1, 86_400), default=120.0, help="how long it is compared (120)"
    )
    parser.add_argument(
        "--requests", type=int, default=50, help="least requests to the canary to judge by (50)"
    )
    parser.add_argument(
        "--errors", type=_between(0, 100), default=2.0,
        help="percentage points that more of its requests may fail, or be refused, than of the"
             " champion's (2)",
    )  # fmt: skip
    parser.add_argument(
        "--latency", type=_between(1, 1000), default=1.5,
        help="how many times the champion's p95 its own may be (1.5)",
    )  # fmt: skip
    parser.add_argument(
        model_inputs.OPTION, action="store_true",
        help="also if it takes other inputs than the champion",
    )  # fmt: skip
    options = parser.parse_args(argv)
    if options.requests < 1:
        parser.error("argument --requests: at least 1")
    return options


def _between(least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is no number from {least:g} to {most:g}")
        return value

    return number


if __name__ == "__main__":
    sys.exit(main())
