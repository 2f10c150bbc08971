import pytest
from input_errors import input_error

from thalweg.core.errors import InputError
from thalweg.models.network import Network
from thalweg.parts.layers import Dense, ReLU, Sigmoid
from thalweg.parts.regularization import Regularization
from thalweg.parts.schedules import Cosine
from thalweg.parts.settings import Checkpoints, Stopping
from thalweg.spec.spec import Spec, data_name

SPEC = {
    "data": {"source": "rings"},
    "network": {"layers": ["dense 8", "relu", "dense 2", "softmax"]},
    "loss": {"kind": "cross_entropy"},
    "optimizer": {"kind": "nesterov", "learning_rate": {"kind": "cosine", "peak": 0.1, "steps": "10 epochs"}},
}


def test_every_problem_is_reported_with_its_place():
    table = {
        "data": {"source": "ring", "validation": 1.5},
        "network": {"layers": ["dense 8", "rellu", {"kind": "dense", "widht": 3}]},
        "optimizer": {"kind": "adam", "learning_rate": -1, "beta_1": "much"},
        "trainig": {},
    }
    with pytest.raises(InputError) as raised:
        Spec.of(table)
    messages = {problem.place: problem.message for problem in raised.value.problems}
    for place, fact in {
        "data.source": "'rings'",
        "data.validation": "1.5",
        "network.layers[1]": "'relu'",
        "network.layers[2].widht": "'width'",
        "network.layers[2].width": "dense",
        "optimizer.learning_rate": "-1",
        "optimizer.beta_1": "much",
        "trainig": "'training'",
    }.items():
        assert fact in messages[place]


def test_python_and_toml_mean_the_same():
    spec = Spec.of({**SPEC, "network": Network([Dense(8), ReLU(), Dense(1), Sigmoid()])})
    assert spec.network == Network(["dense 8", "relu", "dense 1", "sigmoid"])
    assert spec.optimizer.learning_rate == Cosine(0.1, steps="10 epochs")


def test_a_list_in_place_of_a_network_is_its_layers():
    layers = ["dense 4", "tanh", "dense 2", "softmax"]
    spec = Spec.of({"data": "xor", "network": {"layers": layers}})
    assert Spec.of({"data": "xor", "network": layers}) == spec


def test_without_their_sections_everything_is_off():
    spec = Spec.of(SPEC)
    assert (spec.training.clip, spec.training.average, spec.training.accumulate) == (None, None, 1)
    assert (spec.regularization, spec.stopping, spec.checkpoints) == (Regularization(), Stopping(), Checkpoints())
    assert not spec.stopping.keeps_best


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("training.accumulate", 0),
        ("training.clip", "norm -1"),
        ("training.average", 1.0),
        ("regularization.l1", -1),
        ("stopping.patience", 0),
        ("checkpoints.every", 0),
        ("checkpoints.keep", 0),
        ("stopping.pateince", 3),
    ],
)
def test_a_wrong_value_is_rejected_at_its_place(place, value):
    section, name = place.split(".")
    with pytest.raises(InputError) as raised:
        Spec.of({**SPEC, section: {name: value}})
    assert [problem.place.partition("[")[0] for problem in raised.value.problems if problem.place.startswith(place)]


def test_a_linear_unit_takes_no_loss_optimizer_or_batch_size():
    unit = {"data": "xor", "network": "perceptron", "loss": "hinge", "training": {"batch_size": 3}}
    with input_error("network", "loss", "training.batch_size", "pocket"):
        Spec.of(unit)


@pytest.mark.parametrize(
    ("source", "name"),
    [("rings", "rings"), ({"kind": "rings", "noise": 0.3}, "rings"), ("folder/rows.csv", "rows.csv")],
)
def test_the_name_of_the_data(source, name):
    assert data_name(Spec.of({"data": {"source": source}})) == name
