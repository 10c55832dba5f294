"""What the run came to, in sentences."""

from __future__ import annotations

from loadtests.checks import RUN
from loadtests.report import words
from loadtests.report.document import Document

_MOST_NAMES = 6
# What is shown first: what did not pass.
ORDER = {"failed": 0, "invalid": 1, "skipped": 2, "passed": 3}


def checks(report: Document) -> list[dict[str, str]]:
    """The checks, those that failed first, else in the order in which they were made."""
    return sorted(report["checks"], key=lambda check: ORDER[check["status"]])


def tested(report: Document) -> str:
    """One sentence: what was done, to what."""
    totals, names = report["totals"], [one["name"] for one in report["scenarios"]]
    long = words.duration(report["ended"] - report["started"])
    target = report["series"]["deployment"]
    what = f"Deployment {target} of the model service" if target else "The model service"
    if not names:
        return f"{what} was to be put under load; no scenario began in {long}."
    sent = words.count(totals["requests"], "request")
    rates = [rate for rate in report["series"]["load"]["achieved"] if rate is not None]
    over = words.duration(report["series"]["step"])
    peak = f", up to {words.amount(max(rates))} responses/s over {over}" if any(rates) else ""
    through = words.count(len(names), "scenario")
    through += f" ({words.listed(names)})" if len(names) <= _MOST_NAMES else ""
    return f"{what} went through {through} in {long}: {sent}{peak}."


def ended(report: Document) -> str:
    """One sentence: how it ended, with what failed first."""
    found = checks(report)
    held = sum(check["status"] == "passed" for check in found)
    judged = sum(check["status"] != "skipped" for check in found)
    skipped = len(found) - judged
    aside = f", {skipped} skipped" if skipped else ""
    if report["verdict"] == "interrupted":
        return (
            f"The run was interrupted, so it has no verdict; {held} of {judged} assertions that "
            f"were made by then held{aside}."
        )
    if not judged:
        return f"Nothing was asserted{aside}, so the run says nothing: it is invalid."
    if report["verdict"] == "passed":
        all_of = f"All {judged} assertions" if judged > 1 else "Its one assertion"
        return f"{all_of} held{aside}."
    decided = [check for check in found if check["status"] == report["verdict"]]
    # What is wrong with the run itself is why the rest cannot be told.
    first = min(decided, key=lambda check: check["scenario"] != RUN)
    name = f"“{first['name']}” of {first['scenario']}"
    if report["verdict"] == "invalid":
        return (
            f"{held} of {judged} assertions held{aside}, and the run could not tell about {name}: "
            f"{_sentence(first['observed'])}"
        )
    return (
        f"{held} of {judged} assertions held{aside}; {name} failed: expected "
        f"{first['expected']}, observed {_sentence(first['observed'])}"
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."
