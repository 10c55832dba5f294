#!/usr/bin/env bash
# skl2onnx 1.20.0 with scikit-learn 1.9.1 and onnxruntime 1.32.0, Python 3.11, found 2026-11-30.
#
# One would guess: an OrdinalEncoder with its defaults raises for a category that it was not fitted with, so its
# converted graph fails on one, too, as that of a OneHotEncoder does.
# What happens: the graph answers -1, and whatever model comes next predicts for a city that there is not: a
# tree takes it for the first one.
#
# Prints what each of the two says of an unknown city. Exits non-zero once the graph fails.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check skl2onnx==1.20.0 scikit-learn==1.9.1 onnxruntime==1.32.0
cat > encode.py <<'PY'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import StringTensorType
from sklearn.preprocessing import OrdinalEncoder

cities = np.array([["Bonn"], ["Ulm"]], dtype=object)
encoder = OrdinalEncoder().fit(cities)
graph = to_onnx(encoder, initial_types=[("city", StringTensorType([None, 1]))])
session = onnxruntime.InferenceSession(graph.SerializeToString())
unknown = np.array([["Köln"]], dtype=object)
try:
    print("scikit-learn:", encoder.transform(unknown).tolist())
except ValueError as error:
    print("scikit-learn:", str(error).splitlines()[0])
known = session.run(None, {"city": cities})[0].ravel().tolist()
found = session.run(None, {"city": unknown})[0].ravel().tolist()
print("graph, known cities:", known)
print("graph, unknown city:", found)
assert found == [-1.0]
PY
venv/bin/python encode.py
