"""Models as their owners log them, with 1,000 rows of their kind and what they make of those.

``python made_models.py OUT NAME ...`` in the environment of the importer's image writes
``OUT/NAME/model``, an MLflow model, and of good ones ``OUT/NAME/truth.json``: ``rows``,
``predict`` and, of classifiers, ``predict_proba``. Without a name all good ones are written.
"""

from __future__ import annotations

import json
import pickle
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd
import xgboost as xgb
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeRegressor

ROWS, TRAINING = 1000, 600
NUMBERS = ["age", "income", "children"]


def people(rows: int, seed: int, *, missing: bool = True) -> pd.DataFrame:
    """A table of mixed types; some incomes are missing."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame({
        "age": random.uniform(18, 90, rows),
        "income": random.lognormal(10, 1, rows),
        "children": random.integers(0, 5, rows),
        "city": random.choice(["Bonn", "Köln", "Ulm am Main"], rows),
    })  # fmt: skip
    if missing:
        table.loc[::17, "income"] = np.nan
    return table


def numbers(rows: int, seed: int, columns: int = 5) -> pd.DataFrame:
    """A table of doubles, whose names are not all words."""
    random = np.random.default_rng(seed)
    names = ["x", "the second", "x.3", "größe", "5", *(f"more_{k}" for k in range(columns))]
    return pd.DataFrame(random.normal(0, 10, (rows, columns)), columns=names[:columns])


def answers(table: Any) -> Any:
    """Labels for people: yes, no or maybe."""
    young = table.age + table.children * 5 > 60
    return np.where(young, "yes", np.where(table.city == "Bonn", "maybe", "no"))


def encode(*, missing: bool = True) -> Any:
    """What people's columns go through before a model."""
    steps = [*([SimpleImputer()] if missing else []), StandardScaler()]
    encoder = OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer([("n", make_pipeline(*steps), NUMBERS), ("c", encoder, ["city"])])


def pipeline() -> Any:
    model = make_pipeline(encode(), LogisticRegression(max_iter=500))
    return mlflow.sklearn, model, people, answers, {"serialization_format": "cloudpickle"}


def odd_names() -> Any:
    """Columns whose names are no words, two of which become the same where they are made so."""
    names = {"city": "home city", "age": "age (years)", "children": "5"}

    def rows(count: int, seed: int) -> pd.DataFrame:
        table = people(count, seed, missing=False).rename(columns=names)
        return table.assign(home_city=table["home city"].str[:1])

    def target(table: pd.DataFrame) -> Any:
        return np.where(table["age (years)"] > 40, "yes", np.where(table["5"] > 1, "no", "maybe"))

    encoder = OneHotEncoder(handle_unknown="ignore")
    steps = ColumnTransformer(
        [("n", StandardScaler(), ["age (years)", "5"]), ("c", encoder, ["home city", "home_city"])]
    )
    model = make_pipeline(steps, LogisticRegression(max_iter=500))
    return mlflow.sklearn, model, rows, target, {"serialization_format": "cloudpickle"}


def forest() -> Any:
    def rows(count: int, seed: int) -> Any:
        return numbers(count, seed).to_numpy()

    def labels(table: Any) -> Any:
        return (table[:, 0] > 0).astype(int) + (table[:, 1] > 5)

    return mlflow.sklearn, RandomForestClassifier(20, random_state=0), rows, labels, PICKLE


def multi_regressor() -> Any:
    return mlflow.sklearn, MultiOutputRegressor(Ridge()), numbers, two, PICKLE


def multi_linear() -> Any:
    return mlflow.sklearn, make_pipeline(StandardScaler(), LinearRegression()), numbers, two, PICKLE


def multi_classifier() -> Any:
    def labels(table: Any) -> Any:
        return np.c_[table.x > 0, table.x + table["x.3"] > 5].astype(int)

    model = MultiOutputClassifier(LogisticRegression())
    return mlflow.sklearn, model, numbers, labels, PICKLE


def two(table: Any) -> Any:
    """Two numbers for each row."""
    return np.c_[table.x * 2 + 1, table["the second"] - table["5"]]


def one(table: Any) -> Any:
    """A number for each row."""
    return table.x * 2 + np.abs(table["the second"]) * table["x.3"]


def two_classes(table: Any) -> Any:
    return (one(table) > 0).astype(int)


def three_classes(table: Any) -> Any:
    return np.digitize(one(table), [-40, 40])


def xgboost_classifier() -> Any:
    return mlflow.xgboost, xgb.XGBClassifier(n_estimators=30), numbers, three_classes, {}


def xgboost_binary() -> Any:
    return mlflow.xgboost, xgb.XGBClassifier(n_estimators=30), numbers, two_classes, {}


def xgboost_regressor() -> Any:
    return mlflow.xgboost, xgb.XGBRegressor(n_estimators=30), numbers, one, {}


class Native:
    """A booster of XGBoost or LightGBM with the methods of scikit-learn."""

    def __init__(self, library: Any, params: dict[str, Any]) -> None:
        self.library, self.params = library, params

    def fit(self, table: Any, labels: Any) -> None:
        data = self.library.DMatrix if self.library is xgb else self.library.Dataset
        self.booster = self.library.train(self.params, data(table, label=labels), 20)

    def predict(self, table: Any) -> Any:
        return self.booster.predict(xgb.DMatrix(table) if self.library is xgb else table)


def xgboost_native() -> Any:
    params = {"objective": "multi:softprob", "num_class": 3}
    return mlflow.xgboost, Native(xgb, params), numbers, three_classes, {}


def xgboost_native_binary() -> Any:
    return mlflow.xgboost, Native(xgb, {"objective": "binary:logistic"}), numbers, two_classes, {}


def xgboost_native_softmax() -> Any:
    params = {"objective": "multi:softmax", "num_class": 3}
    return mlflow.xgboost, Native(xgb, params), numbers, three_classes, {}


def lightgbm_regressor() -> Any:
    return mlflow.lightgbm, lgb.LGBMRegressor(verbose=-1), numbers, one, {}


def lightgbm_classifier() -> Any:
    def labels(table: Any) -> Any:
        return np.array(["low", "middle", "high"])[three_classes(table)]

    return mlflow.lightgbm, lgb.LGBMClassifier(verbose=-1), numbers, labels, {}


def lightgbm_binary() -> Any:
    return mlflow.lightgbm, lgb.LGBMClassifier(verbose=-1), numbers, two_classes, {}


def lightgbm_native() -> Any:
    params = {"objective": "binary", "verbose": -1}
    return mlflow.lightgbm, Native(lgb, params), numbers, two_classes, {}


def lightgbm_missing() -> Any:
    def rows(count: int, seed: int) -> Any:
        table = people(count, seed)
        return table[NUMBERS]

    return mlflow.lightgbm, lgb.LGBMRegressor(verbose=-1), rows, lambda t: t.age * 3, {}


def boosted_pipeline() -> Any:
    model = make_pipeline(encode(missing=False), xgb.XGBClassifier(n_estimators=20))

    def rows(count: int, seed: int) -> Any:
        return people(count, seed, missing=False)

    def labels(table: Any) -> Any:
        return (answers(table) == "yes").astype(int)

    return mlflow.sklearn, model, rows, labels, PICKLE


def light_pipeline() -> Any:
    model = make_pipeline(encode(), lgb.LGBMRegressor(verbose=-1))
    return mlflow.sklearn, model, people, lambda table: table.age * table.children, PICKLE


def ordinal_forest() -> Any:
    encoder = ColumnTransformer([("c", OrdinalEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(encoder, RandomForestRegressor(20, random_state=0))

    def rows(count: int, seed: int) -> Any:
        return people(count, seed, missing=False)

    return mlflow.sklearn, model, rows, lambda table: table.age + table.children, PICKLE


def histogram() -> Any:
    model = HistGradientBoostingClassifier(max_iter=20)
    return mlflow.sklearn, model, numbers, two_classes, PICKLE


def gradient() -> Any:
    model = GradientBoostingClassifier(n_estimators=20)
    return mlflow.sklearn, model, numbers, two_classes, PICKLE


def no_probabilities() -> Any:
    model = make_pipeline(StandardScaler(), LinearSVC())
    return mlflow.sklearn, model, numbers, two_classes, PICKLE


def neighbours() -> Any:
    return mlflow.sklearn, KNeighborsRegressor(), numbers, one, PICKLE


def xgboost_whole() -> Any:
    """Whole numbers fall on thresholds themselves."""

    def rows(count: int, seed: int) -> Any:
        drawn = np.random.default_rng(seed).integers(0, 20, (count, 3))
        return pd.DataFrame(drawn, columns=["a", "b", "c"])

    return mlflow.xgboost, xgb.XGBRegressor(n_estimators=20), rows, lambda t: t.a * t.b, {}


def words() -> Any:
    """Texts, of which an encoder makes columns."""

    def rows(count: int, seed: int) -> Any:
        return written(count, seed).to_frame()

    encoder = ColumnTransformer([("t", TfidfVectorizer(), "text")])
    model = make_pipeline(encoder, LogisticRegression())
    return mlflow.sklearn, model, rows, lambda t: t.text.str.contains("red").astype(int), PICKLE


def first_words() -> Any:
    """A vectorizer that is given texts, not a table of them; training has no word of one letter."""
    vectorizer = CountVectorizer(ngram_range=(1, 2), stop_words=["the", "of"])
    model = make_pipeline(vectorizer, LogisticRegression())
    return mlflow.sklearn, model, written, lambda t: t.str.contains("red").astype(int), PICKLE


def written(count: int, seed: int) -> Any:
    """Texts; those that training does not see have words of one letter and of other scripts."""
    random = np.random.default_rng(seed)
    some = ["red", "Green", "blue", "äpfel", "Größe", "plan", "film", "the", "of"]
    more = (
        [] if seed == 1 else ["a", "É", "ber", "gr", "e", "Привет", "日本語", "İred", "x_1", "red-"]
    )
    return pd.Series(
        [" ".join(random.choice([*some, *more], 5)) for _ in range(count)], name="text"
    )


def wine() -> Any:
    """Bundled data, as decimals: numbers lie on the trees' thresholds."""
    table = load_wine(as_frame=True).frame.sample(frac=1, random_state=0)
    table = table.assign(kind=np.array(["red", "white", "other"])[table.pop("target")])
    numbers = [name for name in table if name not in ("kind", "alcohol")]
    encoder = ColumnTransformer(
        [("n", StandardScaler(), numbers), ("c", OneHotEncoder(handle_unknown="ignore"), ["kind"])]
    )
    model = make_pipeline(encoder, GradientBoostingRegressor(random_state=0))
    alcohol = table.pop("alcohol")

    def rows(count: int, seed: int) -> Any:
        return table[:133] if seed == 1 else table[133:]

    return mlflow.sklearn, model, rows, lambda rows: alcohol[rows.index], PICKLE


def halves() -> Any:
    """A tree that splits between 0.5 and 0.9, asked at 0.7; in single precision too."""

    def rows(count: int, seed: int) -> Any:
        if seed == 1:
            drawn = np.random.default_rng(1).choice([0.1, 0.5, 0.9, 1.2, 2.3], (count, 2))
        else:
            drawn = np.round(np.random.default_rng(2).uniform(0, 3, (count, 2)), 1)
        return pd.DataFrame({"x": drawn[:, 0], "y": drawn[:, 1].astype(np.float32)})

    return mlflow.sklearn, DecisionTreeRegressor(), rows, lambda t: t.x.round() + 3 * t.y, PICKLE


def probabilities_first() -> Any:
    """What MLflow's server answers of it is its probabilities."""
    more = {**PICKLE, "pyfunc_predict_fn": "predict_proba"}
    return mlflow.sklearn, LogisticRegression(), numbers, three_classes, more


def nullable() -> Any:
    """A column of integers of which some are missing."""

    def rows(count: int, seed: int) -> Any:
        table = people(count, seed, missing=False)[["age", "children"]]
        kept = table.children.where(np.arange(count) % 7 > 0)
        return table.assign(children=kept.astype("Int64"))

    model = RandomForestRegressor(10, random_state=0)
    return mlflow.sklearn, model, rows, lambda t: t.age + t.children.fillna(9).astype(float), PICKLE


def unequal() -> Any:
    """Two targets, of three classes and of two."""

    def labels(table: Any) -> Any:
        return np.c_[three_classes(table), two_classes(table)]

    return mlflow.sklearn, RandomForestClassifier(10, random_state=0), numbers, labels, PICKLE


def skops() -> Any:
    return mlflow.sklearn, Ridge(), numbers, one, {}


PICKLE = {"serialization_format": "cloudpickle"}
# MLflow else loads a model in a process of its own to know them; the importer never does.
QUICKLY: dict[str, Any] = {"pip_requirements": []}
AS_A_USER = "pipeline"
MODELS: dict[str, Callable[[], Any]] = {
    made.__name__: made
    for made in (
        pipeline, odd_names, forest, multi_regressor, multi_linear, multi_classifier,
        xgboost_classifier,
        xgboost_binary, xgboost_regressor, xgboost_native, xgboost_native_binary,
        xgboost_native_softmax, lightgbm_regressor, lightgbm_classifier, lightgbm_binary,
        lightgbm_native, lightgbm_missing, boosted_pipeline, light_pipeline, ordinal_forest,
        histogram, gradient, no_probabilities, neighbours, skops,
        xgboost_whole, words, unequal, first_words, wine, halves, probabilities_first, nullable,
    )
}  # fmt: skip


ATTEMPTS = """
import os, socket
done = []
def attempt(name, act):
    try:
        act()
        done.append(name)
    except OSError:
        pass
for folder in ("/model", "/app", "/opt/venv", "/etc", "/var/tmp", "/dev/shm/.."):
    attempt(folder, lambda: open(folder + "/kindling-was-here", "w"))
attempt("network", lambda: socket.create_connection(("1.1.1.1", 53), 2))
attempt("name", lambda: socket.getaddrinfo("localhost.example", 80))
attempt("root", lambda: os.setuid(0))
attempt("device", lambda: os.mknod("/tmp/device", 0o20600, os.makedev(1, 3)))
attempt("room", lambda: open("/tmp/big", "wb").write(b"x" * 600 * 2**20))
open("/tmp/program", "w").write("#!/bin/sh")
os.chmod("/tmp/program", 0o755)
attempt("program", lambda: os.execv("/tmp/program", ["program"]))
raise RuntimeError("it could do " + (", ".join(done) or "nothing"))
"""


class Acts:
    """Runs ``code`` as it is unpickled."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> Any:
        # With globals of its own: functions in it would not see the others' names.
        return exec, (self.code, {})


ACTS = {
    "prints": 'print(\'{"refused": "me", "next": "you"}\')',
    "attempts": ATTEMPTS,
    "endless": "while True: pass",
    "greedy": "x = bytearray(16 * 2**30)",
}


def with_a_function() -> Any:
    return make_pipeline(FunctionTransformer(lambda table: table * 2), Ridge())


def with_an_old_function() -> Any:
    return with_a_function()


def with_a_class_of_its_own() -> Any:
    class Own(Ridge):  # type: ignore[misc]
        pass

    return Own()


def of_nowhere() -> Any:
    module = types.ModuleType("mine")
    exec("from sklearn.linear_model import Ridge\nclass Mine(Ridge):\n    pass", module.__dict__)
    sys.modules["mine"] = module
    return module.Mine()


def with_categories() -> Any:
    return xgb.XGBRegressor(n_estimators=3, booster="gblinear")


BAD: dict[str, Callable[[], Any]] = {
    made.__name__: made
    for made in (
        with_a_function,
        with_an_old_function,
        with_a_class_of_its_own,
        of_nowhere,
        with_categories,
    )
}


def write_bad(folder: Path, name: str) -> None:
    """A model that cannot be imported, trained on numbers."""
    table = numbers(50, 1)
    if name == "other_flavor":
        mlflow.pyfunc.save_model(folder, python_model=lambda given: given, pip_requirements=[])
        return
    model = BAD[name]() if name in BAD else Ridge()
    model.fit(table, one(table))
    signature = None if name == "undescribed" else infer_signature(table)
    if name == "unsigned":
        signature = infer_signature(table.assign(count=np.arange(50).astype(np.uint64)))
    if name == "of_dates":
        signature = infer_signature(pd.DataFrame({"when": pd.to_datetime(["2020-01-01"])}))
    flavor: Any = mlflow.xgboost if isinstance(model, xgb.XGBModel) else mlflow.sklearn
    more = {} if flavor is mlflow.xgboost else PICKLE
    if name == "outdated":
        del model.coef_
    flavor.save_model(model, folder, signature=signature, **more, **QUICKLY)
    if name == "by_decision":
        described = (folder / "MLmodel").read_text()
        new = re.sub("predict_fn: predict\\b", "predict_fn: decision_function", described)
        (folder / "MLmodel").write_text(new)
    if name in ACTS:
        (folder / "model.pkl").write_bytes(pickle.dumps(Acts(ACTS[name])))
    if name == "with_an_old_function":
        described = (folder / "MLmodel").read_text()
        new = re.sub("python_version: .*", "python_version: 3.8.1", described)
        (folder / "MLmodel").write_text(new)
    if name in ("old", "outdated"):
        if name == "old":
            (folder / "model.pkl").write_bytes(b"not one")
        described = (folder / "MLmodel").read_text()
        new = re.sub("sklearn_version: .*", "sklearn_version: 0.20.1", described)
        (folder / "MLmodel").write_text(new)


def _example(training: Any) -> Any:
    return training[:3].to_frame() if isinstance(training, pd.Series) else training[:3]


def write(out: Path, name: str) -> None:
    """Train and save one model, and what it makes of rows that it has not seen."""
    flavor, model, rows, labels, more = MODELS[name]()
    training, fresh = rows(TRAINING, 1), rows(ROWS, 2)
    model.fit(training, labels(training))
    predicted = model.predict(fresh)
    probabilities = model.predict_proba(fresh) if hasattr(model, "predict_proba") else None
    saved = model.booster if isinstance(model, Native) else model
    flavor.save_model(
        saved, out / name / "model", signature=infer_signature(training, predicted),
        input_example=_example(training), **more, **({} if name == AS_A_USER else QUICKLY),
    )  # fmt: skip
    columns = fresh if isinstance(fresh, pd.DataFrame) else pd.DataFrame(fresh)
    truth = {
        "rows": json.loads(columns.to_json(orient="values", double_precision=15)),
        "predict": np.asarray(predicted).tolist(),
        "predict_proba": None if probabilities is None
        else [np.asarray(p).tolist() for p in probabilities]
        if isinstance(probabilities, list) else np.asarray(probabilities).tolist(),
    }  # fmt: skip
    (out / name / "truth.json").write_text(json.dumps(truth))


if __name__ == "__main__":
    folder, *names = sys.argv[1:]
    for wanted in names or MODELS:
        if wanted in MODELS:
            write(Path(folder), wanted)
        else:
            write_bad(Path(folder) / wanted / "model", wanted)
