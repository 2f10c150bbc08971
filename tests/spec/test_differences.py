from thalweg.spec.differences import canonical_json, differences
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
        "loss.kind",
        "loss.label_smoothing",
        *(f"stopping.{name}" for name in ("measure", "threshold", "target", "seconds")),
    }
    assert "stopping.target: 0.99 -> None" in lines


def test_the_order_of_keys_does_not_change_the_canonical_text():
    assert canonical_json({"a": 1, "b": {"c": 2, "d": 3}}) == canonical_json({"b": {"d": 3, "c": 2}, "a": 1})
