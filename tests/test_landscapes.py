"""Landscapes: gradients against finite differences and jax.grad, minima that are minima, and the paths over them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.clipping import ClipGlobalNorm
from thalweg.errors import InputError
from thalweg.landscapes import Cliff, Landscape, Quadratic, Rosenbrock, Saddle, descent
from thalweg.noise import generator
from thalweg.optimizers import SGD, Adam, Momentum

LANDSCAPES = [Landscape.of(kind) for kind in Landscape.kinds]
LANDSCAPES += [Rosenbrock(10.0), Quadratic(7.0), Cliff(height=3.0, sharpness=2.0)]
each = pytest.mark.parametrize("landscape", LANDSCAPES, ids=lambda part: f"{part.kind}-{len(str(part))}")


def places(landscape: Landscape, count: int = 200) -> np.ndarray:
    low, high = np.array(landscape.bounds).T
    return generator(0, landscape.kind).uniform(low, high, (count, 2))


@each
def test_the_gradient_is_that_of_finite_differences(landscape, on):
    where, step = places(landscape), 1e-6
    x, y = where.T
    measured = on(landscape.gradient, where)
    along_x = (landscape.value(x + step, y) - landscape.value(x - step, y)) / (2 * step)
    along_y = (landscape.value(x, y + step) - landscape.value(x, y - step)) / (2 * step)
    np.testing.assert_allclose(measured, np.stack([along_x, along_y], axis=1), rtol=1e-6, atol=1e-5)


@each
def test_the_gradient_is_that_of_jax(landscape):
    where = places(landscape)
    with jax.enable_x64(True):
        slope = jax.vmap(jax.grad(lambda place: landscape.value(place[0], place[1])))(jnp.asarray(where))
        np.testing.assert_allclose(landscape.gradient(where), np.asarray(slope), rtol=1e-9, atol=1e-9)


@each
def test_minima_are_flat_and_nothing_in_the_picture_is_lower(landscape):
    lowest = np.array([landscape.value(*minimum) for minimum in landscape.minima])
    np.testing.assert_allclose(landscape.gradient(np.array(landscape.minima)), 0, atol=1e-9)
    np.testing.assert_allclose(lowest, lowest[0], atol=1e-12)
    assert landscape.value(*places(landscape, 20_000).T).min() >= lowest.min() - 1e-12


@each
def test_start_and_minima_lie_in_the_picture(landscape):
    low, high = np.array(landscape.bounds).T
    assert np.all(low < landscape.start)
    assert np.all(np.array(landscape.start) < high)
    assert np.all((low < landscape.minima) & (landscape.minima < high))


@each
def test_a_landscape_is_finite_far_outside_of_its_picture(landscape):
    far = 1000 * np.array(landscape.bounds).T
    assert np.isfinite(landscape.value(*far.T)).all()
    assert np.isfinite(landscape.gradient(far)).all()


def test_known_heights():
    assert [Landscape.of(kind).value(0.0, 0.0) for kind in ("rosenbrock", "himmelblau", "beale")] == [1, 170, 14.203125]
    assert Landscape.of("cliff").value(0.0, 0.0) == pytest.approx(0, abs=1e-15)
    assert Saddle().value(0.0, 2**0.5) == pytest.approx(-1)


def test_the_wall_of_the_cliff_is_99_times_as_steep_as_its_floor():
    floor, _ = Cliff().slopes(-6.0, 0.0)
    wall, _ = Cliff().slopes(5.0, 0.0)
    assert wall / -floor == pytest.approx(99)


def test_gradient_descent_on_a_quadratic_shrinks_each_direction_by_1_minus_rate_times_curvature():
    path = descent(Quadratic(condition=20.0), SGD(0.03), steps=9, start=(-3.0, 2.0))
    powers = np.arange(10)
    np.testing.assert_allclose(path[:, 0], -3 * 0.97**powers)
    np.testing.assert_allclose(path[:, 1], 2 * 0.4**powers)


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_a_path_is_that_of_pytorch(name):
    torch = pytest.importorskip("torch")
    place = torch.tensor(Rosenbrock().start, dtype=torch.float64, requires_grad=True)
    theirs = {"momentum": torch.optim.SGD([place], 1e-4, momentum=0.9), "adam": torch.optim.Adam([place], 0.05)}[name]
    ours = {"momentum": Momentum(1e-4), "adam": Adam(0.05)}[name]
    expected = [place.detach().numpy().copy()]
    for _ in range(50):
        theirs.zero_grad()
        Rosenbrock().value(place[0], place[1]).backward()
        theirs.step()
        expected.append(place.detach().numpy().copy())
    np.testing.assert_allclose(descent(Rosenbrock(), ours, 50), expected, rtol=1e-9)


def test_clipped_steps_are_at_most_the_rate_times_the_limit():
    steps = np.linalg.norm(np.diff(descent(Cliff(), SGD(0.1), 20, clip=ClipGlobalNorm(1.0)), axis=0), axis=1)
    assert steps.max() == pytest.approx(0.1)


def test_a_path_that_diverges_is_told_to_its_end():
    path = descent(Quadratic(condition=50.0), SGD(1.0), steps=400)
    assert path.shape == (401, 2)
    assert not np.isfinite(path[-1]).all()


def test_a_condition_below_one_is_refused():
    with pytest.raises(InputError, match="condition"):
        Quadratic(condition=0.5)
