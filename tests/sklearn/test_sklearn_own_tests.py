"""scikit-learn's own tests of its multi-layer perceptrons, run with ours in place of theirs."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from unittest import mock

import pytest

import thalweg
from sklearn import neural_network

SUITE = "sklearn.neural_network.tests.test_mlp"
ESTIMATORS = {name: getattr(thalweg, name) for name in ("MLPClassifier", "MLPRegressor")}

EXCUSED = {
    "test_fit": "sets private attributes of scikit-learn's estimator instead of fitting it",
    "test_gradient": "calls the private method _loss_grad_lbfgs",
    "test_learning_rate_warmstart": "reads the private attribute _optimizer",
    "test_adaptive_learning_rate": "reads the private attribute _optimizer",
    "test_n_iter_no_change": "reads the private attribute _no_improvement_count",
    "test_n_iter_no_change_inf": "reads the private attribute _no_improvement_count",
    "test_verbose_sgd": "wording: a line of progress says 'epoch', not 'Iteration'",
    "test_warm_start": "wording of the error about other classes",
    "test_nonfinite_params": "wording: the error names the first number that became infinite, not the weights",
    "test_early_stopping_stratified": "wording: the error is about the size of the validation set, not the classes",
}


def suite_with_our_estimators() -> ModuleType:
    """A copy of the module of tests, in which our estimators replace those of scikit-learn."""
    spec = importlib.util.find_spec(SUITE) if importlib.util.find_spec(SUITE.rpartition(".")[0]) else None
    if spec is None or spec.loader is None:
        pytest.skip("this installation of scikit-learn has no tests", allow_module_level=True)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.multiple(neural_network, **ESTIMATORS):
        spec.loader.exec_module(module)
    return module


SUITE_MODULE = suite_with_our_estimators()
THEIR_TESTS = {name: value for name, value in vars(SUITE_MODULE).items() if name.startswith("test_")}
# pytest collects them from here, with their parameters.
globals().update(THEIR_TESTS)

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def global_random_seed() -> int:
    return 42


@pytest.fixture(autouse=True)
def _excused(request: pytest.FixtureRequest) -> None:
    """Expect an excused test to fail: one that passes is an error, so that the list stays true."""
    for name in {request.node.name, request.node.originalname} & set(EXCUSED):
        request.node.add_marker(pytest.mark.xfail(strict=True, reason=EXCUSED[name]))
