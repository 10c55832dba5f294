#!/usr/bin/env bash
# MLflow 3.17.2, Python 3.11, found 2026-11-30.
#
# One would guess: `mlflow gc --run-ids ID` removes that deleted run for good, and nothing else.
# What happens: every deleted experiment is removed for good too, with its runs, whoever's they are: it can be
# restored no more. The list of runs narrows the runs alone.
#
# Prints the deleted experiments before and after. Exits non-zero once one of them stays.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mlflow==3.17.2
export MLFLOW_TRACKING_URI=sqlite:///$folder/store.db
cat > make.py <<'PY'
from mlflow import MlflowClient

client = MlflowClient()
run = client.create_run(client.create_experiment("mine", artifact_location="mine"))
client.delete_run(run.info.run_id)
other = client.create_experiment("somebody else's", artifact_location="other")
client.create_run(other)
client.delete_experiment(other)
print(run.info.run_id)
PY
cat > show.py <<'PY'
import sys

from mlflow import MlflowClient
from mlflow.entities import ViewType

found = [one.name for one in MlflowClient().search_experiments(ViewType.DELETED_ONLY)]
print(sys.argv[1], "deleted experiments:", found)
assert sys.argv[1] == "before" or not found
PY
run=$(venv/bin/python make.py 2> make.log)
venv/bin/python show.py before
venv/bin/mlflow gc --backend-store-uri "$MLFLOW_TRACKING_URI" --run-ids "$run" > gc.log 2>&1
venv/bin/python show.py after
