"""The linear units as scikit-learn classifiers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import thalweg
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
