"""Every optimizer against Optax and PyTorch on a quadratic, and its first update by hand."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np
import pytest
from parts_table import OPTIMIZERS, OptimizerEntry, name_of

from thalweg import optimizers
from thalweg.core.arrays import arrays_of, map_arrays
from thalweg.parts.layers import Affine
from thalweg.parts.part import at
from thalweg.parts.schedules import Polynomial

STEPS = 20
every_optimizer = pytest.mark.parametrize("entry", OPTIMIZERS, ids=name_of)
with_optax = pytest.mark.parametrize("entry", [e for e in OPTIMIZERS if e.optax], ids=name_of)
with_torch = pytest.mark.parametrize("entry", [e for e in OPTIMIZERS if e.torch], ids=name_of)
rates = pytest.mark.parametrize("scheduled", [False, True], ids=["number", "schedule"])


def quadratic():
    """(A, c) of 1/2 pᵀ A p - cᵀ p over the eight parameters, and a start."""
    rng = np.random.default_rng(0)
    M = rng.normal(size=(8, 8))
    start = (Affine(rng.normal(size=(3, 2)), rng.normal(size=2)),)
    return M @ M.T / 8 + 0.1 * np.eye(8), rng.normal(size=8), start


def gradient(params):
    A, c, _ = quadratic()
    W, b = params[0]
    flat = A @ np.concatenate([np.asarray(W).ravel(), np.asarray(b)]) - c
    return (Affine(flat[:6].reshape(3, 2), flat[6:]),)


def scheduled_part(entry: OptimizerEntry, scheduled: bool):
    if not scheduled:
        return entry.part
    return dataclasses.replace(entry.part, learning_rate=Polynomial(0.05, 0.001, steps=15))


def train(on, part):
    """The parameters after each step."""
    params = quadratic()[2]
    moments = part.init(params)
    path = []
    for step in range(STEPS):
        updates, moments = on(part.update, gradient(params), moments, params, np.array(float(step)))
        params = map_arrays(np.add, params, updates)
        path.append(params)
    return path


def assert_same_path(ours, theirs, rtol=1e-9):
    for params, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(params[0].W, expected[0], rtol=rtol, atol=1e-12)
        np.testing.assert_allclose(params[0].b, expected[1], rtol=rtol, atol=1e-12)


@functools.cache
def optaxs_path(entry: OptimizerEntry, scheduled: bool):
    import optax

    part = scheduled_part(entry, scheduled)
    with jax.enable_x64(True):
        # Optax counts in int32, which its schedules would turn into float32.
        linear = optax.linear_schedule(0.05, 0.001, 15)
        rule = entry.optax(optax, (lambda t: linear(t.astype(float))) if scheduled else part.learning_rate)
        params = quadratic()[2]
        expected = []
        moments = rule.init(jax.tree.map(jax.numpy.asarray, params))
        update = jax.jit(rule.update)
        for _ in range(STEPS):
            updates, moments = update(gradient(params), moments, params)
            params = jax.tree.map(lambda p, u: p + np.asarray(u), params, updates)
            expected.append(params[0])
    return expected


@with_optax
@rates
def test_updates_are_optaxs(entry, scheduled, on):
    pytest.importorskip("optax")
    assert_same_path(train(on, scheduled_part(entry, scheduled)), optaxs_path(entry, scheduled))


@with_torch
@rates
def test_updates_are_pytorchs(entry, scheduled, on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    part = scheduled_part(entry, scheduled)
    W, b = (torch.tensor(p, requires_grad=True) for p in quadratic()[2][0])
    rule = entry.torch(torch, [W, b])
    expected = []
    for step in range(STEPS):
        for group in rule.param_groups:
            group["lr"] = float(at(part.learning_rate, step))
        W.grad, b.grad = (torch.tensor(g) for g in gradient((Affine(W.detach(), b.detach()),))[0])
        rule.step()
        expected.append((W.detach().numpy().copy(), b.detach().numpy().copy()))
    assert_same_path(train(on, part), expected)


@every_optimizer
def test_every_optimizer_has_an_oracle(entry):
    assert entry.optax or entry.torch


@every_optimizer
def test_moments_keep_their_structure_and_types(entry):
    params = map_arrays(lambda p: p.astype(np.float32), quadratic()[2])
    moments = entry.part.init(params)
    updates, after = entry.part.update(params, moments, params, np.float32(3))
    assert jax.tree.structure(after) == jax.tree.structure(moments)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    assert {array.dtype for _, array in (*arrays_of(updates), *arrays_of(after))} == {np.dtype(np.float32)}


@every_optimizer
def test_a_zero_gradient_at_the_start_moves_nothing_but_what_decays(entry, on):
    params = quadratic()[2]
    zero = map_arrays(np.zeros_like, params)
    updates, _ = on(entry.part.update, zero, entry.part.init(params), params, np.array(0.0))
    decay = float(at(entry.part.learning_rate, 0)) * getattr(entry.part, "weight_decay", 0.0)
    np.testing.assert_allclose(updates[0].W, -decay * params[0].W, rtol=1e-14)
    assert (updates[0].b == 0).all()


@pytest.mark.parametrize(
    ("part", "first", "second"),
    [
        # g = 2, then g = -1, by hand.
        (optimizers.SGD(0.1), -0.2, 0.1),
        (optimizers.GradientDescent(0.1), -0.2, 0.1),
        # v = -0.2, then 0.5 * -0.2 + 0.1 = 0.
        (optimizers.Momentum(0.1, 0.5), -0.2, 0.0),
        # 0.5 * -0.2 - 0.2, then 0.5 * 0 + 0.1.
        (optimizers.Nesterov(0.1, 0.5), -0.3, 0.1),
        # s = 4, then 5.
        (optimizers.Adagrad(0.1), -0.1, 0.1 / 5**0.5),
        # s = 2, then 1.5.
        (optimizers.RMSProp(0.1, rho=0.5), -0.2 / 2**0.5, 0.1 / 1.5**0.5),
        # d = 2 sqrt(1e-6 / 2), u = d²/2 = 1e-6, then -sqrt(2e-6 / 1.5) (the epsilon beside s left out).
        (optimizers.Adadelta(1.0, rho=0.5), -(2e-6**0.5), (2e-6 / 1.5) ** 0.5),
        # m^ = 2, v^ = 4; then m = 0.5 * 1 - 0.5 = 0, whatever v.
        (optimizers.Adam(0.1, 0.5, 0.5), -0.1, 0.0),
        (optimizers.AdamW(0.1, 0.5, 0.5, weight_decay=0.0), -0.1, 0.0),
        # √(1/2) / (1/2) m over √2 + 1; then m = 0.
        (optimizers.AdamHat(0.1, 0.5, 0.5, epsilon=1.0), -0.1 * 2**0.5 / (2**0.5 + 1), 0.0),
        # The largest v stays 2; its correction 1 / (1 - 1/4) does not matter as m = 0.
        (optimizers.AMSGrad(0.1, 0.5, 0.5), -0.1, 0.0),
        # 0.5 m / (3/4) + 0.5 g / (1/2) = 2/3 + 2 over 2; then (0 - 0.5 / (3/4)) over sqrt(1.5 / (3/4)).
        (optimizers.Nadam(0.1, 0.5, 0.5), -0.1 * 4 / 3, 0.1 * 2 / 3 / 2**0.5),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_first_and_second_update_by_hand(part, first, second, on):
    params = (np.array([1.0]),)
    one, moments = on(part.update, (np.array([2.0]),), part.init(params), params, np.array(0.0))
    two, _ = on(part.update, (np.array([-1.0]),), moments, params, np.array(1.0))
    assert one[0].tolist() == pytest.approx([first], rel=2e-6)
    assert two[0].tolist() == pytest.approx([second], rel=2e-6, abs=1e-12)


def test_adams_first_update_is_the_rate_against_the_sign_of_the_gradient(on):
    g = np.array([-0.341, 0.242, 0.099])
    params = (np.zeros(3),)
    updates, _ = on(optimizers.Adam(0.001).update, (g,), optimizers.Adam(0.001).init(params), params, np.array(0.0))
    np.testing.assert_allclose(updates[0], -0.001 * np.sign(g), rtol=1e-6)


def test_adamw_lets_weights_decay_and_biases_not(on):
    part = optimizers.AdamW(0.1, weight_decay=0.5)
    params = (Affine(np.full((2, 2), 3.0), np.full(2, 3.0)),)
    zero = map_arrays(np.zeros_like, params)
    updates, _ = on(part.update, zero, part.init(params), params, np.array(0.0))
    np.testing.assert_allclose(updates[0].W, np.full((2, 2), -0.15))
    assert updates[0].b.tolist() == [0, 0]


def test_gradient_descent_alone_asks_for_all_samples_at_once():
    assert [part.kind for part in (e.part for e in OPTIMIZERS) if part.full_batch] == ["gradient_descent"]
