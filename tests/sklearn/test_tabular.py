"""The estimators for tables: scikit-learn's checks, frames of both libraries as they are, and rows not seen before."""

from __future__ import annotations

import datetime
import pickle

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import estimator_checks_generator

from thalweg import TabularClassifier, TabularRegressor
from thalweg.core.errors import InputError

SMALL = {"kind": "table", "hidden": [16], "members": 2}
CHECKS = [
    pair
    for estimator in (TabularClassifier, TabularRegressor)
    for pair in estimator_checks_generator(estimator(network=SMALL, max_epochs=40))
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "check"),
    CHECKS,
    ids=[f"{type(one).__name__}-{getattr(check, 'func', check).__name__}" for one, check in CHECKS],
)
def test_check_of_scikit_learn(estimator, check):
    check(estimator)


def frame(rows: int = 300) -> tuple[pl.DataFrame, np.ndarray]:
    """A number, a text, a date and a boolean that decide together, each with gaps."""
    rng = np.random.default_rng(0)
    size = rng.normal(size=rows)
    town = rng.choice(["Ulm", "Bern", "Graz"], rows)
    day = rng.integers(0, 1000, rows)
    old = rng.random(rows) > 0.5
    value = size + 2 * (town == "Ulm") + day / 500 + old
    gaps = rng.random((rows, 4)) < 0.03

    def gappy(values, place):
        return [None if gap else value for value, gap in zip(values, gaps[:, place], strict=True)]

    days = [datetime.date(2020, 1, 1) + datetime.timedelta(int(number)) for number in day]
    columns = {
        "size": gappy(size.tolist(), 0),
        "town": gappy(town.tolist(), 1),
        "day": gappy(days, 2),
        "old": gappy(old.tolist(), 3),
    }
    return pl.DataFrame(columns), value


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_a_frame_is_taken_as_it_is(library):
    x, value = frame()
    y = np.where(value > np.median(value), "dear", "cheap")
    if library == "pandas":
        pd = pytest.importorskip("pandas")
        x = pd.DataFrame({name: x[name].to_list() for name in x.columns})
    train, test = x[:220], x[220:]
    model = TabularClassifier(network=SMALL, random_state=0).fit(train, y[:220])
    assert model.score(test, y[220:]) > 0.8
    shares = model.predict_proba(test)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert model.classes_.tolist() == ["cheap", "dear"]
    assert list(model.feature_names_in_) == ["size", "town", "day", "old"]
    # The town is one input, the number of its category.
    assert model.preprocessing_.numbers == (0, 2)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(test), shares)


def test_a_category_never_seen_and_gaps_have_a_prediction():
    x, value = frame()
    model = TabularRegressor(network=SMALL, random_state=0).fit(x, value)
    row = pl.DataFrame({"size": [None], "town": ["Rome"], "day": [datetime.date(2021, 1, 1)], "old": [True]})
    predicted = model.predict(row.cast({"size": pl.Float64}))
    assert value.min() < predicted[0] < value.max()


def test_numbers_of_several_targets_are_in_their_own_units():
    x, y = load_diabetes(return_X_y=True)
    both = np.column_stack([y, 1000 - 10 * y])
    model = TabularRegressor(network=SMALL, random_state=0).fit(x[:350], both[:350])
    single = model.predict(x[350:])
    assert single.shape == (92, 2)
    linear = LinearRegression().fit(x[:350], both[:350]).score(x[350:], both[350:])
    assert model.score(x[350:], both[350:]) > linear - 0.1


def test_a_few_absurd_rows_leave_the_prediction_of_others_alone():
    x, y = load_breast_cancer(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.3, random_state=0, stratify=y)
    x[:3] *= 1e6
    assert TabularClassifier(network=SMALL, random_state=0).fit(x, y).score(x_test, y_test) > 0.93


def test_an_unknown_effort_is_refused():
    with pytest.raises(InputError, match="effort"):
        TabularClassifier("most").fit([[0.0], [1.0]], [0, 1])
