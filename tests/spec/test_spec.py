import numpy as np
import pytest

from thalweg import optimizers
from thalweg.core.errors import InputError
from thalweg.data import Data
from thalweg.models.network import Network
from thalweg.parts.clipping import ClipGlobalNorm
from thalweg.parts.layers import Dense, ReLU, Sigmoid
from thalweg.parts.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    MeanSquaredError,
    SigmoidBinaryCrossEntropy,
    SoftmaxCrossEntropy,
)
from thalweg.parts.regularization import Regularization
from thalweg.parts.schedules import Cosine
from thalweg.parts.settings import Checkpoints, Stopping
from thalweg.spec.complete import completed
from thalweg.spec.differences import differences
from thalweg.spec.edit import assign, set_value
from thalweg.spec.spec import Spec
from thalweg.spec.toml import example_names, read_spec, spec_of, to_toml

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
        ("network.layers.0.width=5", ("network", "layers", 0), {"kind": "dense", "width": 5}),
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


CRAFT = FULL | {
    "training": {"epochs": 3, "engine": "eager", "accumulate": 4, "clip": "global_norm 1.0", "average": 0.999},
    "regularization": {"l1": 1e-5, "l2": 1e-4, "weight_decay": 0.01, "max_norm": 3.0, "biases": True},
    "stopping": {"measure": "validation_accuracy", "patience": 5, "threshold": 0.01, "target": 0.99, "seconds": 60.0},
    "checkpoints": {"every": 2, "keep": 5, "best": False},
}


def test_the_sections_of_a_training_survive_their_own_toml(tmp_path):
    spec = Spec.of(CRAFT)
    path = tmp_path / "again.toml"
    path.write_text(to_toml(spec))
    assert read_spec(str(path)) == spec
    assert (spec.training.clip, spec.training.accumulate) == (ClipGlobalNorm(1.0), 4)
    assert spec.regularization == Regularization(1e-5, 1e-4, 0.01, 3.0, True)
    assert spec.stopping == Stopping("validation_accuracy", 5, 0.01, None, 0.99, 60.0)
    assert spec.checkpoints == Checkpoints(2, 5, False)


def test_without_their_sections_everything_is_off():
    spec = Spec.of(FULL)
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
def test_a_wrong_value_of_a_section_is_named(place, value):
    section, name = place.split(".")
    with pytest.raises(InputError, match=place):
        spec_of({**FULL, section: {name: value}}, "my.toml")


def test_differences_name_every_value_that_changed():
    old, new = Spec.of(CRAFT).describe(), Spec.of(CRAFT | {"loss": "hinge", "stopping": {"patience": 5}}).describe()
    assert differences(old, old) == []
    found = differences(old, new)
    assert {line.partition(":")[0] for line in found} == {
        "loss.kind",
        "loss.label_smoothing",
        *(f"stopping.{name}" for name in ("measure", "threshold", "target", "seconds")),
    }
    assert "stopping.target: 0.99 -> None" in found


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"optimizer": "momentum 0.1 0.8"}, optimizers.Momentum(0.02, 0.8)),
        ({}, optimizers.Adam(0.02)),
        ({"optimizer": {"kind": "sgd"}}, optimizers.SGD(0.02)),
    ],
    ids=str,
)
def test_a_setting_leaves_the_other_options_of_a_part_as_they_are(given, rule):
    table = {"data": "rings", **given}
    assign(table, "optimizer.learning_rate=0.02")
    assert Spec.of(table).optimizer == rule


def test_files_beside_a_spec_are_found_whatever_the_current_folder_is(tmp_path):
    for part in "xy":
        np.save(tmp_path / f"{part}.npy", np.arange(4))
    (tmp_path / "npy").write_text("a file that is called like a kind")
    file = tmp_path / "spec.toml"
    file.write_text('[data]\nsource = { kind = "npy", x = "x.npy", y = "elsewhere.npy" }\n')
    source = read_spec(str(file)).data.source
    assert (source.x, source.y) == (str(tmp_path / "x.npy"), "elsewhere.npy")


def test_a_list_in_the_place_of_a_network_is_one_of_its_layers():
    layers = ["dense 4", "tanh", "dense 2", "softmax"]
    whole = Spec.of({"data": "xor", "network": {"layers": layers}})
    assert Spec.of({"data": "xor", "network": layers}) == whole
    table = {"data": "xor", "network": list(layers)}
    set_value(table, "network.init", "zeros")
    set_value(table, "network.layers.0", "dense 5")
    assert table["network"] == {"layers": ["dense 5", *layers[1:]], "init": "zeros"}
