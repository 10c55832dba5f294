#!/usr/bin/env bash
# pytest 9.2.0 with pytest-xdist 3.8.0, Python 3.11, found 2026-11-29.
#
# One would guess: with `--dist loadgroup`, tests marked `xdist_group("one")` run in one worker, as the
# documentation of pytest-xdist says, so that they may share what only one test may use at a time.
# What happens: they are spread over the workers, and nothing is said. `--dist loadfile` does group them.
#
# Prints in which workers the tests of the one group ran. Exits non-zero once a group stays together.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pytest==9.2.0 pytest-xdist==3.8.0
cat > test_group.py <<'PY'
import os
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(12))
def test_of_the_group(number):
    time.sleep(0.1)
    with open("workers", "a") as out:
        print(os.environ["PYTEST_XDIST_WORKER"], file=out)
PY
for distribution in loadgroup loadfile; do
  rm -f workers
  venv/bin/python -m pytest -q -p no:cacheprovider -n 2 --dist "$distribution" test_group.py > log
  echo "--dist $distribution: $(sort workers | uniq -c | xargs)"
  [ "$distribution" = loadgroup ] && spread=$(sort -u workers | wc -l)
done
[ "$spread" -gt 1 ]
