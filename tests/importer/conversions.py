"""The converter's program over and over, each time in a process that has its libraries already.

Runs in the environment of the importer's image. Each line on standard input is a model's folder
and a file; once an exit code is printed, the file has what ``python -m importer`` would write.
Importing the libraries takes longer than converting most models.
"""

from __future__ import annotations

import os
import sys

from importer import __main__ as command


def main() -> None:
    """Until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # What the command imports, which prints and warns.
    import importer.converters
    import importer.importing  # noqa: F401

    for line in sys.stdin:
        model, file = line.rstrip("\n").split("\t")
        if (child := os.fork()) == 0:
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), 1)
            os._exit(command.main([model, "mine"]))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(code, file=answers, flush=True)


if __name__ == "__main__":
    main()
