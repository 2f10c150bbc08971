"""The loss at points around a state: the same on both engines, and that of a network with those parameters."""

from __future__ import annotations

import numpy as np
import pytest
from compilations import compilations

from thalweg.core.arrays import map_arrays
from thalweg.core.noise import noise_key
from thalweg.engine.engine import make_engine
from thalweg.engine.step import Batch, Plan, State
from thalweg.insight.loss_surface import doubling_distance, loss_at
from thalweg.models.network import Network
from thalweg.parts.losses import CrossEntropy
from thalweg.parts.optimizers import SGD
from thalweg.parts.task_metrics import ClassificationMetric

RNG = np.random.default_rng(3)
POINTS = np.array([[0.0, 0.0], [0.5, 0.0], [0.0, -1.0], [0.3, 0.7], [-2.0, 0.1]])


def case():
    network = Network(["dense 6", "batch_norm", "tanh", "dropout 0.5", "dense 3", "softmax"])
    start = network.initialize(0, (4,))
    # Running moments as after a training.
    layers = map_arrays(lambda moment: moment + RNG.uniform(0.1, 1.0, moment.shape), start.states)
    state = State(start.params, layers, (), np.array(7), noise_key(0))
    batch = Batch(RNG.normal(size=(20, 4)), RNG.integers(3, size=20), RNG.uniform(0.5, 2.0, 20))
    axes = tuple(map_arrays(lambda p: RNG.normal(size=np.shape(p)), start.params) for _ in range(2))
    return Plan(network, CrossEntropy(), SGD(), ClassificationMetric()), state, batch, axes


def losses(engine, plan, state, batch, axes, points, start, stop):
    _, result = engine.loop(loss_at, (), start, stop, len(points), plan, state, batch, axes, points)
    return engine.fetch(result)[: stop - start]


def by_hand(state, batch, axes, point):
    """The weighted mean cross-entropy of the network at one point, written out."""
    dense, norm, _, _, last, _ = map_arrays(
        lambda p, first, second: p + point[0] * first + point[1] * second, state.params, *axes
    )
    moments = state.layers[1]
    z = batch.x @ dense.W + dense.b
    y = np.tanh(norm.gamma * (z - moments.mean) / np.sqrt(moments.variance + 1e-5) + norm.beta)
    logits = y @ last.W + last.b
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(20), batch.y]
    return np.average(losses, weights=batch.weight)


@pytest.mark.parametrize(
    ("name", "precision", "rtol"),
    [("eager", "float64", 1e-12), ("compiled", "float64", 1e-12), ("compiled", "float32", 1e-4)],
)
def test_losses_equal_those_of_the_network_at_each_point(name, precision, rtol):
    plan, state, batch, axes = case()
    engine = make_engine(name, precision)
    placed = engine.place((state, batch, axes, POINTS))
    expected = [by_hand(state, batch, axes, point) for point in POINTS]
    whole = losses(engine, plan, *placed, 0, len(POINTS))
    np.testing.assert_allclose(whole, expected, rtol=rtol)
    np.testing.assert_array_equal(losses(engine, plan, *placed, 1, 4), whole[1:4])


def test_every_chunk_of_points_uses_the_same_program():
    plan, state, batch, axes = case()
    engine = make_engine("compiled", "float64")
    placed = engine.place((state, batch, axes, POINTS))
    losses(engine, plan, *placed, 0, 2)
    before = compilations()
    losses(engine, plan, *placed, 2, 5)
    assert compilations() == before


def test_an_averaged_state_is_evaluated_at_its_average():
    plan, state, batch, axes = case()
    shifted = map_arrays(lambda p, d: p + 0.5 * d, state.params, axes[0])
    engine = make_engine("eager")
    (loss,) = losses(engine, plan, state._replace(average=shifted), batch, axes, POINTS, 0, 1)
    assert loss == pytest.approx(by_hand(state, batch, axes, POINTS[1]))


def test_the_distance_at_which_a_loss_doubles():
    distances = np.array([1.0, 2.0, 3.0])
    assert doubling_distance(distances, np.array([1.0, 3.0, 9.0]), 1.0) == pytest.approx(1.5)
    assert doubling_distance(distances, np.array([5.0, 1.0, 1.0]), 1.0) == pytest.approx(0.25)
    assert doubling_distance(distances, np.array([1.0, np.inf, 1.0]), 1.0) == 2.0
    assert doubling_distance(distances, np.array([1.0, np.nan, 1.0]), 1.0) == 2.0
    assert doubling_distance(distances, np.array([1.0, 1.9, 0.5]), 1.0) is None
    assert doubling_distance(distances, np.array([1.0, 1.0, 1.0]), 0.0) is None
