"""Two trainings with one thing changed: the replay finds its step, its layer and its quantity."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from thalweg.data import Dataset
from thalweg.experiments.run_diff.lockstep import lockstep
from thalweg.spec.spec import Spec
from thalweg.training.session import Session

LAYERS = ["dense 16", "tanh", "dense 2", "softmax"]
TABLES = {
    "data": {"source": "moons 200"},
    "network": {"layers": LAYERS},
    "optimizer": "adam 0.01",
    "training": {"epochs": 4, "engine": "eager"},
}
PER_EPOCH = 5


def session(**changes):
    tables = {name: dict(value) if isinstance(value, dict) else value for name, value in TABLES.items()}
    for path, value in changes.items():
        section, _, key = path.partition("__")
        if key:
            tables.setdefault(section, {})[key] = value
        else:
            tables[section] = value
    return Session.load(Spec.of(tables))


def compared(one, other, steps=1000):
    return lockstep(one, other, steps=steps, seconds=60, watch=lambda message: None)


def place(found):
    return found.parting.step, found.parting.name, found.parting.layer, found.parting.part


def test_the_same_training_is_the_same_to_the_bit():
    found = compared(session(), session())
    assert (found.verdict, found.steps, found.planned) == ("same", 4 * PER_EPOCH, 4 * PER_EPOCH)
    assert not any([*found.weights, *found.loss])
    assert [len(history) for history in found.histories] == [4, 4]


LAST_ZERO = [*LAYERS[:2], {"kind": "dense", "width": 2, "init": "zeros"}, "softmax"]
RESIDUAL = [*LAYERS[:2], {"kind": "residual", "layers": ["dense 16", "tanh"]}, *LAYERS[2:]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"optimizer": "adam 0.02"}, (1, "update", "1: dense 16", "W")),
        # The first update of Adam does not depend on beta_2.
        ({"optimizer": {"kind": "adam", "learning_rate": 0.01, "beta_2": 0.9}}, (2, "update", "1: dense 16", "W")),
        ({"training__seed": 1}, (1, "rows", "", "inputs")),
        ({"network__layers": LAST_ZERO}, (1, "weights", "3: dense 2", "W")),
        ({"network__layers": [*LAYERS[:2], "dense 2", "sigmoid"]}, (1, "output", "4: softmax", "")),
        ({"network__layers": ["dense 8", *LAYERS[1:]]}, (1, "weights", "1: dense 16", "W")),
        ({"network__layers": RESIDUAL}, (1, "weights", "3: dense 2", "W")),
        ({"network__layers": [*LAYERS[:3], "dropout 0.1", "softmax"]}, (1, "weights", "4: softmax", "")),
        ({"loss": "squared_error"}, (1, "loss", "", "")),
        ({"regularization": {"l2": 0.01}}, (1, "update", "1: dense 16", "W")),
        ({"training__batch_size": 16}, (1, "rows", "", "inputs")),
        # A fixed order repeats the first one, so that the second epoch is another.
        ({"data__order": "fixed"}, (PER_EPOCH + 1, "rows", "", "inputs")),
    ],
)
def test_one_change_is_found_where_it_first_acts(changes, expected):
    found = compared(session(**changes), session())
    mirrored = compared(session(), session(**changes))
    assert found.verdict == mirrored.verdict == "differs"
    assert expected in (place(found), place(mirrored))
    assert place(found)[:2] == place(mirrored)[:2] == expected[:2]
    # Both go on alone to the end of an epoch, for comparison with their records.
    assert all(found.histories)


def test_a_rate_is_named_with_its_size():
    found = compared(session(), session(optimizer="adam 0.02"))
    assert found.parting.difference == pytest.approx(0.5)
    assert found.parting.bound < 1e-12
    assert (found.start.verdict, found.first_rows.verdict) == ("same", "same")
    assert [part.verdict for part in found.quantities if part.name != "update"] == ["same"] * (
        len(found.quantities) - 4
    )


def with_label(session, row):
    train = session.split.train
    y = train.y.copy()
    y[row] = 1 - y[row]
    changed = Dataset(train.x, y, train.task, target_names=train.target_names, precision=train.precision)
    return Session(session.spec, dataclasses.replace(session.split, train=changed))


def test_one_label_is_found_in_the_step_that_meets_its_row():
    one = session()
    chunk = next(one.batches.chunks(one.engine, 0, 1))
    for row in (3, 77):
        step = int(np.argwhere(chunk.rows[:PER_EPOCH] == row)[0][0]) + 1
        found = compared(one, with_label(session(), row))
        assert place(found) == (step, "rows", "", "targets")
        assert found.parting.remark == "1 of 32 rows differ"


def test_rows_in_another_order_are_told_from_other_rows():
    full = {"training__batch_size": "full", "data__order": "shuffled"}
    one = session(**full)
    other = Session(one.spec, dataclasses.replace(one.split, order=session(data__order="fixed").split.order))
    found = compared(one, other)
    assert place(found) == (2, "rows", "", "inputs")
    assert found.parting.remark == "the same rows in another order"


def test_noise_of_another_seed_is_found_in_its_layer():
    layers = ["dense 16", "tanh", "dropout 0.5", "dense 2", "softmax"]
    # Without validation rows a replay needs no other session.
    one = session(network__layers=layers, data__validation=0.0)
    other = Session(one.spec, one.split)
    object.__setattr__(other, "start", one.start._replace(key=one.start.key + 1))
    assert place(compared(one, other)) == (1, "output", "3: dropout", "")


@pytest.mark.parametrize("layers", [LAYERS, ["dense 16", "batch_norm", "relu", "dropout 0.2", "dense 2", "softmax"]])
@pytest.mark.parametrize("optimizer", ["adam 0.01", "sgd 0.5"])
@pytest.mark.parametrize("where", [{"training__engine": "compiled"}, {"training__precision": "float32"}])
def test_engine_and_precision_are_rounding_only(layers, optimizer, where):
    shared = {"network__layers": layers, "optimizer": optimizer}
    found = compared(session(**shared), session(**shared, **where))
    assert (found.verdict, found.steps) == ("rounding", 4 * PER_EPOCH)
    assert 0 < found.loss.max() < 1e-3


def test_a_regression_is_rounding_only_as_well():
    shared = {"data__source": "diabetes", "network__layers": ["dense 16", "relu", "dense 1"]}
    assert compared(session(**shared), session(**shared, training__engine="compiled"), steps=20).verdict == "rounding"


def test_rounding_that_grows_without_limit_stays_rounding():
    """A network at the edge of stability: a difference in the last bit becomes one of the order of the weights."""
    shared = {"optimizer": "sgd 30", "training__epochs": 40}
    found = compared(session(**shared), session(**shared, training__precision="float32"))
    assert found.weights[-1] > 1e-3
    assert found.growth > 1
    assert found.verdict == "rounding"


def test_the_budget_ends_the_comparison():
    found = compared(session(), session(), steps=3)
    assert (found.steps, found.planned, found.verdict) == (3, 4 * PER_EPOCH, "same")
    found = lockstep(session(), session(), steps=1000, seconds=1e-9, watch=lambda message: None)
    assert found.steps == 1


def test_a_rate_that_follows_a_measure_is_replayed_for_an_epoch():
    rate = {"kind": "plateau", "initial": 0.01}
    optimizer = {"kind": "adam", "learning_rate": rate}
    assert compared(session(optimizer=optimizer), session(optimizer=optimizer)).planned == PER_EPOCH


def test_ctrl_c_ends_it():
    def interrupt(message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lockstep(session(), session(), steps=10, seconds=60, watch=interrupt)
