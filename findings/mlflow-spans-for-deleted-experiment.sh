#!/usr/bin/env bash
# MLflow 3.17.2, Python 3.11, found 2026-11-30.
#
# One would guess: the tracking server refuses traces for an experiment that is deleted, as it refuses runs for one.
# What happens: a run is refused; spans sent to /v1/traces for the deleted experiment are answered with 200 and stored, and
# nobody who looks for that experiment's traces sees them.
#
# Prints both answers. Exits non-zero once the spans are refused.
set -euo pipefail
folder=$(mktemp --directory)
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mlflow==3.17.2 opentelemetry-proto
venv/bin/mlflow server --host 127.0.0.1 --port 5987 --backend-store-uri sqlite:///store.db --artifacts-destination "$folder/files" \
  --workers 1 > server.log 2>&1 &
server=$!
trap 'kill $server; wait $server 2>/dev/null || true; rm -rf "$folder"' EXIT
cat > ask.py <<'PY'
import time
import urllib.error
import urllib.request

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

address = "http://127.0.0.1:5987"
for _ in range(120):
    try:
        urllib.request.urlopen(f"{address}/health").close()
        break
    except OSError:
        time.sleep(1)
client = MlflowClient(address)
experiment = client.create_experiment("traces")
client.delete_experiment(experiment)
try:
    client.create_run(experiment)
    print("a run: taken")
except MlflowException as error:
    print("a run:", error.get_http_status_code(), str(error).splitlines()[0][:100])
request = ExportTraceServiceRequest()
span = request.resource_spans.add().scope_spans.add().spans.add()
span.trace_id, span.span_id, span.name = b"\x01" * 16, b"\x02" * 8, "predict"
span.start_time_unix_nano, span.end_time_unix_nano = time.time_ns() - 1000, time.time_ns()
sent = urllib.request.Request(
    f"{address}/v1/traces", request.SerializeToString(),
    {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": experiment},
)
try:
    with urllib.request.urlopen(sent) as answer:
        status = answer.status
except urllib.error.HTTPError as error:
    status = error.code
print("spans:", status)
assert status == 200
client.restore_experiment(experiment)
print("traces once the experiment is restored:", len(client.search_traces(locations=[experiment])))
PY
venv/bin/python ask.py
