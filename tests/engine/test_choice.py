"""Which engine is chosen: NumPy for small works in the precision of XLA, and what a spec names always."""

import math

import numpy as np
import pytest

import thalweg
from thalweg import Spec
from thalweg.engine.choice import engine_for, group_size, step_seconds
from thalweg.engine.compiled import Compiled
from thalweg.engine.eager import Eager
from thalweg.models.network import Network
from thalweg.parts.settings import Training
from thalweg.training.session import Session

SMALL = {"data": "iris", "network": ["dense 8", "tanh", "dense 3"], "training": {"epochs": 3}}


def session(**training: object) -> Session:
    return Session.load(Spec.of({**SMALL, "training": {"epochs": 3, **training}}))


def test_a_small_training_is_numpys_in_the_precision_of_the_other_engine():
    assert session().engine == Eager("float32")
    assert session(precision="float64").engine == Eager("float64")
    assert session(epochs=100_000).engine == Compiled("float32")


def test_what_a_spec_names_is_used():
    assert session(engine="compiled").engine == Compiled("float32")
    assert session(engine="eager", epochs=100_000).engine == Eager("float64")


@pytest.mark.parametrize("seconds", [0.0, math.inf])
def test_a_gpu_is_never_replaced_by_numpy(seconds, monkeypatch):
    asked = []
    monkeypatch.setattr("thalweg.engine.choice.make_engine", lambda *given: asked.append(given))
    engine_for(Training(device="gpu"), seconds)
    assert asked == [("compiled", "float32", "gpu", 1)]


def test_several_devices_are_never_replaced_by_numpy(monkeypatch):
    asked = []
    monkeypatch.setattr("thalweg.engine.choice.make_engine", lambda *given: asked.append(given))
    engine_for(Training(devices=2), 0.0)
    engine_for(Training(devices=2), 0.0, anywhere=True)
    assert asked == [("compiled", "float32", None, 2), ("eager", "float32", None, 1)]


def test_both_engines_train_the_same_network_and_the_run_names_its_own():
    runs = {
        engine: thalweg.train(SMALL["network"], "iris", epochs=3, engine=engine, precision="float32", progress=False)
        for engine in ("auto", "eager", "compiled")
    }
    for mine, eager, compiled in zip(*(run.params for run in runs.values()), strict=True):
        for one, two, three in zip(mine, eager, compiled, strict=True):
            np.testing.assert_array_equal(one, two)
            np.testing.assert_allclose(one, three, rtol=1e-4, atol=1e-6)
    assert [run.facts["engine"].split(",")[0] for run in runs.values()] == ["eager", "eager", "compiled"]


def test_the_time_of_a_step_grows_with_every_product():
    def seconds(words: list[str], inputs: int, rows: int) -> float:
        network = Network(words)
        return step_seconds(network, network.initialize(0, (inputs,)).params, inputs, rows)

    small = seconds(["dense 8", "relu", "dense 2"], 4, 10)
    assert seconds(["dense 8", "relu", "dense 2"], 4, 1000) > small
    assert seconds(["dense 8", "relu", "dense 2"], 400, 10) > small
    assert seconds(["dense 8", "relu"] * 5 + ["dense 2"], 4, 10) > small
    # A kernel of 3 x 3 is used at 26 x 26 places: 9 weights and 6,084 products in a row.
    dense = seconds(["dense 9"], 1, 10_000)
    assert seconds(["reshape 28 28 1", "conv2d 1 3"], 784, 10_000) > 100 * dense


def joint(epochs=100, stopping=None, data=None, **training: object) -> float:
    sections = {
        "data": {"source": "iris", "validation": 0.2} if data is None else data,
        "network": ["dense 8", "tanh", "dense 3"],
        "stopping": stopping or {},
        "probes": "off",
        "training": {"epochs": epochs, "engine": "compiled", **training},
    }
    return Session.load(Spec.of(sections)).joint_saving


def test_what_a_training_saves_beside_others_grows_with_the_epochs_that_it_surely_runs():
    assert joint(epochs=200) == 2 * joint(epochs=100) > 0
    assert joint(epochs=200, stopping={"patience": 99}) == joint(epochs=100)
    assert joint(epochs=200, stopping={"target": 0.1}) == joint(epochs=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"engine": "eager"},
        {"device": "gpu"},
        {"devices": 2},
        {"stopping": {"seconds": 5.0}},
        # Nothing is measured after an epoch, so that many of them are one call already.
        {"data": {"source": "iris", "validation": 0.0}},
    ],
    ids=str,
)
def test_what_gains_nothing_trains_alone(changes):
    assert joint(**changes) == 0


def test_a_training_whose_arithmetic_takes_longer_than_its_calls_is_alone():
    layers = ["dense 512", "relu", "dense 512", "relu", "dense 2"]
    sections = {"data": {"source": "rings 1000", "validation": 0.2}, "network": layers, "probes": "off"}
    wide = Session.load(Spec.of({**sections, "training": {"engine": "compiled"}}))
    assert wide.joint_saving == 0


@pytest.mark.parametrize(("trainings", "workers"), [(1, 1), (3, 2), (8, 2), (9, 1), (17, 2), (96, 2), (1000, 16)])
def test_groups_give_every_worker_its_part(trainings, workers):
    size = group_size(trainings, workers)
    assert 1 <= size <= 8
    groups = -(-trainings // size)
    # No worker has more groups than it must have with the largest ones, and the largest part is nearly the mean.
    assert -(-groups // workers) == max(1, -(-trainings // (8 * workers)))
    assert -(-groups // workers) * size < trainings / workers + -(-groups // workers)
