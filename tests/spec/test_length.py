"""The length that a spec with automatic epochs gets: a budget of updates, patience, holdouts."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.data import Data, Dataset
from thalweg.parts.part import Optimizer
from thalweg.parts.settings import Stopping, Training
from thalweg.spec.complete import completed
from thalweg.spec.length import with_length
from thalweg.spec.spec import CompleteSpec, Spec


def rows(number):
    return Dataset(np.zeros((number, 2)), np.zeros(number, int), "classification")


OPEN = Training("auto")
NOTHING = Stopping()


def length(number, training=OPEN, stopping=NOTHING, optimizer="adam", **data):
    return with_length(training, stopping, Optimizer.of(optimizer), Data("iris", **data), rows(number))


@pytest.mark.parametrize("number", [100, 1000, 2000, 30_000])
@pytest.mark.parametrize(
    "training", [OPEN, Training("auto", batch_size=7), Training("auto", batch_size=64, accumulate=2)]
)
def test_the_budget_counts_updates(number, training):
    complete, stopping = length(number, training)
    per_epoch = -(-number // (min(number, training.batch_size or 32) * training.accumulate))
    assert complete.epochs * per_epoch >= 10_000
    assert (complete.epochs - 1) * per_epoch < max(10_000, 20 * per_epoch)
    assert stopping.patience * per_epoch >= 1000
    assert stopping.keeps_best


def test_many_rows_are_seen_twenty_times_and_a_full_batch_is_one_update():
    assert length(10**6)[0].epochs == 20
    assert length(1000, Training("auto", batch_size="full"))[0].epochs == 10_000


def test_given_epochs_leave_everything_as_it_is():
    complete, stopping = length(100, Training(epochs=3))
    assert complete.epochs == 3
    assert stopping == Stopping()


def test_what_the_spec_says_of_stopping_stays():
    _, stopping = length(5000, stopping=Stopping(patience=3, target=0.1))
    assert (stopping.patience, stopping.target, stopping.holdouts) == (3, 0.1, None)


@pytest.mark.parametrize(
    ("expected", "number", "settings"),
    [
        (5, 2000, {}),
        (None, 2001, {}),
        (1, 2001, {"validation": 0.0}),
        (None, 19, {}),
        (None, 500, {"split": "time"}),
        (None, 500, {"optimizer": {"kind": "adam", "learning_rate": {"kind": "cosine", "peak": 0.01}}}),
        (None, 500, {"optimizer": {"kind": "adam", "learning_rate": {"kind": "plateau", "initial": 0.01}}}),
        (5, 500, {"optimizer": {"kind": "adam", "learning_rate": {"kind": "step_decay", "initial": 0.1}}}),
        (None, 500, {"stopping": Stopping(patience=4)}),
        (3, 5000, {"stopping": Stopping(holdouts=3)}),
    ],
)
def test_rows_are_held_out_where_validation_rows_are_too_few(expected, number, settings):
    assert length(number, **settings)[1].holdouts == expected


def test_without_held_out_rows_the_budget_is_smaller_and_nothing_is_watched():
    complete, stopping = length(19, validation=0.0)
    assert (complete.epochs, stopping.patience) == (1000, None)


def test_a_linear_unit_keeps_twenty_epochs():
    spec = Spec.of({"data": "iris", "network": "perceptron", "training": {"epochs": "auto"}})
    assert completed(spec, rows(100)).training.epochs == 20


def test_the_completed_spec_is_complete_in_its_file():
    spec = completed(Spec.of({"data": "iris", "training": {"epochs": "auto"}}), rows(100))
    assert CompleteSpec.of(spec.describe()) == spec
    table = spec.describe()
    table["training"]["epochs"] = "auto"
    with pytest.raises(InputError, match=r"training\.epochs"):
        CompleteSpec.of(table)


@pytest.mark.parametrize(
    ("number", "epochs", "patience", "holdouts", "restore_best"),
    [(100, 256, 42, 5, None), (1000, 100, 16, 5, None), (30_000, 3, None, None, True), (10**6, 1, None, None, True)],
)
def test_a_budget_is_spent_in_at_most_256_epochs(number, epochs, patience, holdouts, restore_best):
    rate = Optimizer.of({"kind": "adamw", "learning_rate": {"kind": "cosine", "peak": 0.01}})
    training = Training("auto", batch_size=128)
    whole, stopping = with_length(training, NOTHING, rate, Data("iris"), rows(number), budget=800)
    assert (whole.epochs, stopping.patience, stopping.holdouts) == (epochs, patience, holdouts)
    assert stopping.restore_best is restore_best
    # What a spec says of the end of a training goes before.
    _, own = with_length(training, Stopping(patience=3), rate, Data("iris"), rows(number), budget=800)
    assert (own.patience, own.holdouts, own.keeps_best) == (3, None, True)
    _, timed = with_length(training, NOTHING, rate, Data("iris", split="time"), rows(number), budget=800)
    assert timed.holdouts is None
