import os
import signal

import numpy as np
import pytest

from thalweg.data import Data, Dataset
from thalweg.engines import make_engine
from thalweg.errors import InputError
from thalweg.losses import CrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from thalweg.network import Network
from thalweg.optimizers import SGD, Adam, GradientDescent
from thalweg.schedules import Cosine, StepDecay
from thalweg.training import Training, answers, evaluate, fit, order_of

RINGS = Network(["dense 8", "tanh", "dense 2", "softmax"])


@pytest.fixture(scope="module")
def rings():
    return Data("rings 300", validation=0.2).load(seed=3)


@pytest.mark.parametrize("samples", [1, 5, 1000])
def test_an_epoch_meets_every_sample_once(samples):
    assert sorted(order_of(0, 4, samples)) == list(range(samples))


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    assert (order_of(1, 2, 50) == order_of(1, 2, 50)).all()
    assert (order_of(1, 2, 50) != order_of(1, 3, 50)).any()
    assert (order_of(1, 2, 50) != order_of(2, 2, 50)).any()


def test_a_short_last_batch_counts_each_of_its_samples_once():
    x, y = np.arange(10.0)[:, None], np.arange(10) % 2
    data = Dataset(x, y, "classification")
    fitted = fit(Network(["dense 2"]), SoftmaxCrossEntropy(), SGD(0.0), Training(2, 4, engine="eager"), data)
    whole = evaluate(Network(["dense 2"]), SoftmaxCrossEntropy(), fitted.state, data, make_engine("eager"))
    assert int(fitted.state.step) == 6
    assert fitted.history[0]["loss"] == pytest.approx(whole["loss"])


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_the_history_is_the_mean_over_the_samples_as_they_were_met(rings, engine):
    training = Training(epochs=2, batch_size=64, seed=5, engine=engine, precision="float64")
    fitted = fit(RINGS, CrossEntropy(), SGD(0.0), training, rings.train, rings.validation)
    # With a rate of 0 the weights stand still, so that the epoch's mean is the loss over the whole set.
    still = evaluate(RINGS, CrossEntropy(), fitted.state, rings.train, make_engine("eager"))
    assert fitted.history[0]["loss"] == pytest.approx(still["loss"], rel=1e-9)
    assert fitted.history[1]["accuracy"] == pytest.approx(still["accuracy"], rel=1e-9)
    held_out = evaluate(RINGS, CrossEntropy(), fitted.state, rings.validation, make_engine("eager"))
    assert fitted.history[1]["validation_loss"] == pytest.approx(held_out["loss"], rel=1e-9)


def test_epochs_in_one_program_are_the_same_as_epochs_one_by_one(rings):
    training = Training(epochs=5, batch_size=64, seed=5)
    together = fit(RINGS, CrossEntropy(), Adam(), training, rings.train)
    apart = fit(RINGS, CrossEntropy(), Adam(), training, rings.train, rings.validation)
    for one, other in zip(together.state.params, apart.state.params, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert [record["loss"] for record in together.history] == [record["loss"] for record in apart.history]


@pytest.mark.parametrize("choice", [{"batch_size": "full"}, {"optimizer": GradientDescent(0.1)}])
def test_the_full_batch_is_one_update_an_epoch(rings, choice):
    optimizer = choice.pop("optimizer", SGD(0.1))
    fitted = fit(RINGS, CrossEntropy(), optimizer, Training(epochs=4, **choice), rings.train)
    assert int(fitted.state.step) == 4


def test_a_batch_larger_than_the_data_is_the_full_batch(rings):
    fitted = fit(RINGS, CrossEntropy(), SGD(), Training(epochs=3, batch_size=10_000), rings.train)
    assert int(fitted.state.step) == 3


def test_schedules_last_to_the_end_and_count_epochs(rings):
    training = Training(epochs=6, batch_size=60, engine="eager")
    halved = fit(RINGS, CrossEntropy(), SGD(StepDecay(0.4, 0.5, "2 epochs")), training, rings.train)
    assert [record["learning_rate"] for record in halved.history] == pytest.approx([0.4, 0.4, 0.2, 0.2, 0.1, 0.1])
    cosine = fit(RINGS, CrossEntropy(), SGD(Cosine(1.0)), training, rings.train)
    steps = int(cosine.state.step)
    assert cosine.history[-1]["learning_rate"] == pytest.approx((1 + np.cos(np.pi * (steps - 1) / steps)) / 2)


def test_regression_scores_agree_with_scikit_learn():
    from sklearn.metrics import mean_absolute_error, r2_score

    split = Data("diabetes", validation=0).load(seed=0)
    network = Network(["dense 5", "relu", "dense 1"])
    unit = split.preprocessing.target_span[0]
    training = Training(epochs=3, engine="eager")
    fitted = fit(network, MeanSquaredError(), Adam(), training, split.train, unit=unit)
    found = evaluate(network, MeanSquaredError(), fitted.state, split.test, make_engine("eager"), unit)
    outputs = answers(network, MeanSquaredError(), fitted.state, split.test.x, make_engine("eager"))
    true, predicted = split.preprocessing.values(split.test.y), split.preprocessing.values(outputs)
    assert found["r2"] == pytest.approx(r2_score(true, predicted), rel=1e-6)
    assert found["mean_absolute_error"] == pytest.approx(mean_absolute_error(true, predicted), rel=1e-6)


def test_a_weight_of_two_is_the_sample_twice():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.integers(0, 2, 20)
    weighted = Dataset(x, y, "classification", weight=np.r_[np.full(10, 2.0), np.zeros(10)])
    twice = Dataset(np.repeat(x[:10], 2, axis=0), np.repeat(y[:10], 2), "classification")
    training = Training(epochs=10, batch_size="full", engine="eager")
    one, other = (fit(RINGS, CrossEntropy(), SGD(0.5), training, data) for data in (weighted, twice))
    np.testing.assert_allclose(one.state.params[0].W, other.state.params[0].W, rtol=1e-6)
    assert one.history[-1]["loss"] == pytest.approx(other.history[-1]["loss"])


@pytest.mark.parametrize("layers", [["dense 2", "relu"], ["dense 1", "sigmoid"], ["dense 1", "softmax"]])
def test_any_output_that_can_tell_two_classes_runs(rings, layers):
    fitted = fit(Network(layers), CrossEntropy(), SGD(), Training(epochs=1, engine="eager"), rings.train)
    assert len(fitted.history) == 1


def test_too_few_outputs_are_named_with_the_fix():
    digits = Data("digits").load(0).train
    with pytest.raises(InputError, match=r"ends with 3 outputs, and the data has 10 classes.*'dense 10'"):
        fit(Network(["dense 3", "softmax"]), CrossEntropy(), SGD(), Training(), digits)


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_loss_that_is_no_number_stops_training_and_keeps_what_was_good(engine):
    split = Data("wave", validation=0).load(0)
    network = Network(["dense 16", "relu", "dense 1"])
    training = Training(epochs=400, engine=engine, precision="float32")
    fitted = fit(network, MeanSquaredError(), SGD(50.0), training, split.train)
    assert "NaN or infinite at step" in fitted.diverged
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
    fitted = fit(RINGS, CrossEntropy(), SGD(), training, rings.train, watch=press)
    assert fitted.interrupted
    assert 30 <= int(fitted.state.step) < 100_000
    assert signal.getsignal(signal.SIGINT) is before


def test_progress_counts_to_the_end(rings):
    seen = []
    fit(
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
