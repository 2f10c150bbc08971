import pytest

from thalweg.data import Data
from thalweg.errors import InputError
from thalweg.layers import Dense, ReLU, Sigmoid
from thalweg.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    MeanSquaredError,
    SigmoidBinaryCrossEntropy,
    SoftmaxCrossEntropy,
)
from thalweg.network import Network
from thalweg.schedules import Cosine
from thalweg.spec import Spec, assign, completed, example_names, read_spec, spec_of, to_toml

FULL = {
    "data": {"source": {"kind": "rings", "samples": 500}, "validation": 0.25},
    "network": {
        "layers": ["dense 8", {"kind": "leaky_relu", "alpha": 0.2}, "dense 2", "softmax"],
        "init": "he_uniform",
    },
    "loss": {"kind": "cross_entropy"},
    "optimizer": {"kind": "nesterov", "learning_rate": {"kind": "cosine", "peak": 0.1, "steps": "10 epochs"}},
    "training": {"epochs": 3, "batch_size": "full", "engine": "eager"},
}


def test_a_spec_survives_its_own_toml(tmp_path):
    spec = Spec.of(FULL)
    path = tmp_path / "again.toml"
    path.write_text(to_toml(spec))
    assert read_spec(str(path)) == spec


@pytest.mark.parametrize("name", example_names())
def test_every_example_survives_its_own_toml(name, tmp_path):
    path = tmp_path / "again.toml"
    path.write_text(to_toml(read_spec(name)))
    assert read_spec(str(path)) == read_spec(name)


def test_all_problems_are_told_at_once_each_with_its_place():
    table = {
        "data": {"source": "ring", "validation": 1.5},
        "network": {"layers": ["dense 8", "rellu", {"kind": "dense", "widht": 3}]},
        "optimizer": {"kind": "adam", "learning_rate": -1, "beta_1": "much"},
        "trainig": {},
    }
    with pytest.raises(InputError) as raised:
        spec_of(table, "my.toml")
    text = str(raised.value)
    assert text.startswith("my.toml: ")
    for place, hint in {
        "data.source": "'rings'",
        "data.validation": "1.5",
        "network.layers[1]": "'relu'",
        "network.layers[2].widht": "'width'",
        "network.layers[2].width": "missing",
        "optimizer.learning_rate": "greater than or equal to 0",
        "optimizer.beta_1": "much",
        "trainig": "'training'",
    }.items():
        assert any(place in line and hint in line for line in text.splitlines()), (place, text)


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("optimizer.learning_rate=0.01", ("optimizer", "learning_rate"), 0.01),
        ("training.engine=compiled", ("training", "engine"), "compiled"),
        ("network.layers.0=dense 4", ("network", "layers"), ["dense 4", *FULL["network"]["layers"][1:]]),
        ("loss.kind='hinge'", ("loss", "kind"), "hinge"),
        ("data.source=moons", ("data", "source"), "moons"),
    ],
)
def test_the_shell_sets_values(assignment, path, value):
    import copy

    table = copy.deepcopy(FULL)
    assign(table, assignment)
    for key in path:
        table = table[key]
    assert table == value


@pytest.mark.parametrize(
    "assignment", ["epochs", "=3", ".epochs=3", "network.layers.9=relu", "network.layers.x=relu", "training.epochs.x=1"]
)
def test_a_wrong_assignment_is_refused(assignment):
    import copy

    with pytest.raises(InputError, match="--set"):
        assign(copy.deepcopy(FULL), assignment)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("digit", "did you mean 'digits'"),
        ("nowhere.toml", "can not be read"),
    ],
)
def test_an_unknown_spec_is_told_with_a_hint(name, said):
    with pytest.raises(InputError, match=said):
        read_spec(name)


def test_text_that_is_no_toml_is_refused(tmp_path):
    for content in (b"[data\nsource=1", b"\xff\xfe\x00"):
        path = tmp_path / "bad.toml"
        path.write_bytes(content)
        with pytest.raises(InputError, match="is no TOML"):
            read_spec(str(path))


@pytest.mark.parametrize(
    ("layers", "source", "loss"),
    [
        (["dense 2", "softmax"], "rings", CrossEntropy()),
        (["dense 1", "sigmoid"], "rings", BinaryCrossEntropy()),
        (["dense 2"], "rings", SoftmaxCrossEntropy()),
        (["dense 1"], "rings", SigmoidBinaryCrossEntropy()),
        (["dense 1"], "wave", MeanSquaredError()),
    ],
)
def test_the_loss_follows_output_and_task(layers, source, loss):
    spec = Spec(Data.of(source), Network(layers))
    assert completed(spec, spec.data.load(0).train).loss == loss


def test_a_bare_source_gets_a_network_that_fits():
    spec = read_spec("iris")
    assert completed(spec, spec.data.load(0).train).network.layers[-2] == Dense(3)


def test_python_and_toml_mean_the_same():
    spec = Spec.of({**FULL, "network": Network([Dense(8), ReLU(), Dense(1), Sigmoid()])})
    assert spec.network == Network(["dense 8", "relu", "dense 1", "sigmoid"])
    assert spec.optimizer.learning_rate == Cosine(0.1, steps="10 epochs")
