"""Planted faults: each is named with its quantity, its layer and its step, as a replay from the start finds them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from sessions import fit_parts

import thalweg
from thalweg.core.arrays import arrays_of
from thalweg.data import Dataset, EpochIndex, Fixed
from thalweg.engine.engine import make_engine
from thalweg.engine.step import Batch, Plan, batch_at, make_trace
from thalweg.models.network import Network
from thalweg.parts.initializers import Constant as Filled
from thalweg.parts.initializers import Given, Zeros
from thalweg.parts.layers import BatchNorm, Dense, ReLU
from thalweg.parts.losses import MeanAbsoluteError, MeanSquaredError
from thalweg.parts.optimizers import SGD, Adam, Momentum
from thalweg.parts.schedules import Constant, Joined
from thalweg.parts.settings import Training
from thalweg.runs.load import load
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec
from thalweg.training.checkpoints import newest
from thalweg.training.evaluate import metric_for

ROWS, BATCH, EPOCHS = 40, 4, 6


class Planted(NamedTuple):
    """A training with a fault, the data, and what becomes infinite or NaN first. `named` are the words for it."""

    network: Network
    loss: object
    optimizer: object
    data: Dataset
    named: str


def rows(x, y=1.0):
    """Rows of one feature, all `1`, but for one that is x."""
    column = np.ones((ROWS, 1), np.float32)
    column[17] = x
    return Dataset(column, np.full((ROWS, 1), y), "regression")


def too_large_a_rate():
    rng = np.random.default_rng(0)
    data = Dataset(rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, 1)), "regression")
    network = Network(["dense 8", "relu", "dense 1"])
    return Planted(network, MeanSquaredError(), SGD(50.0), data, "the output of layer 3 (dense) became infinite")


def gradient():
    # x (y - t) is 1e40 in one row, where the output is 0, and the loss 1e20 at most.
    network = Network((Dense(1, init=Zeros()),))
    data, named = rows(1e30, y=1e10), "the gradient W of layer 1 (dense) became infinite"
    return Planted(network, MeanSquaredError(), SGD(0.0), data, named)


def parameter():
    # From step 23 on the rate is 1e30: weight and bias of layer 1 move by -1e40, whereupon the unit is dead, and the
    # loss stays finite.
    lower = Dense(1, init=Zeros(), bias_init=Filled(1e-35))
    network = Network((lower, ReLU(), Dense(1, init=Given(((1e10,),)))))
    rate = Joined((Constant(0.0), Constant(1e30)), (22,))
    named = "the parameter W of layer 1 (dense) became infinite"
    return Planted(network, MeanAbsoluteError(), SGD(rate), rows(1.0, y=-1e3), named)


def second_moment():
    # A gradient of 1e20 has a square of 1e40; what is divided by it is 0.
    network = Network((Dense(1, init=Zeros()),))
    named = "the optimizer's v for W of layer 1 (dense) became infinite"
    return Planted(network, MeanAbsoluteError(), Adam(1e-3), rows(4e21), named)


def running_statistic():
    # The variance of a batch is 1e50, and what is divided by its root is 0.
    network = Network((BatchNorm(), Dense(1)))
    named = "the running statistic variance of layer 1 (batch_norm) became infinite"
    return Planted(network, MeanSquaredError(), Momentum(1e-3), rows(1e25), named)


def step_of_the_row(order_rows):
    return int(np.flatnonzero((order_rows == 17).any(axis=1))[0]) + 1


def replayed(planted, seed):
    """The first step after which, or in which, any number is not finite; and whether its loss was."""
    course = EpochIndex(seed, 0, EPOCHS, BATCH)
    metric = metric_for(planted.network, planted.loss, planted.data)
    plan = Plan(planted.network, planted.loss, planted.optimizer, metric)
    engine = make_engine("eager", "float32")
    state = engine.place(plan.start(seed, planted.data.features))
    data = engine.place(Batch(planted.data.x, planted.data.y, np.ones(ROWS)))
    step = make_trace(plan)
    done = 0
    with np.errstate(all="ignore"):
        for epoch in range(EPOCHS):
            order = Fixed().rows(course._replace(epoch=epoch), planted.data).reshape(-1, BATCH)
            for index in range(len(order)):
                state, trace = step(state, batch_at(data, order, index))
                done += 1
                numbers = (
                    trace.outputs,
                    trace.loss,
                    trace.deltas,
                    trace.grads,
                    state.params,
                    state.moments,
                    state.layers,
                )
                if not all(np.isfinite(array).all() for _, array in arrays_of(numbers)):
                    return done, bool(np.isfinite(trace.loss))
    raise AssertionError("nothing went wrong")


@pytest.mark.parametrize("engine", ["eager", "compiled"])
@pytest.mark.parametrize("plant", [too_large_a_rate, gradient, parameter, second_moment, running_statistic])
def test_a_planted_fault_is_named_with_quantity_layer_and_step(plant, engine):
    planted = plant()
    step, finite_loss = replayed(planted, seed=5)
    assert finite_loss == (plant is not too_large_a_rate)
    training = Training(EPOCHS, BATCH, seed=5, engine=engine, precision="float32")
    fitted = fit_parts(planted.network, planted.loss, planted.optimizer, training, planted.data, order=Fixed())
    epoch = (step - 1) // (ROWS // BATCH) + 1
    assert fitted.diverged.startswith(f"{planted.named} at step {step} (epoch {epoch}); a smaller learning rate")
    assert all(np.isfinite(array).all() for _, array in arrays_of(fitted.state))
    # The records are those of the whole epochs before.
    assert [record["epoch"] for record in fitted.history] == list(range(1, epoch))
    assert int(fitted.state.step) < step
    assert (fitted.stopped, fitted.interrupted) == ("", False)


def test_the_planted_steps_are_where_they_were_planted():
    order = Fixed().rows(EpochIndex(5, 0, EPOCHS, BATCH), rows(1.0)).reshape(-1, BATCH)
    assert replayed(gradient(), 5)[0] == replayed(second_moment(), 5)[0] == step_of_the_row(order)
    assert replayed(parameter(), 5)[0] == 23


def test_nothing_is_named_where_nothing_goes_wrong():
    planted = too_large_a_rate()._replace(optimizer=SGD(0.01))
    training = Training(EPOCHS, BATCH, engine="eager", precision="float32")
    assert fit_parts(planted.network, planted.loss, planted.optimizer, training, planted.data).diverged == ""


def test_the_layers_are_those_the_user_named_where_the_last_pair_runs_as_one():
    data = Dataset(np.full((8, 1), 1e30), np.arange(8) % 2, "classification")
    network = Network((Dense(2, init=Filled(1e30)), "softmax"))
    fitted = fit_parts(
        network, thalweg.losses.CrossEntropy(), SGD(), Training(2, 4, engine="eager", precision="float32"), data
    )
    assert fitted.diverged.startswith("the output of layer 1 (dense) became infinite at step 1 (epoch 1)")


@pytest.fixture
def diverging(tmp_path):
    """A run that diverges in the update 301, at five updates an epoch."""
    rate = {"kind": "joined", "schedules": ["constant 0.01", "constant 1e9"], "boundaries": [300]}
    return Spec.of(
        {
            "data": {"source": "wave 100", "validation": 0.0, "scale": "standard"},
            "network": {"layers": ["dense 4", "relu", "dense 1"]},
            "optimizer": {"kind": "sgd", "learning_rate": rate},
            "training": {"epochs": 100, "batch_size": 16, "engine": "eager", "precision": "float32"},
            "checkpoints": {"every": 10, "keep": 2},
        }
    )


def test_a_folder_keeps_records_checkpoints_and_what_was_good(diverging, tmp_path):
    run = run_spec(diverging, folder=tmp_path / "run")
    again = load(tmp_path / "run")
    assert run.outcome.startswith("Diverged: ")
    assert again.diverged == run.diverged
    assert again.history == run.history
    assert 60 <= len(run.history) < 64
    assert all(np.isfinite(array).all() for _, array in arrays_of(again.state))
    assert newest(tmp_path / "run")[0].stem == "step-0000000300"


def test_it_goes_on_from_the_last_checkpoint_with_a_smaller_rate(diverging, tmp_path):
    run_spec(diverging, folder=tmp_path / "run")
    settings = ["optimizer.learning_rate=0.01", "training.epochs=70"]
    run = thalweg.resume(tmp_path / "run", settings, accept_changes=True, progress=False)
    assert run.diverged == ""
    assert [record["epoch"] for record in run.history] == list(range(1, 71))
