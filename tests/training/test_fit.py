import dataclasses
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from sessions import fit_parts

from thalweg.core.arrays import arrays_of
from thalweg.core.errors import InputError
from thalweg.data import Data, Dataset, EpochIndex, Order
from thalweg.engine.compiled import Compiled
from thalweg.engine.engine import make_engine
from thalweg.engine.step import Plan
from thalweg.models.network import Network
from thalweg.parts.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from thalweg.parts.optimizers import SGD, Adam, GradientDescent, Momentum
from thalweg.parts.regularization import Regularization
from thalweg.parts.schedules import Cosine, LinearScaling, StepDecay
from thalweg.parts.schedules.metric_schedules import AfterPlateau, ReduceOnPlateau
from thalweg.parts.settings import Stopping, Training
from thalweg.training.batch_plan import as_batch, in_batches
from thalweg.training.checkpoints import Checkpoint
from thalweg.training.evaluate import evaluate, metric_for, predict_batches

RINGS = Network(["dense 8", "tanh", "dense 2", "softmax"])


@pytest.fixture(scope="module")
def rings():
    return Data("rings 300", validation=0.2).load(seed=3)


def test_a_short_last_batch_counts_each_of_its_samples_once():
    x, y = np.arange(10.0)[:, None], np.arange(10) % 2
    data = Dataset(x, y, "classification")
    fitted = fit_parts(Network(["dense 2"]), SoftmaxCrossEntropy(), SGD(0.0), Training(2, 4, engine="eager"), data)
    whole = evaluate(Network(["dense 2"]), SoftmaxCrossEntropy(), fitted.state, data, make_engine("eager"))
    assert int(fitted.state.step) == 6
    assert fitted.history[0]["loss"] == pytest.approx(whole["loss"])


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_the_history_is_the_mean_over_the_samples_as_they_were_met(rings, engine):
    training = Training(epochs=2, batch_size=64, seed=5, engine=engine, precision="float64")
    fitted = fit_parts(RINGS, CrossEntropy(), SGD(0.0), training, rings.train, rings.validation)
    # With a rate of 0 the weights stand still, so that the epoch's mean is the loss over the whole set.
    still = evaluate(RINGS, CrossEntropy(), fitted.state, rings.train, make_engine("eager"))
    assert fitted.history[0]["loss"] == pytest.approx(still["loss"], rel=1e-9)
    assert fitted.history[1]["accuracy"] == pytest.approx(still["accuracy"], rel=1e-9)
    held_out = evaluate(RINGS, CrossEntropy(), fitted.state, rings.validation, make_engine("eager"))
    assert fitted.history[1]["validation_loss"] == pytest.approx(held_out["loss"], rel=1e-9)


@pytest.mark.parametrize("layers", [[], ["dropout 0.3"]], ids=["plain", "dropout"])
def test_epochs_in_one_program_are_the_same_as_epochs_one_by_one(rings, layers):
    network = Network([*layers, *RINGS.layers])
    training = Training(epochs=5, batch_size=64, seed=5)
    together = fit_parts(network, CrossEntropy(), Adam(), training, rings.train)
    apart = fit_parts(network, CrossEntropy(), Adam(), training, rings.train, rings.validation)
    for one, other in zip(together.state.params, apart.state.params, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert [record["loss"] for record in together.history] == [record["loss"] for record in apart.history]


@pytest.mark.parametrize("choice", [{"batch_size": "full"}, {"optimizer": GradientDescent(0.1)}])
def test_the_full_batch_is_one_update_an_epoch(rings, choice):
    optimizer = choice.pop("optimizer", SGD(0.1))
    fitted = fit_parts(RINGS, CrossEntropy(), optimizer, Training(epochs=4, **choice), rings.train)
    assert int(fitted.state.step) == 4


def test_the_numbers_of_the_rows_are_copied_to_the_device_once(rings, monkeypatch):
    jax = pytest.importorskip("jax")
    seen = []
    call = Compiled.call

    def recorded(self, function, *args, **options):
        seen.append(args)
        return call(self, function, *args, **options)

    monkeypatch.setattr(Compiled, "call", recorded)
    rows = rings.train
    network = Network(["dense 2"])
    start = Plan(network, SoftmaxCrossEntropy(), SGD(), metric_for(network, SoftmaxCrossEntropy(), rows)).start(0, 2)
    data = Dataset(np.tile(rows.x, (20, 1)), np.tile(rows.y, 20), "classification")
    evaluate(network, SoftmaxCrossEntropy(), start, data, Compiled())
    assert len(seen) == -(-len(data) // 2048) > 1
    for _, _, batch, rows, _ in seen:
        assert all(isinstance(array, jax.Array) for array in (*batch, rows))
    assert len({id(rows) for *_, rows, _ in seen}) == 1


def test_a_batch_larger_than_the_data_is_the_full_batch(rings):
    fitted = fit_parts(RINGS, CrossEntropy(), SGD(), Training(epochs=3, batch_size=10_000), rings.train)
    assert int(fitted.state.step) == 3


def test_schedules_last_to_the_end_and_count_epochs(rings):
    training = Training(epochs=6, batch_size=60, engine="eager")
    halved = fit_parts(RINGS, CrossEntropy(), SGD(StepDecay(0.4, 0.5, "2 epochs")), training, rings.train)
    assert [record["learning_rate"] for record in halved.history] == pytest.approx([0.4, 0.4, 0.2, 0.2, 0.1, 0.1])
    cosine = fit_parts(RINGS, CrossEntropy(), SGD(Cosine(1.0)), training, rings.train)
    steps = int(cosine.state.step)
    assert cosine.history[-1]["learning_rate"] == pytest.approx((1 + np.cos(np.pi * (steps - 1) / steps)) / 2)


def test_regression_scores_agree_with_scikit_learn():
    from sklearn.metrics import mean_absolute_error, r2_score

    split = Data("diabetes", validation=0).load(seed=0)
    network = Network(["dense 5", "relu", "dense 1"])
    unit = split.preprocessing.target_span[0]
    training = Training(epochs=3, engine="eager")
    fitted = fit_parts(network, MeanSquaredError(), Adam(), training, split.train, unit=unit)
    found = evaluate(network, MeanSquaredError(), fitted.state, split.test, make_engine("eager"), split.preprocessing)
    outputs = predict_batches(network, MeanSquaredError(), fitted.state, split.test.x, make_engine("eager"))
    true, predicted = split.preprocessing.values(split.test.y), split.preprocessing.values(outputs)
    assert found["r2"] == pytest.approx(r2_score(true, predicted), rel=1e-6)
    assert found["mean_absolute_error"] == pytest.approx(mean_absolute_error(true, predicted), rel=1e-6)


@pytest.mark.parametrize("layers", [["dense 1", "sigmoid"], ["dense 1", "sigmoid", "identity"]])
def test_numbers_under_the_cross_entropy_are_scored_by_what_is_answered_not_by_logits(layers):
    from sklearn.metrics import r2_score

    x = np.random.default_rng(0).uniform(size=(60, 2))
    data = Data((x, x.mean(axis=1)), scale="none", validation=0, test=0).load(seed=0).train
    network, loss, engine = Network(layers), BinaryCrossEntropy(), make_engine("eager")
    fitted = fit_parts(network, loss, Adam(), Training(epochs=3, engine="eager"), data)
    found = evaluate(network, loss, fitted.state, data, engine)
    assert found["r2"] == pytest.approx(
        r2_score(data.y, predict_batches(network, loss, fitted.state, data.x, engine)), rel=1e-6
    )


def test_a_weight_of_two_is_the_sample_twice():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.integers(0, 2, 20)
    weighted = Dataset(x, y, "classification", weight=np.r_[np.full(10, 2.0), np.zeros(10)])
    twice = Dataset(np.repeat(x[:10], 2, axis=0), np.repeat(y[:10], 2), "classification")
    training = Training(epochs=10, batch_size="full", engine="eager")
    one, other = (fit_parts(RINGS, CrossEntropy(), SGD(0.5), training, data) for data in (weighted, twice))
    np.testing.assert_allclose(one.state.params[0].W, other.state.params[0].W, rtol=1e-6)
    assert one.history[-1]["loss"] == pytest.approx(other.history[-1]["loss"])


@pytest.mark.parametrize("layers", [["dense 2", "relu"], ["dense 1", "sigmoid"], ["dense 1", "softmax"]])
def test_any_output_that_can_tell_two_classes_runs(rings, layers):
    fitted = fit_parts(Network(layers), CrossEntropy(), SGD(), Training(epochs=1, engine="eager"), rings.train)
    assert len(fitted.history) == 1


def test_too_few_outputs_are_named_with_the_fix():
    digits = Data("digits").load(0).train
    with pytest.raises(InputError, match=r"ends with 3 outputs, and the data has 10 classes.*'dense 10'"):
        fit_parts(Network(["dense 3", "softmax"]), CrossEntropy(), SGD(), Training(epochs=1), digits)


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_loss_that_is_no_number_stops_training_and_keeps_what_was_good(engine):
    split = Data("wave", validation=0).load(0)
    network = Network(["dense 16", "relu", "dense 1"])
    training = Training(epochs=400, engine=engine, precision="float32")
    fitted = fit_parts(network, MeanSquaredError(), SGD(50.0), training, split.train)
    assert re.match(r"the output of layer 3 \(dense\) became infinite at step \d+ \(epoch 1\)", fitted.diverged)
    assert len(fitted.history) < 400
    assert all(np.isfinite(array).all() for params in fitted.state.params for array in params)


def test_ctrl_c_finishes_the_stretch_and_keeps_the_state(rings):
    seen = []

    def press(progress):
        seen.append(progress)
        if progress.step >= 30 and len(seen) < 100:
            os.kill(os.getpid(), signal.SIGINT)
            seen.extend([progress] * 100)

    training = Training(epochs=100_000, batch_size=30, engine="eager")
    before = signal.getsignal(signal.SIGINT)
    fitted = fit_parts(RINGS, CrossEntropy(), SGD(), training, rings.train, watch=press)
    assert fitted.interrupted
    assert 30 <= int(fitted.state.step) < 100_000
    assert signal.getsignal(signal.SIGINT) is before


def test_progress_counts_to_the_end(rings):
    seen = []
    fit_parts(
        RINGS,
        CrossEntropy(),
        SGD(),
        Training(epochs=3, batch_size=50),
        rings.train,
        rings.validation,
        watch=seen.append,
    )
    assert [progress.step for progress in seen] == sorted({progress.step for progress in seen})
    last = seen[-1]
    assert (last.epoch, last.step, last.remaining_seconds) == (3, last.steps, 0)
    assert last.epoch_ended
    assert last.record is last.history[-1]


# Stopping before the last epoch ---------------------------------------------------------------------------------------


def assert_equal(tree, other):
    for (place, a), (_, b) in zip(arrays_of(tree), arrays_of(other), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=place)


@pytest.fixture(scope="module")
def noise():
    """Labels that have nothing to do with the rows: what is learnt of them soon makes the held-out rows worse."""
    rng = np.random.default_rng(0)
    parts = (Dataset(rng.normal(size=(n, 3)), rng.integers(0, 2, n), "classification") for n in (48, 40))
    return tuple(parts)


def on_noise(noise, engine="eager", epochs=30, rule=None, **options):
    training = Training(epochs=epochs, batch_size=16, seed=2, engine=engine)
    return fit_parts(RINGS, CrossEntropy(), rule or Adam(0.03), training, *noise, **options)


def stop_by_hand(values, patience):
    """(the epoch after which to stop, the best epoch) of a list of losses."""
    best, best_epoch = np.inf, 0
    for epoch, value in enumerate(values, 1):
        if value < best:
            best, best_epoch = value, epoch
        elif epoch - best_epoch == patience:
            return epoch, best_epoch
    raise AssertionError("the losses fall to the end")


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_early_stopping_stops_where_it_should_and_ends_with_the_best_weights(noise, engine):
    whole = on_noise(noise, engine)
    stop, best = stop_by_hand([record["validation_loss"] for record in whole.history], 4)
    stopped = on_noise(noise, engine, stopping=Stopping(patience=4))
    assert best < stop < 30
    assert stopped.history == whole.history[:stop]
    assert (stopped.early_stopping.best_epoch, stopped.interrupted) == (best, False)
    assert stopped.stopped == "validation_loss has not improved for 4 epochs"
    assert_equal(stopped.state, on_noise(noise, engine, epochs=best).state)
    # Without the best weights, those of the last epoch.
    last = on_noise(noise, engine, stopping=Stopping(patience=4, restore_best=False))
    assert_equal(last.state, on_noise(noise, engine, epochs=stop).state)


def test_an_accuracy_is_better_when_it_is_larger(noise):
    whole = on_noise(noise)
    stop, best = stop_by_hand([-record["validation_accuracy"] for record in whole.history], 6)
    stopped = on_noise(noise, stopping=Stopping(patience=6, measure="validation_accuracy"))
    assert (len(stopped.history), stopped.early_stopping.best_epoch) == (stop, best)
    assert_equal(stopped.state, on_noise(noise, epochs=best).state)


def test_the_best_weights_are_kept_without_stopping_too(noise):
    whole = on_noise(noise)
    best = int(np.argmin([record["validation_loss"] for record in whole.history])) + 1
    kept = on_noise(noise, stopping=Stopping(restore_best=True))
    assert (kept.stopped, len(kept.history)) == ("", 30)
    assert_equal(kept.state, on_noise(noise, epochs=best).state)


def test_a_target_that_is_reached_ends_training(noise):
    whole = on_noise(noise)
    target = sorted(record["loss"] for record in whole.history)[12]
    first = next(record["epoch"] for record in whole.history if record["loss"] <= target)
    stopped = on_noise(noise, stopping=Stopping(measure="loss", target=target))
    assert len(stopped.history) == first
    assert stopped.stopped.startswith("loss reached ")
    assert_equal(stopped.state, on_noise(noise, epochs=first).state)


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_time_that_is_over_ends_training_after_the_running_stretch(noise, engine):
    kept = []
    stopped = on_noise(noise, engine, stopping=Stopping(seconds=1e-9), keep=kept.append)
    # The first stretch is one step.
    assert int(stopped.state.step) == 1
    assert stopped.stopped == "the time of 1e-09 s is over"
    assert not stopped.interrupted
    assert [int(snapshot.state.step) for snapshot in kept] == [1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stopping": Stopping(measure="validation_loss")}, "there are no validation rows; set data.validation"),
        ({"stopping": Stopping(measure="r2")}, "unknown measure 'r2': known: loss, accuracy"),
        ({"rule": SGD(ReduceOnPlateau(0.1, measure="validation_accuracy"))}, "set data.validation"),
    ],
)
def test_a_measure_that_there_is_not_is_refused_before_training(noise, options, said):
    with pytest.raises(InputError, match=said):
        on_noise(noise[:1], **options)


# Rates that look at a measure -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_the_rate_on_a_plateau_is_that_of_pytorchs_scheduler(noise, engine):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    plateau = ReduceOnPlateau(0.5, factor=0.5, patience=1, cooldown=1, least=0.02)
    history = on_noise(noise, engine, rule=SGD(plateau)).history
    rule = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(rule, factor=0.5, patience=1, cooldown=1, min_lr=0.02)
    expected = []
    for record in history:
        expected.append(rule.param_groups[0]["lr"])
        rule.step()
        scheduler.step(record["validation_loss"])
    np.testing.assert_allclose([record["learning_rate"] for record in history], expected, rtol=1e-6)
    assert expected[-1] < expected[0]


def test_a_momentum_waits_until_the_loss_has_settled(noise):
    settling = AfterPlateau(0.1, 0.8, patience=1, threshold=0.05)
    found = on_noise(noise, rule=Momentum(0.05, settling))
    losses = [record["loss"] for record in found.history]
    settled = next(e for e in range(1, 30) if losses[e] > 0.95 * min(losses[:e])) + 1
    assert settled < 30
    kept = []
    before = on_noise(noise, epochs=settled, rule=Momentum(0.05, 0.1), keep=kept.append)
    assert before.history == found.history[:settled]
    after = on_noise(noise, rule=Momentum(0.05, 0.8), resume=kept[-1]._replace(early_stopping=found.early_stopping))
    assert_equal(after.state, found.state)


# Batches and orders ---------------------------------------------------------------------------------------------------


def test_pieces_of_batches_are_the_whole_batches(rings):
    plan = {"regularization": Regularization(l2=0.01)}
    # 24 and 3 times 8 rows; the last batch of 192 rows is whole, that of 180 is not.
    for rows in (192, 180):
        data = Dataset(rings.train.x[:rows], rings.train.y[:rows], "classification")
        whole, pieces = (
            fit_parts(
                RINGS, CrossEntropy(), Adam(), dataclasses.replace(Training(2, engine="eager"), **sizes), data, **plan
            )
            for sizes in ({"batch_size": 24}, {"batch_size": 8, "accumulate": 3})
        )
        assert int(whole.state.step) == int(pieces.state.step) == 16
        for (_, a), (_, b) in zip(arrays_of(whole.state.params), arrays_of(pieces.state.params), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        assert whole.history[-1]["loss"] == pytest.approx(pieces.history[-1]["loss"])
        assert whole.history[-1]["penalty"] == pytest.approx(pieces.history[-1]["penalty"])


def test_linear_scaling_knows_the_batch_that_makes_an_update(rings):
    training = Training(1, 8, engine="eager", accumulate=4)
    fitted = fit_parts(RINGS, CrossEntropy(), SGD(LinearScaling(0.1, reference=16, warmup=0.0)), training, rings.train)
    assert fitted.history[0]["learning_rate"] == pytest.approx(0.2)


@pytest.mark.parametrize(("samples", "batch_size"), [(33, 32), (7, 2), (9, 4), (3, 1), (31, 5)])
def test_a_last_batch_of_one_row_is_refused_with_a_batch_size_that_works(samples, batch_size):
    x = np.random.default_rng(0).normal(size=(samples, 2))
    data = Dataset(x, np.arange(samples) % 2, "classification")
    network = Network([{"kind": "residual", "layers": ["batch_norm", "dense 2"]}, "softmax"])
    with pytest.raises(InputError, match=f"leaves 1 of {samples} training rows.*take ") as raised:
        fit_parts(network, CrossEntropy(), SGD(), Training(1, batch_size, engine="eager"), data)
    fits = int(str(raised.value).rsplit(" ", 1)[1])
    fit_parts(network, CrossEntropy(), SGD(), Training(1, fits, engine="eager"), data)


@pytest.mark.parametrize("kind", list(Order.kinds))
def test_the_order_decides_which_rows_an_update_is_made_of(rings, kind):
    keyed = {"buckets", "curriculum"}
    order = Order.of({"kind": kind, "by": "x0"} if kind in keyed else kind)
    data = dataclasses.replace(rings.train, key=rings.train.x[:, 0])
    fitted = fit_parts(RINGS, CrossEntropy(), SGD(0.5), Training(4, 32, 7, "eager"), data, order=order)
    engine = make_engine("eager")
    plan = Plan(RINGS, CrossEntropy(), SGD(0.5), metric_for(RINGS, CrossEntropy(), data))
    state, batch = engine.place(plan.start(7, 2)), engine.place(as_batch(data))
    for epoch in range(4):
        rows = in_batches(order.rows(EpochIndex(7, epoch, 4, 32), data), 32)
        state, _ = engine.run(plan, state, batch, rows, 0, len(rows))
    assert_equal(fitted.state.params, state.params)


def test_clipping_and_penalty_are_in_the_history_where_there_is_such_a_thing(rings):
    training = dataclasses.replace(Training(2, 32, engine="eager"), clip="global_norm 1e-6")
    fitted = fit_parts(RINGS, CrossEntropy(), SGD(), training, rings.train, regularization=Regularization(l2=1.0))
    weights = (array for _, array in arrays_of(fitted.state.params) if array.ndim > 1)
    # The rate and the clipped gradients are so small that the weights stand still, to a millionth.
    expected = sum((array**2).sum() / 2 for array in weights)
    assert [record["clipped"] for record in fitted.history] == [1, 1]
    assert fitted.history[-1]["penalty"] == pytest.approx(expected, rel=1e-5)
    plain = fit_parts(RINGS, CrossEntropy(), SGD(), Training(1, engine="eager"), rings.train)
    assert not {"clipped", "penalty"} & set(plain.history[0])


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_the_penalty_of_an_epoch_is_the_mean_over_its_rows(engine):
    # One batch of 4 rows, one of 2: alpha/2 ΣW² is divided by the rows of each, and counts as often.
    data = Dataset(np.arange(6.0)[:, None], np.arange(6) % 2, "classification")
    training, network = Training(1, 4, engine=engine, precision="float64"), Network(["dense 2"])
    penalized = Regularization(alpha=3.0)
    fitted = fit_parts(network, SoftmaxCrossEntropy(), SGD(0.0), training, data, regularization=penalized)
    expected = 1.5 * (fitted.state.params[0].W ** 2).sum() * 2 / 6
    assert fitted.history[0]["penalty"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("engine", ["eager", "compiled"])
@pytest.mark.parametrize(("rate", "patience"), [(0.02, 3), (0.5, 2), (1e-9, 4)])
def test_epochs_that_run_as_one_stop_where_epochs_one_by_one_do(rings, engine, rate, patience):
    training = Training(40, 64, 5, engine=engine)
    stops = {"patience": patience, "threshold": 1e-3, "measure": "loss"}

    def trained(restore_best):
        stopping = Stopping(**stops, restore_best=restore_best)
        return fit_parts(RINGS, CrossEntropy(), Adam(rate), training, rings.train, stopping=stopping)

    together, apart = trained(restore_best=False), trained(restore_best=True)
    assert together.history == apart.history
    assert together.stopped == apart.stopped
    assert together.early_stopping._replace(seconds=0) == apart.early_stopping._replace(seconds=0)


def test_a_state_goes_on_with_other_rows_in_a_training_of_its_own(rings):
    training = Training(2, 64, 5, "eager")
    first = fit_parts(RINGS, CrossEntropy(), SGD(0.1), training, rings.train)
    other = fit_parts(
        RINGS,
        CrossEntropy(),
        SGD(StepDecay(0.1, every=7)),
        dataclasses.replace(training, epochs=3),
        rings.validation,
        resume=Checkpoint(first.state, before=int(first.state.step)),
    )
    # Its epochs count from its own start, its rate goes on.
    assert [record["epoch"] for record in other.history] == [1, 2, 3]
    assert [record["step"] for record in other.history] == [1, 2, 3]
    assert (int(first.state.step), int(other.state.step)) == (6, 9)
    assert [record["learning_rate"] for record in other.history] == [0.1, 0.05, 0.05]


def test_the_average_answers(rings):
    training = dataclasses.replace(Training(3, 32, engine="eager"), average=0.9)
    kept = []
    fitted = fit_parts(RINGS, CrossEntropy(), Adam(0.1), training, rings.train, rings.validation, keep=kept.append)
    assert_equal(fitted.state.params, kept[-1].state.average)
    still = evaluate(RINGS, CrossEntropy(), fitted.state, rings.validation, make_engine("eager"))
    assert fitted.history[-1]["validation_loss"] == pytest.approx(still["loss"], rel=1e-12)
    last = evaluate(RINGS, CrossEntropy(), kept[-1].state._replace(average=()), rings.validation, make_engine("eager"))
    assert last["loss"] != pytest.approx(still["loss"], rel=1e-6)


def test_sigterm_ends_a_program_whose_training_saves_nothing():
    code = """
import os, signal
from thalweg.runs.train import run_spec
from thalweg.spec.toml import read_spec
from thalweg.training.callbacks import Callback
class Press(Callback):
    def on_progress(self, progress):
        os.kill(os.getpid(), signal.SIGTERM)
run_spec(read_spec("xor"), callbacks=[Press()])
print("went on")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, ""), done.stderr
