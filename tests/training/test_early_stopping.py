"""What the record of an epoch decides, against records worked out by hand."""

from __future__ import annotations

import math

import pytest

from thalweg.core.errors import InputError
from thalweg.parts.optimizers import SGD, Momentum
from thalweg.parts.part import Optimizer
from thalweg.parts.schedules import Constant, LinearWarmup
from thalweg.parts.schedules.metric_schedules import AfterPlateau, ReduceOnPlateau
from thalweg.parts.settings import Stopping
from thalweg.training.early_stopping import EarlyStopping

MEASURES = ["validation_loss", "validation_accuracy", "loss", "accuracy"]
PLAIN = SGD()


def verdicts(stopping, values, optimizer=PLAIN):
    """The verdict on each of a series of values, which all measures have, up to the first that stops."""
    judge = EarlyStopping(stopping, optimizer, MEASURES)
    counters, found = judge.start(), []
    for epoch, value in enumerate(values, 1):
        found.append(judge.on_epoch_end(counters, dict.fromkeys(MEASURES, value) | {"epoch": epoch}))
        counters = found[-1].state
        if found[-1].stop:
            break
    return found


@pytest.mark.parametrize(
    ("options", "values", "stops", "best"),
    [
        ({"patience": 1}, [3, 2, 2, 1], 3, 2),
        ({"patience": 2}, [3, 2, 2, 1, 1, 1, 0], 6, 4),
        ({"patience": 3}, [1, 2, 3, 0.5, 0.6, 0.7, 0.8, 0], 7, 4),
        # An improvement is one by more than a tenth of the best.
        ({"patience": 2, "threshold": 0.1}, [1, 0.95, 0.91, 0.5], 3, 1),
        ({"patience": 2, "threshold": 0.1}, [1, 0.95, 0.89, 0.85, 0.82, 0.1], 5, 3),
        # Accuracies grow.
        ({"patience": 2, "measure": "accuracy"}, [0.1, 0.5, 0.4, 0.6, 0.6, 0.5, 0.9], 6, 4),
        ({"target": 0.5}, [2, 0.51, 0.5, 0.1], 3, 3),
        ({"target": 0.5, "measure": "validation_accuracy"}, [0.1, 0.49, 0.5, 0.9], 3, 3),
        ({"patience": 1, "target": 0.5}, [1, 1, 0.1], 2, 1),
        ({"restore_best": True}, [1, 2, 3], None, 1),
        # What is no number is no improvement, and no target reached.
        ({"patience": 2, "target": 0.5}, [math.nan, 1, math.nan, math.nan, 0], 4, 2),
        ({"patience": 2}, [math.inf, math.inf, 0], 2, 0),
    ],
)
def test_when_it_stops_and_which_epoch_was_the_best(options, values, stops, best):
    found = verdicts(Stopping(**options), values)
    assert len(found) == (stops or len(values))
    assert bool(found[-1].stop) == (stops is not None)
    assert found[-1].state.best_epoch == best
    assert [verdict.is_best for verdict in found].count(True) >= (best > 0)
    if best:
        assert found[best - 1].is_best
        assert found[-1].state.best == values[best - 1]
        assert found[-1].state.waited == len(found) - best


def test_the_reason_names_the_measure():
    assert verdicts(Stopping(patience=1), [1, 2])[-1].stop == "validation_loss has not improved for 1 epoch"
    assert verdicts(Stopping(patience=2, measure="loss"), [1, 2, 3])[-1].stop == "loss has not improved for 2 epochs"
    assert "accuracy reached 0.95" in verdicts(Stopping(target=0.9, measure="accuracy"), [0.95])[-1].stop


def test_without_held_out_rows_the_training_loss_is_looked_at():
    assert EarlyStopping(Stopping(), SGD(), ["loss", "accuracy"]).measure == "loss"
    assert EarlyStopping(Stopping(), SGD(), MEASURES).measure == "validation_loss"


@pytest.mark.parametrize(
    ("stopping", "optimizer", "said"),
    [
        (Stopping(measure="validation_loss"), SGD(), "no validation rows; set data.validation, or take loss, accuracy"),
        (Stopping(measure="acuracy"), SGD(), "did you mean 'accuracy'"),
        (Stopping(measure="r2"), SGD(), "known: loss, accuracy"),
        (
            Stopping(),
            SGD(ReduceOnPlateau(0.1, measure="validation_accuracy")),
            "plateau.*set data.validation",
        ),
        (Stopping(), Momentum(0.1, AfterPlateau(measure="los")), "when_settled.*did you mean 'loss'"),
    ],
)
def test_a_measure_that_the_records_do_not_have_is_refused(stopping, optimizer, said):
    with pytest.raises(InputError, match=said):
        EarlyStopping(stopping, optimizer, ["loss", "accuracy"])


@pytest.mark.parametrize(
    ("stopping", "keeps"),
    [
        (Stopping(), False),
        (Stopping(patience=3), True),
        (Stopping(patience=3, restore_best=False), False),
        (Stopping(restore_best=True), True),
        (Stopping(target=0.1, seconds=3.0), False),
    ],
)
def test_the_best_weights_are_kept_if_there_is_a_patience_or_they_are_asked_for(stopping, keeps):
    assert stopping.keeps_best is keeps


def test_nothing_is_looked_at_where_there_is_nothing_to_decide():
    assert not EarlyStopping(Stopping(), SGD(), MEASURES).looks
    assert not EarlyStopping(Stopping(seconds=1.0), SGD(), MEASURES).looks
    for stopping in (Stopping(patience=1), Stopping(restore_best=True), Stopping(target=0.0)):
        assert EarlyStopping(stopping, SGD(), MEASURES).looks
    assert EarlyStopping(Stopping(), SGD(LinearWarmup(ReduceOnPlateau(0.1), 3)), MEASURES).looks


def test_every_rate_has_a_memory_of_its_own():
    rule = Momentum(ReduceOnPlateau(0.8, factor=0.5, patience=0), AfterPlateau(0.5, 0.9, patience=2, measure="loss"))
    judge = EarlyStopping(Stopping(), rule, MEASURES)
    counters, values = judge.start(), []
    for epoch, (held_out, loss) in enumerate([(1, 1), (2, 0.5), (0.5, 0.5), (0.5, 0.5)], 1):
        record = dict.fromkeys(MEASURES, math.nan) | {"epoch": epoch, "validation_loss": held_out, "loss": loss}
        counters, _, _ = judge.on_epoch_end(counters, record)
        settled: Optimizer = judge.frozen(counters)
        assert isinstance(settled.learning_rate, Constant)
        values.append((settled.learning_rate.value, settled.momentum.value))
    assert values == [(0.8, 0.5), (0.4, 0.5), (0.4, 0.5), (0.2, 0.9)]


@pytest.mark.parametrize(
    "options",
    [{"patience": 0}, {"patience": 1.5}, {"threshold": -1}, {"seconds": 0}, {"target": math.nan}],
)
def test_bad_options_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        Stopping(**options)


def test_nothing_stops_while_the_rate_is_above_the_least_one():
    rate = ReduceOnPlateau(0.25, factor=0.5, patience=1, tolerance=0.0, measure="objective")
    stopping = Stopping(patience=2, tolerance=0.0, least_rate=0.125, measure="objective", restore_best=False)
    judge = EarlyStopping(stopping, Momentum(rate), [*MEASURES, "objective"])
    counters, rates, verdict = judge.start(), [], None
    for epoch in range(1, 9):
        rates.append(judge.frozen(counters).learning_rate.value)
        # The loss falls and the penalty grows by more: the objective is what does not improve.
        record = {"epoch": epoch, "loss": 1 / epoch, "penalty": epoch, "learning_rate": rates[-1]}
        verdict = judge.on_epoch_end(counters, record)
        counters = verdict.state
        if verdict.stop:
            break
    # One best epoch, two without a better one at the first rate, and two at the least.
    assert rates == [0.25, 0.25, 0.25, 0.125, 0.125]
    assert verdict.stop == "objective has not improved for 2 epochs"
    assert counters.best == 2


@pytest.mark.parametrize(
    ("options", "values", "waits", "best"),
    [
        # Small gains make a new best and do not add up; a gain of just the tolerance is enough.
        ({"patience": 2, "tolerance": 0.25}, [3, 2.875, 2.75, 0], [0, 1, 2], 3),
        ({"patience": 2, "tolerance": 0.25}, [3, 2.875, 2.625, 2.5, 2.5, 0], [0, 1, 0, 1, 2], 4),
        ({"patience": 2, "tolerance": 0.25, "measure": "accuracy"}, [0, 0.125, 0.375, 0.5, 0.5], [0, 1, 0, 1, 2], 4),
        # Without any, to stay is enough.
        ({"patience": 1, "tolerance": 0.0}, [1, 1, 1], [0, 0, 0], 1),
        ({"patience": 1, "tolerance": 0.0}, [1, 2, 1], [0, 1], 1),
    ],
)
def test_a_tolerance_is_asked_of_each_epoch(options, values, waits, best):
    found = verdicts(Stopping(**options), values)
    assert [verdict.state.waited for verdict in found] == waits
    assert found[-1].state.best_epoch == best


def test_how_many_epochs_go_by_until_something_is_decided():
    def ahead(stopping, optimizer=PLAIN, **counters):
        judge = EarlyStopping(stopping, optimizer, MEASURES)
        return judge.epochs_ahead(judge.start()._replace(**counters))

    assert ahead(Stopping(seconds=1.0)) == math.inf
    patient = Stopping(patience=4, restore_best=False)
    assert [ahead(patient, waited=waited) for waited in (0, 1, 3, 4, 9)] == [4, 3, 1, 1, 1]
    # The best epoch, a target, and a rate that may fall ask for each.
    assert ahead(Stopping(patience=4)) == ahead(Stopping(target=0.1)) == ahead(Stopping(restore_best=True)) == 1
    assert ahead(patient, SGD(ReduceOnPlateau(0.1))) == 1
