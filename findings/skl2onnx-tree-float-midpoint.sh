#!/usr/bin/env bash
# skl2onnx 1.20.0 with scikit-learn 1.9.1 and onnxruntime 1.32.0, Python 3.11, found 2026-11-30.
#
# One would guess: a decision tree that is converted takes the branches that scikit-learn takes, for every row of doubles.
# What happens: scikit-learn compares the row as float32 with a threshold that is a double; the graph, in single precision
# as in double precision, compares both as one type. Rows that lie on a threshold, the middle of two decimal values of the
# training, go the other way: of the thresholds between tenths, many do.
#
# Prints how many of the middles get another label, with single and with double inputs. Exits non-zero once none does.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check skl2onnx==1.20.0 scikit-learn==1.9.1 onnxruntime==1.32.0
cat > convert.py <<'PY'
import itertools

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.tree import DecisionTreeClassifier

tenths = [number / 10 for number in range(1, 31)]
pairs = [(low, high) for low, high in itertools.combinations(tenths, 2) if round(10 * (low + high)) % 2 == 0]
found = {}
for kind in (np.float32, np.float64):
    other = 0
    for low, high in pairs:
        model = DecisionTreeClassifier().fit([[low], [high]], [0, 1])
        row = np.array([[round((low + high) / 2, 1)]])
        graph = to_onnx(model, np.array([[low]], kind), options={"zipmap": False})
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        other += int(session.run(None, {"X": row.astype(kind)})[0][0] != model.predict(row)[0])
    found[kind.__name__] = other
    print(f"inputs as {kind.__name__}: {other} of {len(pairs)} middles get another label")
assert found["float64"] > 0
PY
venv/bin/python convert.py
