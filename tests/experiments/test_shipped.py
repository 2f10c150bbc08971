"""The findings of the shipped experiments: always in a quick form, in their full form among the slow tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from thalweg.core.intervals import difference
from thalweg.experiments.compare import run_experiment
from thalweg.experiments.comparison import Comparison
from thalweg.experiments.experiment import Experiment
from thalweg.experiments.shipped import read_experiment, shipped
from thalweg.spec.edit import set_value

# The findings: the first arm of each pair is better than the second, by an interval that excludes 0.
BETTER = {
    "momentum-and-rate": [
        ("momentum 0.9, 0.005", "no momentum, 0.01"),
        ("momentum 0.9, 0.01 halved", "no momentum, 0.01"),
    ],
    "init-and-activation": [
        ("relu, he, 10 layers", "relu, glorot, 10 layers"),
    ],
    "plateau": [("0.01, halved on a plateau", "0.01")],
    "depth": [
        ("sigmoid, sgd, 2 layers", "sigmoid, sgd, 10 layers"),
        ("tanh, sgd, 10 layers", "sigmoid, sgd, 10 layers"),
        ("relu, sgd, 10 layers", "sigmoid, sgd, 10 layers"),
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
# Findings about arms that only the full form has.
IN_FULL = {
    "init-and-activation": [("relu, he, 3 layers", "relu, glorot, 3 layers")],
    "depth": [
        ("sigmoid, sgd, 2 layers", "sigmoid, sgd, 5 layers"),
        ("sigmoid, adam, 2 layers", "sigmoid, adam, 5 layers"),
        ("tanh, adam, 10 layers", "sigmoid, adam, 10 layers"),
        ("relu, adam, 10 layers", "sigmoid, adam, 10 layers"),
    ],
}

_TEN = [32] * 10
# Changes of the quick form: fewer epochs, and of many arms only those that the finding is about.
QUICK: dict[str, dict[str, object]] = {
    "momentum-and-rate": {"training.epochs": 15, "data.source.samples": 1000},
    "init-and-activation": {
        "data.source": "digits",
        "data.validation": 0.3,
        "training.epochs": 10,
        "vary.depth": {"10 layers": {"network": {"hidden": _TEN}}},
    },
    "plateau": {},
    "depth": {
        "training.epochs": 10,
        "vary.method": {"sgd": {"optimizer": "sgd 0.1"}},
        "vary.depth": {"2 layers": {"network": {"hidden": [32, 32]}}, "10 layers": {"network": {"hidden": _TEN}}},
    },
    "order": {},
    "batch-size": {"training.epochs": 20},
    "scaling": {"training.epochs": 10},
    "loss": {"training.epochs": 10, "vary.optimizer.learning_rate": [0.1, 0.3, 1.0, 3.0], "seeds.fresh": 3},
    "optimizers": {
        "vary": {"optimizer": ["sgd", "adam"], "optimizer.learning_rate": [0.01, 0.3]},
        "seeds.fresh": 3,
    },
}


def quick(name: str) -> Experiment:
    table = read_experiment(name)
    for path, value in QUICK[name].items():
        set_value(table, path, value)
    return Experiment.of(table, name)


@pytest.fixture(scope="module")
def found() -> Callable[[str], Comparison]:
    """A function from a name to the comparison of its quick form, which is run once."""
    known: dict[str, Comparison] = {}

    def of(name: str) -> Comparison:
        if name not in known:
            known[name] = run_experiment(quick(name), jobs=1)
        return known[name]

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
    assert set(shipped()) == set(BETTER) == set(QUICK)
    assert all(question.endswith("?") for question in shipped().values())


@pytest.mark.parametrize("name", sorted(BETTER))
def test_the_full_form_is_a_few_seeds_of_valid_trials(name, request):
    if name == "init-and-activation":
        request.getfixturevalue("mnist_folder")
    experiment = Experiment.of(read_experiment(name), name)
    assert experiment.seeds.count == {"optimizers": 3, "init-and-activation": 8}.get(name, 5)
    assert len(experiment.trials()) == experiment.seeds.count * len(experiment.arms)
    pairs = BETTER[name] + IN_FULL.get(name, [])
    assert {label for pair in pairs for label in pair} <= {arm.label for arm in experiment.arms}


@pytest.mark.parametrize("name", sorted(BETTER))
def test_the_quick_form_shows_the_finding(name, found):
    check_finding(found(name), BETTER[name])


def test_a_deep_sigmoid_without_a_gradient_guesses_among_ten_classes(found):
    arms = {arm.label: arm.mean for arm in found("depth").arms}
    assert arms["sigmoid, sgd, 10 layers"] < 0.12
    assert arms["tanh, sgd, 10 layers"] > 0.8


def test_sgd_on_unscaled_columns_predicts_the_more_frequent_class(found):
    comparison = found("scaling")
    values = next(arm.values for arm in comparison.arms if arm.label == "as they are, sgd")
    for trial, value in zip((t for t in comparison.trials if t.arm.label == "as they are, sgd"), values, strict=True):
        benign = trial.spec.data.load(trial.seed).validation.y.mean()
        assert value == pytest.approx(max(benign, 1 - benign))


def test_a_rate_of_16_times_makes_up_for_batches_of_16_times(found):
    losses = {arm.label: arm.mean for arm in found("batch-size").arms}
    gap = losses["256 rows"] - losses["16 rows"]
    assert abs(losses["256 rows, 16 x the rate"] - losses["16 rows"]) < 0.15 * gap


def test_the_loss_with_a_falling_rate_is_near_the_noise_of_the_targets(found):
    arms = {arm.label: arm for arm in found("plateau").arms}
    assert 0.9 * 0.3**2 < arms["0.01, halved on a plateau"].mean < 1.1 * 0.3**2
    assert arms["0.01, halved on a plateau"].better is True


def test_one_shuffle_is_nearly_as_good_as_one_for_each_epoch(found):
    arms = {arm.label: arm for arm in found("order").arms}
    cost = arms["sorted"].difference.mean
    assert abs(arms["shuffled once"].difference.mean) < 0.15 * cost


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BETTER))
def test_the_full_form_shows_the_finding(name, request):
    if name == "init-and-activation":
        request.getfixturevalue("mnist_folder")
    comparison = run_experiment(Experiment.of(read_experiment(name), name), jobs=1)
    check_finding(comparison, BETTER[name] + IN_FULL.get(name, []))
