#!/usr/bin/env bash
# skl2onnx 1.20.0 with scikit-learn 1.9.1 and onnxruntime 1.32.0, Python 3.11, found 2026-11-30.
#
# One would guess: a CountVectorizer with its defaults, converted, counts the words that scikit-learn counts, or the
# conversion is refused; its default pattern \w\w+ knows the letters of every script.
# What happens: the graph's words are made of a-z, A-Z, 0-9 and _ alone. It converts without a word, "Straße" and "café"
# are cut at the letter that it does not know, and a model behind it sees other words.
#
# Prints the counts of one sentence by both. Exits non-zero once they agree, or the conversion is refused.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check skl2onnx==1.20.0 scikit-learn==1.9.1 onnxruntime==1.32.0
cat > convert.py <<'PY'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import StringTensorType
from sklearn.feature_extraction.text import CountVectorizer

sentences = np.array(["Straße nach Ulm", "ein café in Ulm", "caf ist kein Wort"], dtype=object)
vectorizer = CountVectorizer().fit(sentences)
# The locale that a graph wants otherwise is not on every machine.
graph = to_onnx(
    vectorizer, initial_types=[("text", StringTensorType([None, 1]))], options={CountVectorizer: {"locale": "C"}}
)
session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
words = vectorizer.get_feature_names_out()
(found,) = session.run(None, {"text": sentences.reshape(-1, 1)})
wanted = vectorizer.transform(sentences).toarray()
for sentence, one, other in zip(sentences, wanted, found):
    print(f"{sentence!r}: scikit-learn {[str(w) for w in words[one > 0]]}, graph {[str(w) for w in words[other > 0]]}")
assert not np.array_equal(found, wanted)
PY
LC_ALL=C.UTF-8 venv/bin/python convert.py
