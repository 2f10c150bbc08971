"""A live training is the training of its spec, however it is played, stopped, changed and taken back."""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from multiprocessing import Pipe

import numpy as np
import polars
import pytest
from compilations import compilations

from thalweg.core.arrays import leaves
from thalweg.core.errors import InputError
from thalweg.playground.live.live_training import LiveTraining
from thalweg.playground.live.trail import KeptState, Trail
from thalweg.playground.live.trainer import Trainer, train_for
from thalweg.spec.edit import changed
from thalweg.spec.spec import Spec
from thalweg.training.checkpoints import Checkpoint
from thalweg.training.fit import fit
from thalweg.training.session import Session

SPEC = {
    "data": {"source": "rings 100", "validation": 0.0, "test": 0.5},
    "network": {"kind": "mlp", "hidden": [3], "activation": "tanh"},
    "optimizer": {"kind": "adam", "learning_rate": 0.01},
    "training": {"batch_size": 10, "epochs": 6, "engine": "eager", "precision": "float32"},
}


def spec_with(**changes: object) -> Spec:
    return changed(Spec.of(SPEC), [(place.replace("__", "."), value) for place, value in changes.items()])


def never(look) -> bool:
    return False


def weights(training: LiveTraining) -> list[np.ndarray]:
    return [np.array(array) for array in leaves(training.checkpoint.state.params)]


def same(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def trained(spec: Spec) -> list[np.ndarray]:
    """The weights at the end of an ordinary training."""
    return leaves(fit(Session.load(spec)).state.params)


@pytest.mark.parametrize("schedule", [0.01, {"kind": "cosine", "peak": 0.05}, {"kind": "step_decay", "initial": 0.05}])
def test_stopped_anywhere_it_has_the_weights_of_an_ordinary_training(schedule):
    spec = spec_with(optimizer__learning_rate=schedule)
    training = LiveTraining(spec)
    for steps in (1, 4, 7, 1, 17):
        assert training.advance(steps, never) == ""
    assert training.step == 30
    assert same(weights(training), trained(spec))


def test_it_goes_on_after_the_epochs_of_its_spec():
    training = LiveTraining(spec_with(training__epochs=2))
    training.advance(30, never)
    assert same(weights(training), trained(spec_with(training__epochs=6)))


def test_the_last_step_that_was_seen_is_the_one_before_the_present_state():
    training = LiveTraining(Spec.of(SPEC))
    training.advance(7, never)
    assert (training.last.step, training.step) == (6, 7)


def test_reset_begins_at_the_same_weights():
    training = LiveTraining(Spec.of(SPEC))
    start = weights(training)
    training.advance(9, never)
    assert not same(weights(training), start)
    training.reset()
    assert same(weights(training), start)
    training.advance(30, never)
    assert same(weights(training), trained(Spec.of(SPEC)))


def test_from_an_earlier_state_it_takes_the_same_way_again():
    training = LiveTraining(Spec.of(SPEC))
    training.advance(30, never)
    end = weights(training)
    training.seek(11)
    assert training.step == 10
    training.advance(20, never)
    assert same(weights(training), end)


def test_a_changed_rate_keeps_the_state_and_takes_effect():
    training = LiveTraining(spec_with(optimizer="sgd 0.0"))
    training.advance(8, never)
    before = weights(training)
    assert not training.change(spec_with(optimizer="sgd 0.1"))
    assert same(weights(training), before)
    training.advance(1, never)
    assert (training.step, same(weights(training), before)) == (9, False)


@pytest.mark.parametrize(
    "changes", [{"training__batch_size": 7}, {"loss": "squared_error"}, {"optimizer": "momentum 0.1"}]
)
def test_other_changes_of_the_training_keep_weights_and_epochs(changes):
    training = LiveTraining(Spec.of(SPEC))
    training.advance(8, never)
    before, epoch = weights(training), training.epoch_of(training.checkpoint.state)
    assert not training.change(spec_with(**changes))
    assert same(weights(training), before)
    assert training.epoch_of(training.checkpoint.state) == pytest.approx(epoch)
    training.advance(training.per_epoch, never)
    assert training.epoch_of(training.checkpoint.state) == pytest.approx(epoch + 1)


@pytest.mark.parametrize("changes", [{"training__seed": 3}, {"network__hidden": [2]}, {"data__test": 0.2}])
def test_another_start_is_a_new_training(changes):
    training = LiveTraining(Spec.of(SPEC))
    training.advance(8, never)
    assert training.change(spec_with(**changes))
    assert training.step == 0


def test_a_spec_that_does_not_fit_changes_nothing():
    training = LiveTraining(Spec.of(SPEC))
    training.advance(8, never)
    before = weights(training)
    with pytest.raises(InputError):
        training.change(spec_with(network={"layers": ["dense 5", "softmax"]}))
    assert same(weights(training), before)
    training.advance(22, never)
    assert same(weights(training), trained(Spec.of(SPEC)))


def test_a_number_set_by_hand_is_in_the_next_step():
    training = LiveTraining(spec_with(optimizer="sgd 0.0"))
    training.set_parameter(0, "W", (1, 2), 4.5)
    training.set_parameter(0, "b", (0,), -1.0)
    training.advance(5, never)
    params = training.checkpoint.state.params[0]
    assert (params.W[1, 2], params.b[0]) == (4.5, -1.0)


@pytest.mark.parametrize(
    "place", [(9, "W", (0, 0)), (0, "V", (0, 0)), (0, "W", (5, 0)), (0, "W", (0,)), (1, "W", (0, 0)), (-1, "W", (0, 0))]
)
def test_a_number_that_there_is_not_is_refused(place):
    training = LiveTraining(Spec.of(SPEC))
    with pytest.raises(InputError):
        training.set_parameter(*place, 1.0)
    with pytest.raises(InputError):
        training.set_parameter(0, "W", (0, 0), float("nan"))


def test_a_divergence_ends_it_at_a_finite_state():
    layers = ["dense 8", "relu", "dense 2"]
    training = LiveTraining(spec_with(network={"layers": layers}, loss="squared_error", optimizer="sgd 100.0"))
    assert "step" in training.advance(10_000, never)
    assert all(np.isfinite(array).all() for array in weights(training))


def test_a_stop_rule_ends_it():
    training = LiveTraining(spec_with(stopping={"measure": "accuracy", "target": 0.01}))
    assert training.advance(10_000, never) != ""
    assert training.step == training.per_epoch


@pytest.fixture
def trainer():
    """A trainer that works in a thread of this process, where its compilations are counted."""
    ours, theirs = Pipe()

    def work() -> None:
        with suppress(EOFError, OSError):
            train_for(theirs)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield Trainer(ours)
    ours.close()
    thread.join(30)
    theirs.close()


def waited_for_the_compiled_engine(training: LiveTraining) -> None:
    training.prepare_engine()
    until = time.monotonic() + 60
    while training.engine == "compiling" and time.monotonic() < until:
        training.use_prepared_engine()
        time.sleep(0.01)
    assert training.engine == "compiled"


def test_the_compiled_engine_takes_over_and_a_changed_number_compiles_nothing(trainer):
    training = LiveTraining(spec_with(training__engine="compiled"), trainer)
    training.advance(5, never)
    waited_for_the_compiled_engine(training)
    before = compilations()
    training.advance(25, never)
    expected = trained(Spec.of(SPEC))
    assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(weights(training), expected, strict=True))
    assert (training.last.step, training.step) == (29, 30)
    assert training.trail.steps == [0, 5, 10, 15, 20, 25]
    training.change(spec_with(training__engine="compiled", optimizer__learning_rate=0.02))
    assert training.engine == "compiled"
    training.advance(20, never)
    assert compilations() == before


def test_another_batch_size_compiles_once_however_often_it_is_changed_meanwhile(trainer):
    training = LiveTraining(spec_with(training__engine="compiled"), trainer)
    waited_for_the_compiled_engine(training)
    before = compilations("_run")
    for size in (20, 25, 50):
        training.change(spec_with(training__engine="compiled", training__batch_size=size))
        training.prepare_engine()
        assert training.engine == "compiling"
    waited_for_the_compiled_engine(training)
    # The first was begun already; the one between it and the last is left out.
    assert compilations("_run") - before == 2
    before = compilations()
    training.advance(20, never)
    assert (training.step, training.session.batches.step_rows) == (20, 50)
    assert compilations() == before


def test_a_trainer_stops_after_the_step_at_which_it_is_asked_to(trainer):
    training = LiveTraining(spec_with(training__engine="compiled"), trainer)
    waited_for_the_compiled_engine(training)
    looks = []

    def at_the_third(moment) -> bool:
        looks.append(moment.before.step)
        return len(looks) == 3

    assert training.advance(math.inf, at_the_third) == ""
    assert training.last.step == looks[-1] == training.step - 1


def test_without_a_trainer_that_answers_the_eager_engine_trains():
    ours, theirs = Pipe()
    theirs.close()
    training = LiveTraining(spec_with(training__engine="compiled"), Trainer(ours))
    training.advance(30, never)
    assert training.engine == "eager"
    assert same(weights(training), trained(Spec.of(SPEC)))


def test_a_speed_is_kept_to_and_changes_no_number():
    training = LiveTraining(Spec.of(SPEC))
    training.speed = 20.0
    began = time.monotonic()
    training.advance(30, never)
    # Six epochs; the first look waits for nothing.
    assert time.monotonic() - began > 0.2
    assert same(weights(training), trained(Spec.of(SPEC)))


def test_a_trail_is_thinned_evenly_and_keeps_its_start():
    trail = Trail()
    training = LiveTraining(Spec.of(SPEC))
    state, optimizer, rows = training.checkpoint.state, training.complete.optimizer, np.arange(10)
    step = 0
    while step < 4000:
        trail.keep(KeptState(Checkpoint(state._replace(step=np.array(step))), step / 5, optimizer, rows))
        step += 5 * trail.stride
    gaps = np.diff(trail.steps)
    assert trail.steps[0] == 0
    assert 100 <= len(trail.kept) <= 200
    assert set(gaps.tolist()) == {5 * trail.stride}
    assert len({kept.number for kept in trail.kept}) == len(trail.kept)


def test_of_rows_that_would_stream_a_seeded_sample_is_trained_on_and_all_without_a_limit(tmp_path):
    file = tmp_path / "long.parquet"
    rows = np.random.default_rng(0).normal(size=(30_000, 40)).astype(np.float32)
    columns = {f"x{k}": column for k, column in enumerate(rows.T)}
    polars.DataFrame({**columns, "y": (rows[:, 0] > 0).astype(int)}).write_parquet(file)
    table = {
        **SPEC,
        "data": {"source": {"kind": "table", "file": str(file)}, "target": "y", "memory": 3, "test": 0.1},
    }
    training = LiveTraining(Spec.of(table))
    train = training.split.train
    assert len(train) == 20_000 < training.on_disk < 30_000
    training.advance(3, never)
    assert training.step == 3
    training.change(changed(Spec.of(table), [("data.memory", None)]))
    assert training.on_disk is None
    assert len(training.split.train) > 20_000
