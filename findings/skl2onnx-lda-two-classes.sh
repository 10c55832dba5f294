#!/usr/bin/env bash
# skl2onnx 1.20.0 with scikit-learn 1.9.1 and onnxruntime 1.32.0, Python 3.11, found 2026-11-30.
#
# One would guess: a LinearDiscriminantAnalysis is a linear model, so its converted graph gives its probabilities to
# rounding, for two classes as for three.
# What happens: with three classes they agree; with two the graph's log-odds are twice the model's, so that labels agree
# and every probability is too sure of itself.
#
# Prints the largest difference of a probability for two and three classes, and the ratio of the log-odds. Exits non-zero
# once two classes agree.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check skl2onnx==1.20.0 scikit-learn==1.9.1 onnxruntime==1.32.0
cat > convert.py <<'PY'
import numpy as np
import onnxruntime
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from skl2onnx import to_onnx

rows, labels = load_iris(return_X_y=True)
rows = rows.astype(np.float32)
differences = {}
for classes in (3, 2):
    kept = labels >= 3 - classes
    model = LinearDiscriminantAnalysis().fit(rows[kept], labels[kept])
    graph = to_onnx(model, rows[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    said, probabilities = session.run(None, {"X": rows[kept]})
    wanted = model.predict_proba(rows[kept])
    differences[classes] = abs(probabilities - wanted).max()
    same = (said == model.predict(rows[kept])).all()
    print(f"{classes} classes: labels agree: {same}; probabilities differ by up to {differences[classes]:.6f}")

def odds(found):
    return np.log(found[:, 1] / found[:, 0])

sane = (wanted.min(axis=1) > 1e-3)
print(f"two classes: log-odds of the graph over the model's: {np.median(odds(probabilities[sane]) / odds(wanted[sane])):.4f}")
assert differences[3] < 1e-4
assert differences[2] > 0.05
PY
venv/bin/python convert.py
