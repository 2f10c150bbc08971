"""The shipped examples reach their accuracy."""

import pytest

from thalweg.runs.train import run_spec
from thalweg.spec.toml import example_names, read_spec

# The lowest accuracy on the test rows, or on the training rows if the example has no test rows.
LOWEST = {
    "xor": 1.0,
    "rings": 0.95,
    "digits": 0.97,
    "flowers": 0.85,
    "perceptron": 1.0,
    "adaline": 0.95,
    "mnist": 0.975,
    "mnist-best": 0.986,
    "mnist-conv": 0.985,
    "deep-normalised": 0.9,
    "deep-residual": 0.9,
    "deep-initialised": 0.9,
}
# The highest accuracy of an example that does not learn: each of ten digits makes up a tenth of the rows.
HIGHEST = {"deep-plain": 0.15}
SLOW = {"mnist-conv", "deep-normalised", "deep-residual", "deep-initialised"}
# Its accuracy is claimed in the mean of three seeds.
IN_THE_MEAN = {"mnist-best"}
# Two of its twelve epochs reach the lowest accuracy.
SHORTENED = {"mnist-conv": ["training.epochs=2"]}
DEEP = ("deep-plain", "deep-normalised", "deep-residual", "deep-initialised")


def test_every_example_has_an_expected_accuracy():
    assert {*LOWEST, *HIGHEST} == set(example_names())


@pytest.mark.parametrize(
    "name",
    [
        *sorted({*LOWEST} - SLOW - IN_THE_MEAN),
        *(pytest.param(name, marks=pytest.mark.slow) for name in sorted(SLOW)),
    ],
)
def test_an_example_reaches_its_accuracy(name, request):
    if name.startswith("mnist"):
        request.getfixturevalue("mnist_folder")
    run = run_spec(read_spec(name, SHORTENED.get(name, ())))
    assert list(run.measures.values())[-1]["accuracy"] >= LOWEST[name]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_mnist_reaches_its_accuracy_with_every_seed(seed, mnist_folder):
    run = run_spec(read_spec("mnist", [f"training.seed={seed}"]))
    assert run.measures["test"]["accuracy"] >= LOWEST["mnist"]


@pytest.mark.slow
def test_mnist_best_reaches_its_accuracy_in_the_mean_of_three_seeds(mnist_folder):
    runs = [run_spec(read_spec("mnist-best", [f"training.seed={seed}"])) for seed in range(3)]
    assert sum(run.measures["test"]["accuracy"] for run in runs) / 3 >= LOWEST["mnist-best"]


@pytest.mark.parametrize("seed", range(3))
def test_the_demo_reaches_its_accuracy_with_every_seed(seed):
    run = run_spec(read_spec("digits", [f"training.seed={seed}"]))
    assert run.measures["test"]["accuracy"] >= LOWEST["digits"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_thirty_layers_learn_with_each_remedy_and_not_without(seed):
    runs = {name: run_spec(read_spec(name, [f"training.seed={seed}"])) for name in DEEP}
    accuracy = {name: run.measures["test"]["accuracy"] for name, run in runs.items()}
    assert accuracy.pop("deep-plain") <= HIGHEST["deep-plain"]
    assert {name for name, value in accuracy.items() if value >= LOWEST[name]} == set(accuracy)


def test_the_deep_examples_differ_in_one_thing_each():
    plain = read_spec("deep-plain").describe()
    for name in DEEP[1:]:
        network = read_spec(name).describe()["network"]
        same = "layers" if name == "deep-initialised" else "init"
        assert network[same] == plain["network"][same]
        assert {**read_spec(name).describe(), "network": None} == {**plain, "network": None}
