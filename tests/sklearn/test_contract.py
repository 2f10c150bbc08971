"""All of scikit-learn's checks of estimators, none expected to fail."""

from __future__ import annotations

import collections

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from sklearn import neural_network
from thalweg import Adaline, MLPClassifier, MLPRegressor, Perceptron

ESTIMATORS = [Perceptron(max_iter=50), Adaline(max_iter=20), MLPClassifier(), MLPRegressor()]
CHECKS = [pair for model in ESTIMATORS for pair in estimator_checks_generator(model, expected_failed_checks={})]
# The smallest numbers of checks in scikit-learn 1.6 to 1.9.
COUNTS = {"Perceptron": 50, "Adaline": 50, "MLPClassifier": 60, "MLPRegressor": 55}


def name_of(check) -> str:
    return getattr(check, "func", check).__name__


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "check"), CHECKS, ids=[f"{type(estimator).__name__}-{name_of(check)}" for estimator, check in CHECKS]
)
def test_check_of_scikit_learn(estimator, check):
    check(estimator)


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
