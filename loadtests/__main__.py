"""``nox -s loadtest``: put load on the service, watch what follows, and say pass or fail."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from kindling import paths, settings
from kindling.errors import KindlingError
from loadtests import test
from loadtests.load import SHAPES
from loadtests.report import compare, exit_code, summary, write
from loadtests.scenarios import SCENARIOS, USUAL

_PROGRAM = "nox -s loadtest --"
_SHAPES = ", ".join(SHAPES)
_EPILOG = "scenarios:\n" + "\n".join(
    f"  {one.name:<8} {one.description}" for one in SCENARIOS.values()
)


def main(argv: Sequence[str] | None = None) -> int:
    """Test, or compare reports. Returns 0 passed, 1 failed, 2 not understood, 3 invalid."""
    arguments = _arguments(sys.argv[1:] if argv is None else argv)
    try:
        return _main(arguments)
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description=__doc__, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    settings.add_arguments(parser)
    add = parser.add_argument
    add("scenarios", nargs="*", metavar="SCENARIO", help=f"{' and '.join(USUAL)} if none is named")
    add(
        "--rate", type=_positive, metavar="N", help=f"requests/s of {_SHAPES}, whatever is answered"
    )
    add(
        "--users",
        type=_whole,
        metavar="N",
        help="users at once; without --rate each waits for answers",
    )
    add("--seconds", type=_positive, default=60.0, metavar="N", help=f"how long {_SHAPES} take")
    add("--processes", type=_whole, default=1, metavar="N", help="processes that send requests")
    add("--pods", type=_whole, default=0, metavar="N", help="pods of the cluster that send them")
    add("--report", type=Path, default=paths.REPOSITORY / "report", metavar="FOLDER")
    add("--compare", nargs=2, type=Path, metavar=("A", "B"), help="say how two reports differ")
    add("--ui", action="store_true", help="Locust's own page, on 127.0.0.1, and no verdict")
    add("--target", default="", metavar="URL", help="another service than that of the cluster")
    add("--yes-target", default="", metavar="HOST", help="the host of a target elsewhere, again")
    parsed = parser.parse_args(argv)
    parsed.command = shlex.join(["nox", "-s", "loadtest", *(["--", *argv] if argv else [])])
    unknown = [one for one in parsed.scenarios if one not in SCENARIOS]
    if parsed.pods and (parsed.target or parsed.ui or parsed.processes > 1):
        parser.error("--pods goes with none of --target, --ui and --processes")
    if unknown:
        parser.error(f"no scenario is named {unknown[0]}; there are {', '.join(SCENARIOS)}")
    return parsed


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return value


def _main(arguments: argparse.Namespace) -> int:
    if arguments.compare:
        print(compare(*arguments.compare))
        return 0
    if arguments.ui:
        test.show_page(arguments)
    record = test.run(arguments)
    write(record, arguments.report)
    print(summary(record, folder=arguments.report))
    return exit_code(record)


if __name__ == "__main__":
    sys.exit(main())
