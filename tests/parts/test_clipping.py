"""Every clipping against PyTorch and Optax; direction, bound, and what must stay as it is."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from parts_table import CLIPPINGS, name_of

from thalweg.core.arrays import arrays_of, map_arrays
from thalweg.core.errors import InputError
from thalweg.parts.clipping import ClipGlobalNorm, ClipNorm, ClipValue
from thalweg.parts.layers import Affine

every_clipping = pytest.mark.parametrize("entry", CLIPPINGS, ids=name_of)
with_optax = pytest.mark.parametrize("entry", [e for e in CLIPPINGS if e.optax], ids=name_of)
by_norm = pytest.mark.parametrize("cls", [ClipNorm, ClipGlobalNorm], ids=lambda cls: cls.kind)


def gradients(scale: float):
    """Three layers, the second without parameters."""
    rng = np.random.default_rng(0)

    def layer(*shape: int) -> Affine:
        return Affine(scale * rng.normal(size=shape), scale * rng.normal(size=shape[-1]))

    return (layer(3, 2), (), layer(2, 4))


def flat(tree) -> np.ndarray:
    return np.concatenate([np.ravel(array) for _, array in arrays_of(tree)])


def assert_same(tree, expected, rtol=1e-12):
    assert jax.tree.structure(tree) == jax.tree.structure(expected)
    np.testing.assert_allclose(flat(tree), flat(expected), rtol=rtol)


@every_clipping
@pytest.mark.parametrize("scale", [0.01, 0.3, 5.0])
def test_clipped_gradients_are_pytorchs(entry, scale, on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    grads = gradients(scale)
    params = map_arrays(lambda g: torch.zeros(g.shape, dtype=torch.float64), grads)
    for (_, p), (_, g) in zip(arrays_of(params), arrays_of(grads), strict=True):
        p.grad = torch.tensor(g)
    for tree in params if entry.by_layer else (params,):
        entry.torch(torch, [p for _, p in arrays_of(tree)])
    # PyTorch adds 1e-6 to the norm.
    assert_same(on(entry.part, grads)[0], map_arrays(lambda p: p.grad.numpy(), params), rtol=1e-5)


@with_optax
@pytest.mark.parametrize("scale", [0.01, 0.3, 5.0])
def test_clipped_gradients_are_optaxs(entry, scale, on):
    optax = pytest.importorskip("optax")
    rule = entry.optax(optax)
    grads = gradients(scale)
    with jax.enable_x64(True):
        expected, _ = rule.update(grads, rule.init(grads))
    assert_same(on(entry.part, grads)[0], map_arrays(np.asarray, expected))


@every_clipping
def test_gradients_within_the_limit_stay_to_the_bit(entry, on):
    for grads in (gradients(0.01), map_arrays(np.zeros_like, gradients(1.0))):
        clipped, acted = on(entry.part, grads)
        np.testing.assert_array_equal(flat(clipped), flat(grads))
        assert acted == 0


@every_clipping
def test_acting_is_told_also_where_one_layer_alone_is_too_long(entry, on):
    small, none, _ = gradients(0.01)
    _, acted = on(entry.part, (small, none, gradients(5.0)[2]))
    assert acted == 1


def test_each_layer_is_clipped_by_itself(on):
    grads = (Affine(np.array([[3.0]]), np.array([4.0])), Affine(np.array([[0.3]]), np.array([0.4])))
    clipped, acted = on(ClipNorm(1.0), grads)
    assert_same(clipped, (Affine(np.array([[0.6]]), np.array([0.8])), grads[1]))
    assert acted == 1


lists = arrays(np.float64, st.integers(1, 6), elements=st.floats(-1e300, 1e300))


@by_norm
@settings(max_examples=60, deadline=None)
@given(W=lists, b=lists, limit=st.floats(1e-6, 1e6))
def test_the_norm_is_bounded_and_the_direction_kept(cls, W, b, limit):
    (clipped,), acted = cls(limit)((Affine(W, b),))
    before = flat((W, b))
    after = flat(clipped)
    longest = np.max(np.abs(before))
    if not acted:
        np.testing.assert_array_equal(after, before)
        return
    assert np.linalg.norm(after) <= limit * (1 + 1e-12)
    unit = before / longest / np.linalg.norm(before / longest)
    np.testing.assert_allclose(after / limit, unit, rtol=1e-9, atol=1e-300)


@settings(max_examples=60, deadline=None)
@given(g=lists, limit=st.floats(1e-6, 1e6))
def test_clipping_by_value_is_numpys_clip(g, limit):
    clipped, acted = ClipValue(limit)((g,))
    np.testing.assert_array_equal(clipped[0], np.clip(g, -limit, limit))
    assert acted == (np.abs(g) > limit).any()


@every_clipping
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_hidden(entry, bad, on):
    grads = gradients(0.01)
    W = grads[0].W.copy()
    W[1, 1] = bad
    clipped, _ = on(entry.part, (Affine(W, grads[0].b), *grads[1:]))
    np.testing.assert_array_equal(clipped[0].W, W)


@by_norm
@pytest.mark.parametrize("size", [3e38, 1e30, 1e-30])
def test_float32_gradients_of_any_finite_size_have_a_norm(cls, size):
    g = np.full(4, size, np.float32)
    limit = 1e-32
    for clip in (cls(limit), jax.jit(cls(limit))):
        (clipped,), acted = clip((g,))
        np.testing.assert_allclose(np.asarray(clipped, np.float64), np.full(4, limit / 2), rtol=1e-6)
        assert acted == 1


@every_clipping
def test_float32_stays_float32(entry):
    clipped, acted = entry.part(map_arrays(lambda g: g.astype(np.float32), gradients(5.0)))
    assert {array.dtype for _, array in (*arrays_of(clipped), ("", acted))} == {np.dtype(np.float32)}


@every_clipping
def test_a_network_without_parameters_has_nothing_to_clip(entry, on):
    clipped, acted = on(entry.part, ((), ()))
    assert clipped == ((), ())
    assert acted == 0


@pytest.mark.parametrize("cls", [ClipValue, ClipNorm, ClipGlobalNorm], ids=lambda cls: cls.kind)
@pytest.mark.parametrize("bad", [0, -1.0, float("inf"), float("nan")])
def test_a_limit_that_is_none_is_refused(cls, bad):
    with pytest.raises(InputError, match="limit"):
        cls(bad)
