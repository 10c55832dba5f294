#!/usr/bin/env bash
# onnxmltools 1.16.0 with XGBoost 3.4.1, onnx 1.22.0 and onnxruntime 1.32.0, Python 3.11, found 2026-11-30.
#
# One would guess: an XGBRegressor of several quantiles answers what its trees say, so that quantiles may cross, in the
# model as in its converted graph.
# What happens: XGBoost's predict sorts the quantiles of each row; the graph does not. Where they cross the graph's 90 %
# quantile is below its median, and no error tells of it.
#
# Prints in how many rows the two differ. Exits non-zero once none does.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check onnxmltools==1.16.0 xgboost-cpu==3.4.1 scikit-learn==1.9.1 onnx==1.22.0 onnxruntime==1.32.0
cat > convert.py <<'PY'
import numpy as np
import onnxruntime
import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

random = np.random.default_rng(0)
rows = random.normal(size=(300, 3)).astype(np.float32)
values = rows[:, 0] + random.normal(size=300)
model = xgboost.XGBRegressor(objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9], n_estimators=40).fit(rows, values)
graph = convert_xgboost(model, initial_types=[("rows", FloatTensorType([None, 3]))])
session = onnxruntime.InferenceSession(graph.SerializeToString())
asked = random.normal(size=(1000, 3)).astype(np.float32)
wanted = model.predict(asked)
(found,) = session.run(None, {"rows": asked})
print("shapes:", wanted.shape, found.shape)
other = (abs(found - wanted) > 1e-4).any(axis=1)
print(f"rows in which they differ: {int(other.sum())} of {len(asked)}")
print("the same once sorted:", bool(np.allclose(np.sort(found, axis=1), wanted, atol=1e-4)))
print("unsorted rows of the model:", int((np.diff(wanted, axis=1) < 0).any(axis=1).sum()))
assert other.any()
PY
venv/bin/python convert.py
