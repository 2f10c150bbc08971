"""Products of the Hessian: by hand, against jax.jvp of jax.grad of the loss, symmetric; and slopes of each sample."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np
import pytest

from thalweg.core.arrays import arrays_of, map_arrays, replaced
from thalweg.core.noise import noise_key
from thalweg.engine import hessian
from thalweg.engine.step import Batch, Plan, State, make_trace, pieces
from thalweg.models.network import Network
from thalweg.parts.layers import Affine
from thalweg.parts.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    MeanSquaredError,
    SoftmaxCrossEntropy,
    SquaredError,
    as_targets,
)
from thalweg.parts.optimizers import SGD
from thalweg.parts.part import Loss
from thalweg.parts.regularization import Regularization
from thalweg.parts.task_metrics import ClassificationMetric

FEATURES, ROWS, CLASSES = 3, 6, 3


def plan_of(layers: list, loss: Loss, **options) -> Plan:
    return Plan(Network(layers), loss, SGD(0.1), ClassificationMetric(), **options)


def residual(*layers) -> dict:
    return {"kind": "residual", "layers": list(layers)}


L2 = Regularization(l2=0.3, alpha=1.5)
DEEP = ["dense 5", "tanh", "dense 4", "gelu", "dense 4", "swish", "dense 3"]
PLANS = {
    "fused softmax": plan_of(["dense 4", "tanh", "dense 3", "softmax"], CrossEntropy(0.1)),
    "fused sigmoid": plan_of(["dense 4", "softplus", "dense 3", "sigmoid"], BinaryCrossEntropy()),
    "softmax and mse": plan_of(["dense 4", "sigmoid", "dense 3", "softmax"], MeanSquaredError()),
    "sigmoid and cross-entropy": plan_of(["dense 4", "elu", "dense 3", "sigmoid"], CrossEntropy()),
    "deep": plan_of(DEEP, Huber(0.5)),
    "relu": plan_of(["dense 6", "relu", "dense 6", "leaky_relu", "dense 3"], SoftmaxCrossEntropy()),
    "batch norm": plan_of(["dense 4", "batch_norm", "tanh", "batch_norm", "dense 3"], SquaredError()),
    "layer norm": plan_of(["layer_norm", "dense 4", "layer_norm", "selu", "dense 3"], SoftmaxCrossEntropy()),
    "dropout": plan_of(["dropout 0.2", "dense 5", "tanh", "dropout 0.4", "dense 3"], SoftmaxCrossEntropy()),
    "residual": plan_of(
        [residual("dense 4", "tanh"), residual("dense 4", "batch_norm", residual("tanh")), "dense 3"],
        SoftmaxCrossEntropy(),
    ),
    "features": plan_of(["polynomial 2", "dense 2", "products", "radial 3", "dense 3"], SquaredError()),
    "a block of features": plan_of(["flatten", residual("products"), "tanh", "dense 3"], SquaredError()),
    "pieces": plan_of(["dense 4", "batch_norm", "dropout 0.3", "gelu", "dense 3"], SquaredError(), accumulate=2),
    "l2": plan_of(["dense 4", "tanh", "dense 3"], SoftmaxCrossEntropy(), regularization=L2),
    "l1 and l2 of biases": plan_of(
        ["dense 4", "tanh", "dense 3"],
        SoftmaxCrossEntropy(),
        regularization=Regularization(l1=0.1, l2=0.2, biases=True),
    ),
    "held": plan_of(
        [
            {"kind": "dense", "width": 4, "trainable": False},
            {"kind": "layer_norm", "trainable": ["gamma"]},
            {"kind": "dense", "width": 4, "bias": False},
            "tanh",
            {"kind": "residual", "layers": ["dense 4", "tanh"], "trainable": False},
            {"kind": "dense", "width": 3, "trainable": ["W"]},
        ],
        SoftmaxCrossEntropy(),
        regularization=Regularization(l2=0.2, biases=True),
    ),
}
every_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())


def drawn(plan: Plan, seed: int):
    """A tree of the type of the parameters without a special value in it."""
    rng = np.random.default_rng(seed)
    start = plan.network.initialize(0, (FEATURES,))
    return map_arrays(lambda array: rng.normal(size=array.shape) * 0.7, start.params)


def direction(plan: Plan, seed: int):
    """A direction of the parameters that are trained."""
    return plan.network.trained(drawn(plan, seed))


def case(plan: Plan) -> tuple[State, Batch]:
    """A state in the midst of training, and a batch with weights and a row of padding."""
    rng = np.random.default_rng(0)
    layers = plan.network.initialize(0, (FEATURES,)).states
    state = State(drawn(plan, 1), layers, (), np.array(7), noise_key(0))
    weight = np.array([1.0, 0.5, 2.0, 0.0, 1.0, 1.0])
    return state, Batch(rng.normal(size=(ROWS, FEATURES)), rng.integers(CLASSES, size=ROWS), weight)


def objective(plan: Plan, state: State, batch: Batch):
    """params -> L + R, from forward passes and values alone."""

    def whole(params):
        total = 0.0
        for piece, mode in pieces(plan, state, batch):
            outputs = plan.network.forward(params, state.layers, piece.x, mode).outputs[-1]
            values, _ = plan.loss.terms(outputs, as_targets(outputs, piece.y))
            total = total + (piece.weight * values).sum()
        return total / batch.weight.sum() + plan.regularization.penalty(params, batch.weight.sum())

    return whole


@functools.cache
def expected(plan: Plan):
    """State, batch, direction, and the product that jax makes of them."""
    (state, batch), along = case(plan), direction(plan, 2)
    moving = replaced(map_arrays(np.zeros_like, state.params), along)

    @jax.jit
    def product(params, moving):
        return jax.jvp(jax.grad(objective(plan, state, batch)), (params,), (moving,))[1]

    with jax.enable_x64(True):
        found = jax.tree.map(np.asarray, product(state.params, moving))
        return state, batch, along, plan.network.trained(found)


def dot(one, other) -> float:
    return sum(np.sum(a * b) for (_, a), (_, b) in zip(arrays_of(one), arrays_of(other), strict=True))


def close(tree, expected, **tolerance) -> None:
    ours, theirs = dict(arrays_of(tree)), dict(arrays_of(expected))
    assert ours.keys() == theirs.keys()
    for place, array in ours.items():
        np.testing.assert_allclose(array, theirs[place], err_msg=place, **tolerance)


@every_plan
def test_a_product_is_the_directional_derivative_of_jax_grad(plan, on):
    state, batch, along, product = expected(plan)
    found = on(lambda *arrays: hessian.product(plan, *arrays), state, batch, along)
    assert jax.tree.structure(found) == jax.tree.structure(along)
    close(found, product, rtol=1e-8, atol=1e-11)


@every_plan
def test_the_hessian_is_symmetric(plan):
    state, batch = case(plan)
    u, v = direction(plan, 3), direction(plan, 4)
    left, right = (dot(a, hessian.product(plan, state, batch, b)) for a, b in ((u, v), (v, u)))
    assert left == pytest.approx(right, rel=1e-9)


def test_two_parameters_by_hand(on):
    # L = (tanh(w x + b) - t)² / 2 with x = 2, t = 1, w = 0.25, b = 0: z = 1/2. With y = tanh z and s = 1 - y²,
    # d²L/dz² = s² + (y - 1) (-2 y s), and the Hessian by (w, b) is that times (x², x; x, 1).
    plan = plan_of(["dense 1", "tanh"], SquaredError())
    state = State((Affine(np.array([[0.25]]), np.zeros(1)), ()), ((), ()), (), np.array(0), noise_key(0))
    batch = Batch(np.array([[2.0]]), np.array([[1.0]]), np.array([3.0]))
    y = np.tanh(0.5)
    s = 1 - y**2
    second = s**2 - 2 * (y - 1) * y * s
    for w, b in ((1.0, 0.0), (0.0, 1.0), (0.3, -2.0)):
        along = (Affine(np.array([[w]]), np.array([b])), ())
        (found, _) = on(lambda *arrays: hessian.product(plan, *arrays), state, batch, along)
        assert found.W.tolist() == [[pytest.approx(second * (4 * w + 2 * b), rel=1e-13)]]
        assert found.b.tolist() == [pytest.approx(second * (2 * w + b), rel=1e-13)]
        slope = on(lambda *arrays: hessian.slopes(plan, *arrays), state, batch, along)
        assert slope.values.tolist() == [pytest.approx((y - 1) ** 2 / 2, rel=1e-13)]
        assert slope.slopes.tolist() == [pytest.approx((y - 1) * s * (2 * w + b), rel=1e-13)]


def test_the_noise_is_that_of_the_step():
    # Another step drops other units: the Hessian is another one.
    plan = PLANS["dropout"]
    state, batch = case(plan)
    along = drawn(plan, 2)
    now, later = (hessian.product(plan, at, batch, along) for at in (state, state._replace(step=np.array(8))))
    assert dot(now, along) != pytest.approx(dot(later, along), rel=1e-3)


def test_a_batch_without_weight_has_no_curvature_but_that_of_the_penalty(on):
    plan = PLANS["l2"]
    state, batch = case(plan)
    along = drawn(plan, 2)
    found = on(lambda *arrays: hessian.product(plan, *arrays), state, batch._replace(weight=np.zeros(ROWS)), along)
    for ours, v in zip((found[0], found[2]), (along[0], along[2]), strict=True):
        # l2, and all of alpha: such a batch counts as one sample.
        np.testing.assert_allclose(ours.W, (0.3 + 1.5) * v.W, rtol=1e-14)
        assert not ours.b.any()


def test_a_network_that_learns_nothing_has_an_empty_hessian():
    plan = plan_of(["tanh", "softmax"], MeanSquaredError())
    state, batch = case(plan)
    assert hessian.product(plan, state, batch, ((), ())) == ((), ())
    assert not hessian.slopes(plan, state, batch, ((), ())).slopes.any()


def test_float32_stays_float32():
    plan = PLANS["residual"]
    state, batch = case(plan)
    single = map_arrays(np.float32, (state.params, state.layers, batch.x, batch.weight, drawn(plan, 2)))
    params, layers, x, weight, along = single
    state, batch = state._replace(params=params, layers=layers), batch._replace(x=x, weight=weight)
    found = hessian.product(plan, state, batch, along), hessian.slopes(plan, state, batch, along)
    assert {array.dtype for _, array in arrays_of(found)} == {np.dtype(np.float32)}


# Slopes ---------------------------------------------------------------------------------------------------------------


@every_plan
def test_slopes_add_up_to_the_gradient_along_the_direction(plan, on):
    state, batch = case(plan)
    along = direction(plan, 5)
    found = on(lambda *arrays: hessian.slopes(plan, *arrays), state, batch, along)
    trace = make_trace(plan)(state, batch)[1]
    share = batch.weight / batch.weight.sum()
    assert np.sum(share * found.values) == pytest.approx(float(trace.loss), rel=1e-12)
    assert np.sum(share * found.slopes) == pytest.approx(dot(trace.grads, along), rel=1e-9)


@pytest.mark.parametrize("name", ["fused softmax", "softmax and mse", "deep", "layer norm", "features"])
def test_the_slope_of_a_sample_is_its_own_gradient_along_the_direction(name):
    plan = PLANS[name]
    state, batch = case(plan)
    along = drawn(plan, 6)
    found = hessian.slopes(plan, state, batch, along)
    for row in range(ROWS):
        alone = Batch(batch.x[row : row + 1], batch.y[row : row + 1], np.ones(1))
        trace = make_trace(plan)(state, alone)[1]
        assert found.values[row] == pytest.approx(float(trace.loss), rel=1e-12)
        assert found.slopes[row] == pytest.approx(dot(trace.grads, along), rel=1e-9)


def test_pieces_of_a_batch_are_the_batch():
    # Without statistics or noise the pieces make no difference.
    plan = PLANS["deep"]
    state, batch = case(plan)
    along = drawn(plan, 2)
    parted = dataclasses.replace(plan, accumulate=3)
    whole, parts = (hessian.product(each, state, batch, along) for each in (plan, parted))
    close(parts, whole, rtol=1e-11)
    close(*(hessian.slopes(each, state, batch, along) for each in (plan, parted)), rtol=1e-13)
