"""The corpus: common models of scikit-learn, XGBoost and LightGBM, and what they learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import corpus_rows as rows
import lightgbm as lgb
import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn import (
    calibration,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_selection,
    linear_model,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    preprocessing,
    svm,
    tree,
)
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline


@dataclass(frozen=True)
class Entry:
    """A model, the data that it is trained on, and what it is to predict."""

    model: Any
    data: Callable[..., pd.DataFrame]
    target: Callable[[pd.DataFrame], Any]


def number(table: pd.DataFrame) -> Any:
    """A number for each row of numbers."""
    whole = table.fillna(0.0)
    return whole["a"] * 2 + whole["the second"].abs() * whole["c.3"]


def two(table: pd.DataFrame) -> Any:
    """Two numbers for each row."""
    return np.c_[number(table), table.fillna(0.0)["größe"] * 3 + 1e5]


def yes(table: pd.DataFrame) -> Any:
    """One of two classes."""
    return (number(table) > 0).astype(int)


def absent(table: pd.DataFrame) -> Any:
    """Whether a number is missing, or not: trees split at infinity for that."""
    return (table["a"].isna() ^ (table["c.3"] > 0)).astype(int)


def three(table: pd.DataFrame) -> Any:
    """One of three classes."""
    return np.array(["low", "middle", "high"])[np.digitize(number(table), [-3, 3])]


def three_numbers(table: pd.DataFrame) -> Any:
    """One of three classes that are numbers."""
    return np.digitize(number(table), [-3, 3])


def several(table: pd.DataFrame) -> Any:
    """Two classes for each row."""
    return np.c_[yes(table), three_numbers(table)]


def counts(table: pd.DataFrame) -> Any:
    """Counts, for Poisson's loss."""
    return np.round(np.abs(number(table)))


def old(table: pd.DataFrame) -> Any:
    """Whether a person is one of those."""
    return np.where(table.age + table.children * 5 + 9 * (table.city == "Bonn") > 60, "yes", "no")


def income(table: pd.DataFrame) -> Any:
    """What a person has."""
    return table.age * (table.children + 1) + 50 * (table.sex == "f")


def colour(table: pd.DataFrame) -> Any:
    """What a text is about."""
    return np.where(table.text.str.contains("red"), "red", "other")


def missing(count: int, seed: int) -> pd.DataFrame:
    """Numbers of which some are missing."""
    return rows.numbers(count, seed, missing=True)


def single(count: int, seed: int) -> pd.DataFrame:
    """Numbers in single precision."""
    return rows.numbers(count, seed).astype(np.float32)


def counted(count: int, seed: int) -> pd.DataFrame:
    """Numbers alone of people; the category is a double, as a client of JSON sends it."""
    return rows.people(count, seed)[["children", "age"]].astype(float)


def mixed(count: int, seed: int) -> pd.DataFrame:
    """People, and what they write."""
    return pd.concat([rows.people(count, seed), rows.texts(count, seed)], axis=1)


def rising(table: pd.DataFrame) -> Any:
    """What depends on the category, in no order."""
    return table.age * ((table.children * 7) % 3) + table.children


def encode(encoder: Any = None, number: Any = None) -> Any:
    """What people's columns go through before a model: the commonest pipeline of all."""
    strings = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        encoder or preprocessing.OneHotEncoder(handle_unknown="ignore"),
    )
    numbers = make_pipeline(SimpleImputer(), number or preprocessing.StandardScaler())
    return ColumnTransformer([("n", numbers, ["age", "children"]), ("c", strings, ["city", "sex"])])


def ordinal(**options: Any) -> Any:
    """Codes for strings, and numbers as they are."""
    encoder = preprocessing.OrdinalEncoder(**options)
    return ColumnTransformer([("c", encoder, ["city", "sex"])], remainder="passthrough")


def of_text(vectorizer: Any) -> Any:
    """What a column of texts goes through."""
    return ColumnTransformer([("t", vectorizer, "text")])


def _numbers(model: Any, target: Callable[[pd.DataFrame], Any]) -> Entry:
    return Entry(model, rows.numbers, target)


def _people(model: Any, target: Callable[[pd.DataFrame], Any] = old) -> Entry:
    return Entry(model, rows.people, target)


def _texts(model: Any) -> Entry:
    return Entry(model, rows.texts, colour)


_SCALER = preprocessing.StandardScaler
_LOGISTIC = linear_model.LogisticRegression
_UNKNOWN = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
_HISTOGRAM = ensemble.HistGradientBoostingRegressor
_ONE_HOT = preprocessing.OneHotEncoder


def corpus() -> dict[str, Entry]:
    """Every model, by name."""
    return {
        "linear": _numbers(linear_model.LinearRegression(), number),
        "ridge of two": _numbers(make_pipeline(_SCALER(), linear_model.Ridge()), two),
        "lasso": _numbers(
            make_pipeline(preprocessing.RobustScaler(), linear_model.Lasso()), number
        ),
        "elastic net": _numbers(linear_model.ElasticNetCV(cv=3), number),
        "huber": _numbers(make_pipeline(_SCALER(), linear_model.HuberRegressor()), number),
        "poisson": _numbers(linear_model.PoissonRegressor(), counts),
        "logistic": _numbers(make_pipeline(_SCALER(), _LOGISTIC()), three),
        "logistic search": _numbers(
            model_selection.GridSearchCV(
                make_pipeline(_SCALER(), _LOGISTIC()), {"logisticregression__C": [0.1, 1]}, cv=2
            ),
            yes,
        ),
        "sgd huber": _numbers(linear_model.SGDClassifier(loss="modified_huber"), three),
        "sgd log": _numbers(
            make_pipeline(_SCALER(), linear_model.SGDClassifier(loss="log_loss")), yes
        ),
        "sgd regressor": _numbers(make_pipeline(_SCALER(), linear_model.SGDRegressor()), number),
        "perceptron": _numbers(linear_model.Perceptron(), three_numbers),
        "ridge classifier": _numbers(linear_model.RidgeClassifier(), three),
        "lda of two": _numbers(discriminant_analysis.LinearDiscriminantAnalysis(), yes),
        "lda": _numbers(discriminant_analysis.LinearDiscriminantAnalysis(), three),
        "qda": _numbers(discriminant_analysis.QuadraticDiscriminantAnalysis(), three_numbers),
        "naive bayes": _numbers(naive_bayes.GaussianNB(), three),
        "bernoulli": _numbers(
            make_pipeline(preprocessing.Binarizer(threshold=0.1), naive_bayes.BernoulliNB()), yes
        ),
        "tree": _numbers(tree.DecisionTreeRegressor(), number),
        "tree classifier": _numbers(tree.DecisionTreeClassifier(max_depth=6), three),
        "tree on missing": Entry(tree.DecisionTreeClassifier(), missing, absent),
        "extra tree": _numbers(tree.ExtraTreeRegressor(), number),
        "forest": _numbers(ensemble.RandomForestRegressor(20), number),
        "forest classifier": _numbers(ensemble.RandomForestClassifier(20), three),
        "forest of several": _numbers(ensemble.RandomForestClassifier(10), several),
        "forest on missing": Entry(ensemble.RandomForestRegressor(10), missing, number),
        "forest in single": Entry(
            make_pipeline(_SCALER(), ensemble.RandomForestRegressor(10)), single, number
        ),
        "extra trees of two": _numbers(ensemble.ExtraTreesRegressor(10), two),
        "extra trees classifier": _numbers(ensemble.ExtraTreesClassifier(10), three_numbers),
        "gradient boosting": _people(
            make_pipeline(encode(), ensemble.GradientBoostingRegressor(n_estimators=30)), income
        ),
        "gradient boosting classifier": _numbers(
            ensemble.GradientBoostingClassifier(n_estimators=15), three
        ),
        "ada boost": _numbers(ensemble.AdaBoostClassifier(n_estimators=10), yes),
        "ada boost regressor": _numbers(ensemble.AdaBoostRegressor(n_estimators=8), number),
        "bagging": _numbers(ensemble.BaggingClassifier(n_estimators=8), three),
        "bagging regressor": _numbers(ensemble.BaggingRegressor(n_estimators=8), number),
        "isolation forest": Entry(ensemble.IsolationForest(n_estimators=20), missing, yes),
        "histogram": Entry(ensemble.HistGradientBoostingClassifier(max_iter=15), missing, three),
        "histogram stopped early": _numbers(
            _HISTOGRAM(max_iter=60, early_stopping=True, loss="poisson"), counts
        ),
        "histogram of categories": Entry(_HISTOGRAM(categorical_features=[0]), counted, rising),
        "voting": _numbers(
            ensemble.VotingClassifier(
                [("l", _LOGISTIC()), ("t", tree.DecisionTreeClassifier(max_depth=4))], voting="soft"
            ),
            three_numbers,
        ),
        "voting regressor": _numbers(
            ensemble.VotingRegressor(
                [("l", linear_model.Ridge()), ("t", tree.DecisionTreeRegressor(max_depth=5))]
            ),
            number,
        ),
        "stacking": _numbers(
            ensemble.StackingRegressor(
                [("l", linear_model.Ridge()), ("t", tree.DecisionTreeRegressor(max_depth=5))], cv=3
            ),
            number,
        ),
        "support vectors": _numbers(make_pipeline(_SCALER(), svm.SVR()), number),
        "support vector classifier": _numbers(make_pipeline(_SCALER(), svm.SVC()), three),
        "linear support vectors": _numbers(make_pipeline(_SCALER(), svm.LinearSVC()), three),
        "neighbours": _numbers(neighbors.KNeighborsRegressor(weights="distance"), number),
        "neighbours of two": _numbers(neighbors.KNeighborsClassifier(5), yes),
        "network": _numbers(
            make_pipeline(
                _SCALER(), neural_network.MLPClassifier(hidden_layer_sizes=(8,), max_iter=60)
            ),
            three,
        ),
        "network regressor": _numbers(
            make_pipeline(
                preprocessing.MinMaxScaler(),
                neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=60),
            ),
            number,
        ),
        "components": _numbers(make_pipeline(_SCALER(), decomposition.PCA(3), _LOGISTIC()), three),
        "polynomial": _numbers(
            make_pipeline(preprocessing.PolynomialFeatures(2), linear_model.Ridge()), number
        ),
        "chosen features": _numbers(
            make_pipeline(feature_selection.SelectKBest(k=2), _LOGISTIC()), yes
        ),
        "bins": _numbers(
            make_pipeline(
                preprocessing.KBinsDiscretizer(encode="onehot-dense"), linear_model.Ridge()
            ),
            number,
        ),
        "power": _numbers(
            make_pipeline(preprocessing.PowerTransformer(), linear_model.Ridge()), number
        ),
        "quantiles": _numbers(
            make_pipeline(preprocessing.QuantileTransformer(n_quantiles=50), linear_model.Ridge()),
            number,
        ),
        "splines": _numbers(
            make_pipeline(preprocessing.SplineTransformer(), linear_model.Ridge()), number
        ),
        "logarithm of target": _numbers(
            TransformedTargetRegressor(linear_model.Ridge(), func=np.log1p, inverse_func=np.expm1),
            counts,
        ),
        "union": _numbers(
            make_pipeline(
                FeatureUnion([("p", decomposition.PCA(2)), ("s", _SCALER())]), _LOGISTIC()
            ),
            yes,
        ),
        "filled by mean": Entry(
            make_pipeline(SimpleImputer(add_indicator=True), _SCALER(), _LOGISTIC()), missing, yes
        ),
        "filled by neighbours": Entry(
            make_pipeline(KNNImputer(), linear_model.Ridge()), missing, number
        ),
        "calibrated": _numbers(
            calibration.CalibratedClassifierCV(
                ensemble.RandomForestClassifier(8), method="isotonic", cv=2
            ),
            three,
        ),
        "calibrated temperature": _numbers(
            calibration.CalibratedClassifierCV(_LOGISTIC(), method="temperature", cv=2), yes
        ),
        "calibrated later": _numbers(
            calibration.CalibratedClassifierCV(
                FrozenEstimator(
                    make_pipeline(_SCALER(), svm.LinearSVC()).fit(
                        rows.numbers(90, 5), yes(rows.numbers(90, 5))
                    )
                )
            ),
            yes,
        ),
        "several classifiers": _numbers(multioutput.MultiOutputClassifier(_LOGISTIC()), several),
        "several regressors": _numbers(
            multioutput.MultiOutputRegressor(ensemble.GradientBoostingRegressor(n_estimators=10)),
            two,
        ),
        "one against the rest": _numbers(multiclass.OneVsRestClassifier(_LOGISTIC()), three),
        "most frequent": _numbers(DummyClassifier(), three),
        "mean": _numbers(DummyRegressor(), number),
        "people": _people(make_pipeline(encode(), _LOGISTIC())),
        "people, rare ones together": _people(
            make_pipeline(
                encode(_ONE_HOT(handle_unknown="infrequent_if_exist", min_frequency=20)),
                ensemble.RandomForestClassifier(10),
            )
        ),
        "people, first ones dropped": _people(
            make_pipeline(encode(_ONE_HOT(drop="first")), _LOGISTIC())
        ),
        "people, coded": _people(
            make_pipeline(ordinal(), ensemble.RandomForestRegressor(10)), income
        ),
        "people, unknown ones coded": _people(
            make_pipeline(ordinal(**_UNKNOWN), _HISTOGRAM(max_iter=20)), income
        ),
        "people, by target": _people(
            make_pipeline(
                ColumnTransformer(
                    [("c", preprocessing.TargetEncoder(), ["city", "sex"])], remainder="passthrough"
                ),
                linear_model.Ridge(),
            ),
            income,
        ),
        "words": _texts(make_pipeline(of_text(TfidfVectorizer()), _LOGISTIC())),
        "pairs of words": _texts(
            make_pipeline(
                of_text(
                    TfidfVectorizer(
                        ngram_range=(1, 2), stop_words=["the", "film"], sublinear_tf=True
                    )
                ),
                linear_model.SGDClassifier(loss="log_loss"),
            )
        ),
        "words, linear": _texts(make_pipeline(of_text(TfidfVectorizer()), svm.LinearSVC())),
        "words of one letter": _texts(
            make_pipeline(
                of_text(CountVectorizer(token_pattern=r"(?u)\b\w+\b")),
                linear_model.RidgeClassifier(),
            )
        ),
        "words and numbers": Entry(
            make_pipeline(
                ColumnTransformer(
                    [
                        ("t", TfidfVectorizer(), "text"),
                        ("n", preprocessing.StandardScaler(), ["age", "children"]),
                        ("c", _ONE_HOT(handle_unknown="ignore"), ["city"]),
                    ]
                ),
                xgb.XGBClassifier(n_estimators=10),
            ),
            mixed,
            lambda table: (table.text.str.contains("red") & (table.age > 40)).astype(int),
        ),
        "counted words": _texts(
            make_pipeline(of_text(CountVectorizer(binary=True)), naive_bayes.MultinomialNB())
        ),
        "letters": _texts(
            make_pipeline(
                of_text(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3))), _LOGISTIC()
            )
        ),
        "xgboost": Entry(xgb.XGBRegressor(n_estimators=20), missing, number),
        "xgboost of people": _people(
            make_pipeline(encode(), xgb.XGBRegressor(n_estimators=20)), income
        ),
        "xgboost classifier": _numbers(xgb.XGBClassifier(n_estimators=10), three_numbers),
        "xgboost softmax": _numbers(
            xgb.XGBClassifier(n_estimators=10, objective="multi:softmax"), three_numbers
        ),
        "xgboost dart": _numbers(
            xgb.XGBRegressor(n_estimators=15, booster="dart", rate_drop=0.5), number
        ),
        "xgboost quantiles": _numbers(
            xgb.XGBRegressor(
                n_estimators=15, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9]
            ),
            number,
        ),
        "xgboost forest": _numbers(xgb.XGBRFClassifier(n_estimators=10), yes),
        "lightgbm": Entry(lgb.LGBMClassifier(n_estimators=20, verbose=-1), missing, three),
        "lightgbm of people": _people(
            make_pipeline(encode(), lgb.LGBMClassifier(n_estimators=20, verbose=-1))
        ),
        "lightgbm of categories": Entry(
            lgb.LGBMRegressor(
                n_estimators=30, verbose=-1, categorical_feature=[0], min_data_per_group=5
            ),
            counted,
            rising,
        ),
        "lightgbm forest": _numbers(
            lgb.LGBMRegressor(
                boosting_type="rf",
                bagging_freq=1,
                bagging_fraction=0.7,
                n_estimators=10,
                verbose=-1,
            ),
            number,
        ),
    }
