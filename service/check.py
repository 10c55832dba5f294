"""``python -m service.check FOLDER NAME``: open and run a new model where it can do no harm.

A process of its own, with little memory, little time and no way to write. Exit code 0 means that
the model may be served; 3 that it may not, for the reason on standard output.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

from service.classifier import Classifier
from service.errors import ModelInvalidError
from service.loader import open_runner, read_descriptor
from service.onnx import first_line
from service.package import Descriptor
from service.sketch_reference import read_reference
from service.tabular import Tabular

REFUSED = 3
_FILES = 32


def main(arguments: list[str] | None = None) -> int:
    """Check one model; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m service.check", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("--cpu-seconds", type=int, default=20)
    parser.add_argument("--wall-seconds", type=int, default=80)
    parser.add_argument("--memory-mb", type=int, default=512)
    parser.add_argument("--max-batch", type=int, default=1, help="most rows of one request")
    parser.add_argument("--max-numbers", type=int, default=1, help="most numbers of one request")
    options = parser.parse_args(arguments)
    give_way()
    descriptor = read_descriptor(options.folder, options.name)
    confine(options.cpu_seconds, options.wall_seconds, options.memory_mb)
    try:
        read_reference(options.folder, descriptor)
        runner = open_runner(options.folder, descriptor, intra_op_threads=1)
        if isinstance(runner, Classifier | Tabular):
            runner.warm(_most_rows(descriptor, options.max_batch, options.max_numbers))
    except ModelInvalidError as error:
        print(error.message)
        return REFUSED
    except MemoryError:
        print(f"it needs more than {options.memory_mb} MB of memory")
        return REFUSED
    except Exception as error:
        print(f"opening or running it fails: {first_line(error)}")
        return REFUSED
    return 0


def give_way() -> None:
    """Let the serving process go first, and live on should memory run out for both."""
    os.nice(19)
    # Not to be had in every sandbox, and no reason to refuse a model.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def confine(cpu_seconds: int, wall_seconds: int, memory_mb: int) -> None:
    """Bound what this process may take from now on; going over it ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + cpu_seconds
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    space = pages * resource.getpagesize() + memory_mb * 2**20
    limits = {
        resource.RLIMIT_AS: space,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _FILES,
        resource.RLIMIT_NPROC: 0,
    }
    for limit, value in limits.items():
        hard = resource.getrlimit(limit)[1]
        if hard == resource.RLIM_INFINITY or value < hard:
            # At the soft limit of the CPU time a signal says what it was; at the hard one, none.
            more = 1 if limit == resource.RLIMIT_CPU else 0
            resource.setrlimit(limit, (value, value + more))
    # Also if nobody is left who would end it.
    signal.alarm(wall_seconds)


def _most_rows(descriptor: Descriptor, rows: int, numbers: int) -> int:
    classifier, table = descriptor.classifier, descriptor.tabular
    width = classifier.features if classifier else len(table.inputs) if table else 1
    return max(1, min(rows, numbers // width))


if __name__ == "__main__":
    sys.exit(main())
