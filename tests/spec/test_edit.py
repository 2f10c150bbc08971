import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_errors import input_error

from thalweg import optimizers
from thalweg.spec.edit import assign, set_value
from thalweg.spec.spec import Spec
from thalweg.spec.values import shell_text, shell_value

LAYERS = ["dense 8", {"kind": "leaky_relu", "alpha": 0.2}, "dense 2", "softmax"]
SPEC = {
    "data": {"source": {"kind": "rings", "samples": 500}},
    "network": {"layers": LAYERS, "init": "he_uniform"},
    "loss": {"kind": "cross_entropy"},
    "optimizer": {"kind": "nesterov", "learning_rate": {"kind": "cosine", "peak": 0.1, "steps": "10 epochs"}},
    "training": {"epochs": 3, "batch_size": "full", "engine": "eager"},
}


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("optimizer.learning_rate=0.01", ("optimizer", "learning_rate"), 0.01),
        ("training.engine=compiled", ("training", "engine"), "compiled"),
        ("network.layers.0=dense 4", ("network", "layers"), ["dense 4", *LAYERS[1:]]),
        ("network.layers.0.width=5", ("network", "layers", 0), {"kind": "dense", "width": 5}),
        ("loss.kind='hinge'", ("loss", "kind"), "hinge"),
        ("data.source=moons", ("data", "source"), "moons"),
    ],
)
def test_an_assignment_changes_one_value(assignment, path, value):
    table = copy.deepcopy(SPEC)
    assign(table, assignment)
    for key in path:
        table = table[key]
    assert table == value


@pytest.mark.parametrize(
    ("assignment", "fact"),
    [
        ("epochs", "'epochs'"),
        ("=3", "''"),
        (".epochs=3", "'.epochs'"),
        ("network.layers.9=relu", "from 0 to 3"),
        ("network.layers.x=relu", "'x'"),
        ("training.epochs.x=1", "training.epochs.x: epochs is the value 3"),
    ],
)
def test_a_wrong_assignment_is_rejected(assignment, fact):
    with input_error("--set", fact):
        assign(copy.deepcopy(SPEC), assignment)


@pytest.mark.parametrize(
    ("sections", "optimizer"),
    [
        ({"optimizer": "momentum 0.1 0.8"}, optimizers.Momentum(0.02, 0.8)),
        ({}, optimizers.Adam(0.02)),
        ({"optimizer": {"kind": "sgd"}}, optimizers.SGD(0.02)),
    ],
    ids=str,
)
def test_an_assignment_keeps_the_other_options_of_a_part(sections, optimizer):
    table = {"data": "rings", **sections}
    assign(table, "optimizer.learning_rate=0.02")
    assert Spec.of(table).optimizer == optimizer


def test_a_list_of_layers_becomes_a_table_when_it_is_edited():
    layers = ["dense 4", "tanh", "dense 2", "softmax"]
    table = {"data": "xor", "network": list(layers)}
    set_value(table, "network.init", "zeros")
    set_value(table, "network.layers.0", "dense 5")
    assert table["network"] == {"layers": ["dense 5", *layers[1:]], "init": "zeros"}


def test_a_bare_source_becomes_a_table_when_the_data_are_edited():
    table = {"data": "xor"}
    set_value(table, "data.validation", 0.2)
    assert table == {"data": {"source": "xor", "validation": 0.2}}


json_values = st.recursive(
    st.booleans() | st.integers(-(2**31), 2**31) | st.text("abc 01.'\"=[]{}\\", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", min_size=1), inner, max_size=3),
)


@given(value=json_values)
def test_the_shell_reads_the_text_of_a_value_as_the_value(value):
    assert shell_value(shell_text(value)) == value
