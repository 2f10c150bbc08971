"""All of scikit-learn's checks of estimators; the few that fail are those that scikit-learn's own linear units fail."""

from __future__ import annotations

import collections

import pytest
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier
from sklearn.utils.estimator_checks import estimator_checks_generator

from sklearn import linear_model, neural_network
from thalweg import Adaline, MLPClassifier, MLPRegressor, Perceptron

ESTIMATORS = [Perceptron(max_iter=50), Adaline(max_iter=20), MLPClassifier(), MLPRegressor()]
CHECKS = [pair for model in ESTIMATORS for pair in estimator_checks_generator(model, expected_failed_checks={})]
# The smallest numbers of checks in scikit-learn 1.6 to 1.9.
COUNTS = {"Perceptron": 50, "Adaline": 50, "MLPClassifier": 60, "MLPRegressor": 55}


# scikit-learn excuses its own Perceptron from these.
ONE_STEP_FOR_EACH_ROW = "a row of weight 2 takes one step of twice the size, which differs from two steps"
EXCUSED = {
    ("Perceptron", "check_sample_weight_equivalence_on_dense_data"): ONE_STEP_FOR_EACH_ROW,
    ("Perceptron", "check_sample_weight_equivalence_on_sparse_data"): ONE_STEP_FOR_EACH_ROW,
    ("Adaline", "check_sample_weight_equivalence_on_dense_data"): ONE_STEP_FOR_EACH_ROW,
    ("Adaline", "check_sample_weight_equivalence_on_sparse_data"): ONE_STEP_FOR_EACH_ROW,
    ("Adaline", "check_class_weight_classifiers"): "a class weight of 1000 makes steps of a rate that diverges",
}
LEAST_MEAN_SQUARES = SGDClassifier(loss="squared_error", learning_rate="constant", eta0=0.01, penalty=None)


def name_of(check) -> str:
    return getattr(check, "func", check).__name__


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "check"), CHECKS, ids=[f"{type(estimator).__name__}-{name_of(check)}" for estimator, check in CHECKS]
)
def test_check_of_scikit_learn(estimator, check):
    if (type(estimator).__name__, name_of(check)) not in EXCUSED:
        check(estimator)
        return
    with pytest.raises((AssertionError, ValueError)):
        check(estimator)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "excused"), EXCUSED)
def test_scikit_learns_own_units_fail_the_excused_checks(name, excused):
    theirs = linear_model.Perceptron() if name == "Perceptron" else LEAST_MEAN_SQUARES
    checks = [check for _, check in estimator_checks_generator(theirs) if name_of(check) == excused]
    for check in checks:
        with pytest.raises((AssertionError, ValueError)):
            check(clone(theirs))


def test_no_checks_are_missing():
    counts = collections.Counter(type(estimator).__name__ for estimator, _ in CHECKS)
    assert {name: counts[name] >= count for name, count in COUNTS.items()} == dict.fromkeys(COUNTS, True)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (MLPClassifier, neural_network.MLPClassifier),
        (MLPRegressor, neural_network.MLPRegressor),
    ],
)
def test_the_checks_include_those_of_scikit_learns_estimators(ours, theirs):
    names = {name_of(check) for estimator, check in CHECKS if type(estimator) is ours}
    assert {name_of(check) for _, check in estimator_checks_generator(theirs())} <= names
