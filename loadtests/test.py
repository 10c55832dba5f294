"""From the command's arguments to a record: what is tested, all scenarios, and how it went."""

from __future__ import annotations

import argparse
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from kindling import cluster, lock, paths, settings
from kindling.errors import KindlingError
from kindling.registry_access import access
from loadtests import clock, load, pods
from loadtests.autoscaler import wait_until_measured
from loadtests.checks import RUN, Check
from loadtests.environment import NoAutoscalerError, find, foreign
from loadtests.facts import facts
from loadtests.intervals import describe
from loadtests.judge.requests import SLO_P95_SECONDS
from loadtests.judge.seen import Verdicts, count
from loadtests.judge.sight import seen_throughout
from loadtests.loadtest import LoadTest
from loadtests.observers import Observers
from loadtests.report import Record
from loadtests.report.record import Scalar
from loadtests.report.record import Scenario as Ran
from loadtests.samples import Samples
from loadtests.scenarios import SCENARIOS, USUAL, Scenario
from loadtests.timeline import Timeline

# Drills take Prometheus away for a while.
_BLIND_SECONDS = 30.0
# Kubernetes tells times to the second.
_MAX_CLOCK_STEP_SECONDS = 1.0
# What is asserted of the whole run, and of what must be so before it begins.


def run(arguments: argparse.Namespace) -> Record:
    """Run the scenarios that are named. Raises KindlingError where they cannot begin."""
    # CI that gives up says SIGTERM: what was changed is put back then, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = [SCENARIOS[name] for name in dict.fromkeys(arguments.scenarios or USUAL)]
    variables = settings.load(arguments.inventory, arguments.set)
    started = clock.now()
    if arguments.target and foreign(
        arguments.target, _own_url(variables.cluster_name), named=arguments.yes_target
    ):
        return _elsewhere(arguments, chosen, started)
    held = paths.state_root() / "loadtest.lock"
    # Two would measure each other.
    with lock.hold("loadtest", held), ExitStack() as stack:
        # cluster-down knows nothing of it, and leaves no file.
        stack.callback(lock.remove, held)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kindling-load-")))
        try:
            environment = find(variables)
            wait_until_measured(environment)
        except NoAutoscalerError as error:
            return _failed_before(arguments, started, "there is an autoscaler", error)
        access(environment.name).export()
        described = describe(environment)
        test = LoadTest(environment.url, folder, arguments, environment, described)
        if arguments.pods:
            test.say(f"install {count(arguments.pods)} for the load")
            test.commands = stack.enter_context(
                pods.made(environment, test.inventory, arguments.pods, say=test.say)
            )
            test.load_url = pods.url(environment)
        try:
            test.learn()
        except KindlingError as error:
            return _failed_before(arguments, started, "answers are right at rest", error)
        observers = Observers(
            environment.kubectl, test.timeline, namespace=environment.namespace,
            deployment=environment.deployment, hpa=environment.hpa,
            prometheus_url=environment.prometheus_url,
            alertmanager_url=environment.alertmanager_url, receiver=environment.receiver,
            scrape_seconds=described.intervals.scrape,
        )  # fmt: skip
        with observers:
            began = clock.now()
            ran, checks, interrupted = _scenarios(test, chosen)
        checks.append(
            seen_throughout(
                test.timeline, scenario=RUN, names=observers.names, begin=began,
                end=clock.now(), most_seconds=_BLIND_SECONDS,
            )
        )  # fmt: skip
        checks += _clock_checks()
        about = {
            **facts(test.cluster[1]),
            "CPU of the observers": f"{observers.cpu_share:.0%} of a core",
        }
        return _record(test, started, about, ran, checks, interrupted=interrupted)


def show_page(arguments: argparse.Namespace) -> NoReturn:
    """Become Locust with its own page. Raises KindlingError."""
    variables = settings.load(arguments.inventory, arguments.set)
    own = "" if arguments.target else find(variables).url
    if arguments.target:
        foreign(arguments.target, _own_url(variables.cluster_name), named=arguments.yes_target)
    load.ui(arguments.target or own, Path(tempfile.mkdtemp(prefix="kindling-load-")))


def _elsewhere(arguments: argparse.Namespace, chosen: Sequence[Scenario], started: float) -> Record:
    """On a target of which nothing is known but what it answers."""
    if needing := [one.name for one in chosen if one.needs_cluster]:
        others = ", ".join(name for name, one in SCENARIOS.items() if not one.needs_cluster)
        raise KindlingError(
            f"{', '.join(needing)} must see into the cluster that is tested",
            next_step=f"name another scenario: {others}",
        )
    with tempfile.TemporaryDirectory(prefix="kindling-load-") as folder:
        test = LoadTest(arguments.target, Path(folder), arguments)
        test.learn()
        ran, checks, interrupted = _scenarios(test, chosen)
        about = {"url": arguments.target}
        return _record(test, started, about, ran, checks, interrupted=interrupted)


def _scenarios(test: LoadTest, chosen: Sequence[Scenario]) -> tuple[list[Ran], list[Check], bool]:
    """What ran, what was asserted, and whether somebody interrupted it."""
    ran, checks = list[Ran](), list[Check]()
    for scenario in chosen:
        test.say(f"{scenario.name}: {scenario.description}")
        begin, interrupted = clock.now(), False
        test.numbers = {}
        try:
            checks += scenario.run(test)
        except KindlingError as error:
            checks.append(_did_not_run(scenario, error))
        except KeyboardInterrupt:
            test.say("interrupted: what was changed is back as it was")
            interrupted = True
        ran.append(
            Ran(
                scenario.name, scenario.title, begin, clock.now(), scenario.description,
                dict(test.numbers),
            )
        )  # fmt: skip
        if interrupted:
            return ran, checks, True
    checks.append(_kept_up(test))
    return ran, checks, False


def _kept_up(test: LoadTest) -> Check:
    make, name = Verdicts(RUN), "the generator kept up"
    expected = "requests sent when they were due"
    if test.problems:
        return make.invalid(name, "; ".join(test.problems), expected=expected)
    return make(name, True, expected=expected, observed="all were")


def _clock_checks() -> list[Check]:
    """No verdict where the clock was set: latencies are right, times that the cluster tells not."""
    step = clock.stepped()
    if abs(step) <= _MAX_CLOCK_STEP_SECONDS:
        return []
    return [
        Verdicts(RUN).invalid(
            "the machine kept its time", f"its clock was set by {step:+.1f} s during the run",
            expected=f"by no more than {_MAX_CLOCK_STEP_SECONDS:g} s",
        )
    ]  # fmt: skip


def _did_not_run(scenario: Scenario, error: KindlingError) -> Check:
    return Check(
        scenario.name, "the scenario ran to its end", "nothing in its way", error.message, "",
        "invalid", error.next_step,
    )  # fmt: skip


def _failed_before(
    arguments: argparse.Namespace, started: float, name: str, error: KindlingError
) -> Record:
    """A run whose verdict is clear before there is any load."""
    check = Check(RUN, name, "so before the load", error.message, "", "failed", error.next_step)
    return Record(
        started, clock.now(), arguments.command, {}, [], Timeline(), Samples.of([]), [check]
    )


def _record(
    test: LoadTest,
    started: float,
    about: Mapping[str, Scalar | Mapping[str, Scalar]],
    ran: Sequence[Ran],
    checks: Sequence[Check],
    *,
    interrupted: bool,
) -> Record:
    return Record(
        started, clock.now(), test.options.command, about, ran, test.timeline, test.samples,
        checks, interrupted, _generator(test.options), SLO_P95_SECONDS,
    )  # fmt: skip


def _generator(options: argparse.Namespace) -> dict[str, Scalar]:
    if options.pods:
        return {"processes": options.pods, "where": f"{count(options.pods)} of the cluster"}
    return {"processes": options.processes, "where": "this machine"}


def _own_url(cluster_name: str) -> str:
    """Where the inventory's cluster serves, or empty where there is no such cluster."""
    known = cluster.facts(cluster_name)
    return f"http://127.0.0.1:{known['ports']['serving']}" if known else ""
