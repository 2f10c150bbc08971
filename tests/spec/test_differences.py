from thalweg.spec.differences import Change, canonical_json, changes, differences
from thalweg.spec.edit import set_value
from thalweg.spec.spec import Spec

SPEC = {
    "data": "rings",
    "loss": "cross_entropy",
    "stopping": {"measure": "validation_accuracy", "patience": 5, "threshold": 0.01, "target": 0.99, "seconds": 60.0},
}


def test_differences_name_every_value_that_changed():
    old = Spec.of(SPEC).describe()
    new = Spec.of(SPEC | {"loss": "hinge", "stopping": {"patience": 5}}).describe()
    assert differences(old, old) == []
    lines = differences(old, new)
    assert {line.partition(":")[0] for line in lines} == {
        "loss",
        *(f"stopping.{name}" for name in ("measure", "threshold", "target", "seconds")),
    }
    assert "stopping.target: 0.99 -> None" in lines


def test_the_order_of_keys_does_not_change_the_canonical_text():
    assert canonical_json({"a": 1, "b": {"c": 2, "d": 3}}) == canonical_json({"b": {"d": 3, "c": 2}, "a": 1})


def test_each_change_can_be_made_alone():
    layers = ["dense 8", "tanh", "dense 2", "softmax"]
    old = Spec.of(SPEC | {"network": {"layers": layers}, "optimizer": "sgd 0.1"})
    new = Spec.of(SPEC | {"network": {"layers": ["dense 8", "relu", *layers[2:]]}, "optimizer": "adam 0.1"})
    found = changes(old.describe(), new.describe())
    assert [change.path for change in found] == ["network.layers.1", "optimizer"]
    assert found[0] == Change("network.layers.1", "tanh", "relu")
    for change in found:
        table = old.describe()
        set_value(table, change.path, change.after)
        assert [left.path for left in changes(Spec.of(table).describe(), new.describe())] == [
            other.path for other in found if other != change
        ]


def test_lists_of_other_lengths_are_one_change():
    assert changes({"layers": ["relu"]}, {"layers": ["relu", "relu"]}) == [Change("layers", ["relu"], ["relu", "relu"])]
