"""The linear units as scikit-learn classifiers."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import thalweg
from sklearn import linear_model
from thalweg.models.linear_theory import safe_rate
from thalweg.sklearn.linear import Adaline, Perceptron

XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array(["a", "b", "b", "a"])


@pytest.mark.parametrize("estimator", [Perceptron(random_state=0, max_iter=200), Adaline(random_state=0)], ids=type)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_coefficients_give_the_decision_function(estimator, classes):
    X, y = load_iris(return_X_y=True)
    X = X[y < classes] * [1, 100, 1, 0.01]
    y = y[y < classes]
    estimator.fit(X, y)
    z = X @ estimator.coef_.T + estimator.intercept_
    expected = z[:, 0] - estimator.threshold_ if classes == 2 else z
    np.testing.assert_allclose(estimator.decision_function(X), expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())
    assert estimator.coef_.shape == (1 if classes == 2 else 3, 4)


def test_pipelines_searches_and_cross_validation():
    X, y = make_classification(200, 5, class_sep=2.0, flip_y=0.02, random_state=0)
    pipeline = make_pipeline(StandardScaler(), Perceptron(pocket=True, max_iter=30, random_state=0))
    with pytest.warns(ConvergenceWarning, match="not linearly separable"):
        assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.85
    search = GridSearchCV(Adaline(max_iter=10, random_state=0), {"eta0": [1e-6, 1e-2]}, cv=2)
    assert search.fit(X, y).best_params_["eta0"] == 1e-2


def test_a_feature_map_and_class_names():
    X, y = XOR
    unit = Perceptron(features=["products"], random_state=0).fit(X, y)
    assert unit.predict(X).tolist() == y.tolist()
    assert unit.n_iter_ == len(unit.loss_curve_)
    assert unit.t_ == 1 + 4 * unit.n_iter_


def test_inseparable_classes_give_a_warning():
    with pytest.warns(ConvergenceWarning, match="not linearly separable"):
        Perceptron(max_iter=10).fit(*XOR)


def test_a_diverging_rate_gives_a_warning_with_a_safe_one():
    X, y = make_classification(100, 5, random_state=0)
    with pytest.warns(ConvergenceWarning, match="safe rate"):
        Adaline(eta0=1.5 * safe_rate(StandardScaler().fit_transform(X)), rule="batch").fit(X, y)


def test_a_tuned_threshold_improves_the_score():
    X = np.linspace(-1, 1, 300).reshape(-1, 1)
    y = (X[:, 0] > 0.8).astype(int)
    usual = Adaline(random_state=0).fit(X, y).score(X, y)
    assert Adaline(threshold="tuned", validation_fraction=0.3, random_state=0).fit(X, y).score(X, y) > usual


def test_a_pickled_estimator_has_no_rows_and_predicts_the_same():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 20))
    y = (X[:, 0] > 0).astype(int)
    unit = Adaline(max_iter=2, random_state=0).fit(X, y)
    pickled = pickle.dumps(unit)
    assert len(pickled) < X.nbytes / 4
    np.testing.assert_array_equal(pickle.loads(pickled).predict(X), unit.predict(X))


def test_an_invalid_parameter_is_a_value_error_that_names_it():
    with pytest.raises(ValueError, match="eta0"):
        Perceptron(eta0=-1.0).fit(*XOR)
    with pytest.raises(ValueError, match="rule"):
        Adaline(rule="often").fit(*XOR)


def test_sparse_rows_give_the_same_fit():
    X, y = make_classification(100, 5, random_state=0)
    dense, scattered = (Adaline(max_iter=5, random_state=0).fit(rows, y) for rows in (X, csr_matrix(X)))
    np.testing.assert_array_equal(dense.coef_, scattered.coef_)
    np.testing.assert_array_equal(dense.predict(X), scattered.predict(csr_matrix(X)))


def test_the_estimators_are_attributes_of_the_package():
    assert thalweg.Perceptron is Perceptron
    assert thalweg.Adaline is Adaline


# scikit-learn's linear classifiers as oracles -----------------------------------------------------------------------

RNG = np.random.default_rng(7)
ROWS = {
    "iris": load_iris(return_X_y=True),
    "binary": make_classification(90, 6, n_informative=4, flip_y=0.1, random_state=1),
    "four classes": make_classification(90, 6, n_informative=5, n_redundant=1, n_classes=4, random_state=2),
    "ties": (RNG.integers(-2, 3, (60, 3)).astype(float), RNG.integers(0, 2, 60)),
}
PENALTIES = [
    {},
    {"penalty": "l2", "alpha": 0.01},
    {"penalty": "l1", "alpha": 0.003},
    {"penalty": "elasticnet", "alpha": 0.01, "l1_ratio": 0.4},
    {"penalty": "l2", "alpha": 2.0},
]
STOPPING = [
    {"max_iter": 40},
    {"tol": None, "max_iter": 6},
    {"early_stopping": True, "n_iter_no_change": 2, "validation_fraction": 0.2, "max_iter": 40},
    {"tol": 0.1, "n_iter_no_change": 1, "eta0": 0.3},
]
OTHERS = [{}, {"class_weight": "balanced", "shuffle": False}, {"fit_intercept": False, "random_state": 3}]


def assert_same(ours, theirs, X):
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    assert ours.coef_.shape == theirs.coef_.shape
    for found, expected in [
        (ours.coef_, theirs.coef_),
        (ours.intercept_, theirs.intercept_),
        (ours.decision_function(X), theirs.decision_function(X)),
    ]:
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9 * (1 + np.abs(expected).max()))
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("stopping", STOPPING)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_perceptron_equals_that_of_scikit_learn(penalty, stopping, weighted):
    for (X, y), others in itertools.product(ROWS.values(), OTHERS):
        weight = np.random.default_rng(0).integers(0, 4, len(y)) / 2 if weighted else None
        options = {**penalty, **stopping, **others}
        ours, theirs = (
            kind(**options).fit(X, y, sample_weight=weight) for kind in (Perceptron, linear_model.Perceptron)
        )
        assert_same(ours, theirs, X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ROWS)
def test_partial_and_warm_fits_equal_those_of_scikit_learn(name):
    X, y = ROWS[name]
    options = {"class_weight": dict.fromkeys(np.unique(y).tolist(), 0.7), "penalty": "elasticnet", "alpha": 0.001}
    ours, theirs = (kind(**options) for kind in (Perceptron, linear_model.Perceptron))
    for begin in range(0, 60, 20):
        rows = slice(begin, begin + 20)
        weight = np.linspace(0.5, 2, 20)
        for unit in (ours, theirs):
            unit.partial_fit(X[rows], y[rows], classes=np.unique(y), sample_weight=weight)
        assert_same(ours, theirs, X)
    for unit in (ours, theirs):
        unit.set_params(warm_start=True, max_iter=4, tol=None).fit(X, y).fit(X, y)
    assert_same(ours, theirs, X)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_random_state_object_is_drawn_from_as_by_scikit_learn(shuffle):
    X, y = ROWS["binary"]
    options = {"early_stopping": True, "shuffle": shuffle}
    ours, theirs = (
        kind(random_state=np.random.RandomState(5), **options).fit(X, y)
        for kind in (Perceptron, linear_model.Perceptron)
    )
    assert_same(ours, theirs, X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("penalty", PENALTIES[:4])
@pytest.mark.parametrize("name", ROWS)
def test_adaline_equals_scikit_learns_least_squares(name, penalty):
    X, y = ROWS[name]
    X = StandardScaler().fit_transform(X)
    weight = np.random.default_rng(0).uniform(0.5, 1.5, len(y))
    theirs = SGDClassifier(
        "squared_error",
        learning_rate="constant",
        eta0=0.01,
        random_state=0,
        max_iter=30,
        **{"penalty": None, **penalty},
    )
    ours = Adaline(labels="-1/1", max_iter=30, tol=1e-3, **penalty)
    assert_same(ours.fit(X, y, weight), theirs.fit(X, y, sample_weight=weight), X)


def test_batches_of_adaline_are_steps_of_their_mean():
    X, y = ROWS["binary"]
    weight = np.linspace(0, 2, len(y))
    unit = Adaline(rule="batch", eta0=0.1, max_iter=3, labels="-1/1").fit(X, y, sample_weight=weight)
    shift, span = X.mean(axis=0), X.std(axis=0)
    x = np.column_stack([(X - shift) / span, np.ones(len(y))])
    w = np.zeros(x.shape[1])
    for _ in range(3):
        w += 0.1 * x.T @ (weight * (2 * y - 1 - x @ w)) / len(y)
    np.testing.assert_allclose(unit.coef_[0], w[:-1] / span)
    np.testing.assert_allclose(unit.intercept_, w[-1] - shift @ (w[:-1] / span))


def test_adaline_continues_from_its_weights():
    X, y = ROWS["binary"]
    whole = Adaline(shuffle=False, max_iter=6).fit(X, y)
    parts = Adaline(shuffle=False, max_iter=3, warm_start=True).fit(X, y).fit(X, y)
    epochs = Adaline(shuffle=False)
    for _ in range(6):
        epochs.partial_fit(X, y, classes=[0, 1])
    for unit in (parts, epochs):
        np.testing.assert_allclose(unit.coef_, whole.coef_)
        np.testing.assert_allclose(unit.intercept_, whole.intercept_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_pocket_is_at_least_as_good_as_every_epoch():
    X, y = ROWS["binary"]
    options = {"shuffle": False, "tol": None}
    scores = [Perceptron(max_iter=n, **options).fit(X, y).score(X, y) for n in range(1, 8)]
    assert min(scores) < max(scores)
    assert Perceptron(max_iter=7, pocket=True, **options).fit(X, y).score(X, y) == max(scores)


@pytest.mark.parametrize("kind", [Perceptron, Adaline])
def test_a_single_class_is_refused_as_by_scikit_learn(kind):
    for unit in (kind(), linear_model.Perceptron()):
        with pytest.raises(ValueError, match="number of classes has to be greater than one"):
            unit.fit([[0.0], [1.0]], [3, 3])


def test_messages_name_the_parameter_and_show_plain_values():
    X, y = ROWS["binary"]
    for options in (
        {"l1_ratio": 1.5},
        {"alpha": -1.0},
        {"penalty": "l3"},
        {"tol": -1.0},
        {"n_iter_no_change": 0},
        {"validation_fraction": 0.0},
    ):
        with pytest.raises(ValueError, match=next(iter(options))):
            Perceptron(**options).fit(X, y)
    with pytest.raises(ValueError, match="validation_fraction: cannot hold out"):
        Perceptron(early_stopping=True, validation_fraction=0.001).fit(X, y)
    unit = Perceptron().partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="has the class 3, but the classes are \\[0, 1\\]"):
        unit.partial_fit(X, y + 3)
    with pytest.raises(ValueError, match="early_stopping"):
        Perceptron(early_stopping=True).partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="class_weight"):
        Perceptron(class_weight="balanced").partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="coef_"):
        Perceptron(penalty="l2", warm_start=True).fit(X, y).fit(*ROWS["four classes"])
    with pytest.warns(ConvergenceWarning, match="; pocket=True keeps"):
        Perceptron().fit(*XOR)


def test_numbers_that_overflow_are_an_error():
    X, y = ROWS["binary"]
    with pytest.raises(ValueError, match="NaN or infinite in epoch"):
        Adaline(eta0=1e6, max_iter=100).fit(X, y)
