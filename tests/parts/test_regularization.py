"""Penalties against jax.grad and PyTorch, decay against PyTorch's AdamW, max-norm by hand and as a property."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from thalweg.core.arrays import arrays_of, map_arrays
from thalweg.core.errors import InputError
from thalweg.parts.layers import Affine
from thalweg.parts.optimizers import SGD, AdamW, Momentum
from thalweg.parts.regularization import Regularization
from thalweg.parts.schedules import Polynomial

KINDS = [
    Regularization(l1=0.3),
    Regularization(l2=0.7),
    Regularization(l1=0.3, l2=0.7),
    Regularization(l1=0.3, l2=0.7, biases=True),
    Regularization(alpha=0.4),
    Regularization(l2=0.7, alpha=0.4),
]
every_penalty = pytest.mark.parametrize("part", KINDS, ids=str)


def parameters(seed: int = 0):
    """Weights and biases of two layers, with a layer without parameters between them."""
    rng = np.random.default_rng(seed)
    return (
        Affine(rng.normal(size=(3, 2)), rng.normal(size=2)),
        (),
        Affine(rng.normal(size=(2, 4)), rng.normal(size=4)),
    )


def assert_same(tree, expected, rtol=1e-12):
    assert jax.tree.structure(tree) == jax.tree.structure(expected)
    for (_, array), (_, wanted) in zip(arrays_of(tree), arrays_of(expected), strict=True):
        np.testing.assert_allclose(array, wanted, rtol=rtol, atol=1e-15)


# Penalties ------------------------------------------------------------------------------------------------------------


def test_the_penalty_by_hand(on):
    params = (Affine(np.array([[1.0, -2.0], [3.0, 0.0]]), np.array([10.0, 10.0])),)
    assert on(Regularization(l1=0.5).penalty, params) == 0.5 * 6
    assert on(Regularization(l2=0.5).penalty, params) == 0.25 * 14
    assert on(Regularization(l1=0.5, l2=0.5, biases=True).penalty, params) == 0.5 * 26 + 0.25 * 214
    # alpha/2 over a batch of weight 4.
    assert on(Regularization(alpha=0.5).penalty, params, np.array(4.0)) == 0.25 * 14 / 4
    assert on(Regularization(alpha=0.5, l2=0.5).penalty, params, np.array(0.0)) == (0.25 + 0.25) * 14


@every_penalty
def test_what_is_added_to_the_gradients_is_the_derivative_of_the_penalty(part, on):
    params = parameters(0)
    grads = parameters(1)
    total = np.array(2.5)
    with jax.enable_x64(True):
        slope = jax.grad(part.penalty)(params, total)
    assert_same(on(part.gradients, grads, params, total), map_arrays(lambda g, s: g + np.asarray(s), grads, slope))


def test_a_weight_of_zero_is_not_pushed_by_l1(on):
    grads = (np.zeros((1, 2)),)
    params = (np.array([[0.0, -2.0]]),)
    assert on(Regularization(l1=0.5).gradients, grads, params)[0].tolist() == [[0.0, -0.5]]


def test_l2_is_pytorchs_weight_decay_under_momentum():
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    rule = Momentum(0.1, 0.9)
    part = Regularization(l2=0.3, biases=True)
    params = parameters()
    tensors = [torch.tensor(p, requires_grad=True) for _, p in arrays_of(params)]
    oracle = torch.optim.SGD(tensors, lr=0.1, momentum=0.9, weight_decay=0.3)
    moments = rule.init(params)
    for step in range(5):
        grads = parameters(step + 1)
        for tensor, (_, g) in zip(tensors, arrays_of(grads), strict=True):
            tensor.grad = torch.tensor(g)
        oracle.step()
        updates, moments = rule.update(part.gradients(grads, params), moments, params, step)
        params = map_arrays(np.add, params, updates)
    for tensor, (_, p) in zip(tensors, arrays_of(params), strict=True):
        np.testing.assert_allclose(p, tensor.detach().numpy(), rtol=1e-12)


def test_what_is_off_changes_nothing(on):
    params = parameters(0)
    grads = parameters(1)
    off = Regularization()
    assert not off.penalizes
    assert on(off.penalty, params) == 0
    assert_same(on(off.gradients, grads, params), grads, rtol=0)
    assert_same(on(off.constrained, params), params, rtol=0)
    assert off.gradients(grads, params) is grads
    assert off.constrained(params) is params


# Decoupled decay ------------------------------------------------------------------------------------------------------


def test_decoupled_decay_is_pytorchs(on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    params = parameters(0)
    grads = parameters(1)
    tensors = [torch.tensor(p, requires_grad=True) for _, p in arrays_of(params)]
    oracle = torch.optim.AdamW(tensors, lr=0.1, weight_decay=0.3)
    for tensor, (_, g) in zip(tensors, arrays_of(grads), strict=True):
        tensor.grad = torch.tensor(g)
    oracle.step()
    rule = AdamW(0.1, weight_decay=0.1)

    def updates(grads, params):
        # Two decays add up.
        updates, _ = rule.update(grads, rule.init(params), params, np.float64(0))
        return rule.decayed(updates, params, 0, 0.2)

    for (name, update), (_, p), tensor in zip(
        arrays_of(on(updates, grads, params)), arrays_of(params), tensors, strict=True
    ):
        expected = tensor.detach().numpy() - p
        if name.endswith("b"):
            # PyTorch lets biases decay too, by eta lambda b.
            expected = expected + 0.1 * 0.3 * p
        np.testing.assert_allclose(update, expected, rtol=1e-10)


def test_decay_follows_the_rate_and_reaches_biases_when_asked(on):
    rule = SGD(Polynomial(0.4, steps=4))
    params = parameters()
    zero = map_arrays(np.zeros_like, params)

    def decayed(updates, params, step):
        return rule.decayed(updates, params, step, 0.5), rule.decayed(updates, params, step, 0.5, biases=True)

    # At step 3 the rate is 0.1.
    weights, everything = on(decayed, zero, params, np.array(3.0))
    assert_same(everything, map_arrays(lambda p: -0.05 * p, params))
    assert_same(weights, tuple(layer and Affine(-0.05 * layer.W, 0 * layer.b) for layer in params))


def test_no_decay_leaves_the_updates():
    updates = parameters()
    assert SGD(0.1).decayed(updates, parameters(1), 0, None) is updates


# Max-norm -------------------------------------------------------------------------------------------------------------


def test_max_norm_scales_the_columns_that_are_too_long(on):
    W = np.array([[3.0, 0.3, 0.0], [4.0, 0.4, 0.0]])
    part = Regularization(max_norm=1.0, biases=True)
    constrained = on(part.constrained, (Affine(W, np.full(3, 9.0)),))[0]
    np.testing.assert_allclose(constrained.W, [[0.6, 0.3, 0.0], [0.8, 0.4, 0.0]], rtol=1e-15)
    # A bias is no incoming weight.
    assert constrained.b.tolist() == [9, 9, 9]


@settings(max_examples=60, deadline=None)
@given(
    W=arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(-1e3, 1e3)),
    limit=st.floats(1e-3, 1e3),
)
def test_after_max_norm_no_column_is_too_long_and_each_keeps_its_direction(W, limit):
    (after,) = Regularization(max_norm=limit).constrained((W,))
    before = np.linalg.norm(W, axis=0)
    np.testing.assert_allclose(np.linalg.norm(after, axis=0), np.minimum(before, limit), rtol=1e-9, atol=1e-150)
    within = before < limit * (1 - 1e-12)
    np.testing.assert_array_equal(after[:, within], W[:, within])
    np.testing.assert_allclose(after * before, W * np.minimum(before, limit), rtol=1e-9, atol=1e-150)


def test_weights_that_are_not_finite_are_not_hidden(on):
    W = np.array([[np.nan, 1.0], [1.0, 2.0]])
    after = on(Regularization(max_norm=1.0).constrained, (W,))[0]
    assert np.isnan(after[0, 0])
    np.testing.assert_allclose(np.linalg.norm(after[:, 1]), 1.0)


# The part -------------------------------------------------------------------------------------------------------------


def test_float32_stays_float32():
    params = map_arrays(lambda p: p.astype(np.float32), parameters())
    part = Regularization(l1=0.1, l2=0.1, max_norm=0.5, alpha=0.1)
    arrays = [*arrays_of(part.gradients(params, params)), *arrays_of(part.constrained(params))]
    assert {array.dtype for _, array in (*arrays, ("", part.penalty(params)))} == {np.dtype(np.float32)}


@pytest.mark.parametrize("field", ["l1", "l2", "alpha", "weight_decay", "max_norm"])
@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), "much"])
def test_bad_strengths_are_refused(field, bad):
    with pytest.raises(InputError, match=field):
        Regularization(**{field: bad})


def test_a_penalty_or_a_decay_of_zero_is_none_and_a_bound_of_zero_is_refused():
    assert Regularization(l1=0, l2=0.0, alpha=0, weight_decay=0) == Regularization()
    with pytest.raises(InputError, match="max_norm"):
        Regularization(max_norm=0)


def test_a_table_makes_it_and_it_makes_the_table():
    part = Regularization.of({"l1": 1e-5, "biases": True})
    assert part == Regularization(l1=1e-5, biases=True)
    assert Regularization.of(part.describe()) == part
    assert dataclasses.replace(part, l1=None) == Regularization(biases=True)
