"""The findings of the shipped experiments."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from thalweg.core.intervals import difference
from thalweg.experiments.compare import run_experiment
from thalweg.experiments.comparison import Comparison
from thalweg.experiments.experiment import Experiment
from thalweg.experiments.shipped import read_experiment, shipped

# The first arm of each pair is better than the second, by an interval that excludes 0.
FINDINGS = {
    "momentum-and-rate": [
        ("momentum 0.9, 0.005", "no momentum, 0.01"),
        ("momentum 0.9, 0.01 halved", "no momentum, 0.01"),
    ],
    "init-and-activation": [
        ("relu, he, 10 layers", "relu, glorot, 10 layers"),
        ("relu, he, 3 layers", "relu, glorot, 3 layers"),
    ],
    "plateau": [("0.01, halved on a plateau", "0.01")],
    "depth": [
        ("sigmoid, sgd, 2 layers", "sigmoid, sgd, 10 layers"),
        ("tanh, sgd, 10 layers", "sigmoid, sgd, 10 layers"),
        ("relu, sgd, 10 layers", "sigmoid, sgd, 10 layers"),
        ("sigmoid, sgd, 2 layers", "sigmoid, sgd, 5 layers"),
        ("sigmoid, adam, 2 layers", "sigmoid, adam, 5 layers"),
        ("tanh, adam, 10 layers", "sigmoid, adam, 10 layers"),
        ("relu, adam, 10 layers", "sigmoid, adam, 10 layers"),
    ],
    "order": [("shuffled anew", "sorted"), ("shuffled once", "sorted")],
    "batch-size": [
        ("16 rows", "256 rows"),
        ("256 rows, 16 x the rate", "256 rows"),
        ("256 rows, 16 x with warm-up", "256 rows"),
    ],
    "scaling": [("standardised, sgd", "as they are, sgd")],
    "loss": [
        ("learning_rate 0.1, cross-entropy", "learning_rate 0.1, squared error"),
        ("learning_rate 0.3, cross-entropy", "learning_rate 0.3, squared error"),
    ],
    # One rate for all shows the rate: which optimizer is better depends on it.
    "optimizers": [
        ("optimizer adam, learning_rate 0.01", "optimizer sgd, learning_rate 0.01"),
        ("optimizer sgd, learning_rate 0.3", "optimizer adam, learning_rate 0.3"),
    ],
}


@pytest.fixture(scope="module")
def found() -> Callable[[str], Comparison]:
    """A function from a name to the comparison of the experiment, which is run once."""

    @functools.cache
    def of(name: str) -> Comparison:
        return run_experiment(Experiment.of(read_experiment(name), name), jobs=1)

    return of


def check_finding(found: Comparison, pairs: list[tuple[str, str]]) -> None:
    """The first arm of every pair is better than the second, all together, and no trial of either diverged."""
    tried = found.stages[0]
    arms = {arm.label: arm for arm in tried.arms}
    for better, worse in pairs:
        assert arms[better].diverged == arms[worse].diverged == 0
        change = difference(arms[better].values, arms[worse].values, comparisons=len(pairs))
        gain = change.low if found.higher_is_better else -change.high
        assert gain > 0, f"{better} against {worse}: {change}"


def test_every_shipped_experiment_asks_a_question_and_has_its_finding():
    assert set(shipped()) == set(FINDINGS)
    assert all(question.endswith("?") for question in shipped().values())


@pytest.mark.parametrize("name", sorted(FINDINGS))
def test_it_is_a_few_seeds_of_valid_trials(name, request):
    if name == "init-and-activation":
        request.getfixturevalue("mnist_folder")
    experiment = Experiment.of(read_experiment(name), name)
    assert experiment.seeds.count == {"optimizers": 3, "init-and-activation": 8}.get(name, 5)
    assert len(experiment.trials()) == experiment.seeds.count * len(experiment.arms)
    assert {label for pair in FINDINGS[name] for label in pair} <= {arm.label for arm in experiment.arms}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FINDINGS))
def test_the_finding_holds(name, found, request):
    if name == "init-and-activation":
        request.getfixturevalue("mnist_folder")
    check_finding(found(name), FINDINGS[name])


@pytest.mark.slow
def test_a_deep_sigmoid_without_a_gradient_guesses_among_ten_classes(found):
    arms = {arm.label: arm.mean for arm in found("depth").arms}
    assert arms["sigmoid, sgd, 10 layers"] < 0.12
    assert arms["tanh, sgd, 10 layers"] > 0.8


@pytest.mark.slow
def test_sgd_on_unscaled_columns_predicts_the_more_frequent_class(found):
    comparison = found("scaling")
    values = next(arm.values for arm in comparison.arms if arm.label == "as they are, sgd")
    for trial, value in zip((t for t in comparison.trials if t.arm.label == "as they are, sgd"), values, strict=True):
        benign = trial.spec.data.load(trial.seed).validation.y.mean()
        assert value == pytest.approx(max(benign, 1 - benign))


@pytest.mark.slow
def test_a_rate_of_16_times_makes_up_for_batches_of_16_times(found):
    losses = {arm.label: arm.mean for arm in found("batch-size").arms}
    gap = losses["256 rows"] - losses["16 rows"]
    assert abs(losses["256 rows, 16 x the rate"] - losses["16 rows"]) < 0.15 * gap


@pytest.mark.slow
def test_the_loss_with_a_falling_rate_is_near_the_noise_of_the_targets(found):
    arms = {arm.label: arm for arm in found("plateau").arms}
    assert 0.9 * 0.3**2 < arms["0.01, halved on a plateau"].mean < 1.1 * 0.3**2
    assert arms["0.01, halved on a plateau"].better is True


@pytest.mark.slow
def test_one_shuffle_is_nearly_as_good_as_one_for_each_epoch(found):
    arms = {arm.label: arm for arm in found("order").arms}
    cost = arms["sorted"].difference.mean
    assert abs(arms["shuffled once"].difference.mean) < 0.15 * cost
