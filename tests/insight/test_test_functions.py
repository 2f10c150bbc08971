"""Test functions: gradients against finite differences and jax.grad, and minima that are minima."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.core.noise import generator
from thalweg.insight.test_functions import Cliff, CustomLandscape, Landscape, Quadratic, Rosenbrock, Saddle

KNOWN = [Landscape.of(kind) for kind in Landscape.kinds if kind != "formula"]
KNOWN += [Rosenbrock(10.0), Quadratic(7.0), Cliff(height=3.0, sharpness=2.0)]
TYPED = CustomLandscape("(x - 1)^2 + 3*sin(x*y) + sqrt(y^2 + 1)", reach=3.0)
each = pytest.mark.parametrize("landscape", [*KNOWN, TYPED], ids=lambda part: f"{part.kind}-{len(str(part))}")
each_known = pytest.mark.parametrize("landscape", KNOWN, ids=lambda part: f"{part.kind}-{len(str(part))}")


def random_points(landscape: Landscape, count: int = 200) -> np.ndarray:
    low, high = np.array(landscape.bounds).T
    return generator(0, landscape.kind).uniform(low, high, (count, 2))


@each
def test_the_gradient_agrees_with_finite_differences(landscape, on):
    points = random_points(landscape)
    step = 1e-6
    x, y = points.T
    gradient = on(landscape.gradient, points)
    by_x = (landscape.value(x + step, y) - landscape.value(x - step, y)) / (2 * step)
    by_y = (landscape.value(x, y + step) - landscape.value(x, y - step)) / (2 * step)
    np.testing.assert_allclose(gradient, np.stack([by_x, by_y], axis=1), rtol=1e-6, atol=1e-5)


@each
def test_the_gradient_agrees_with_jax(landscape):
    points = random_points(landscape)
    with jax.enable_x64(True):
        expected = jax.vmap(jax.grad(lambda point: landscape.value(point[0], point[1])))(jnp.asarray(points))
        np.testing.assert_allclose(landscape.gradient(points), np.asarray(expected), rtol=1e-9, atol=1e-9)


@each_known
def test_minima_have_no_slope_and_no_point_is_lower(landscape):
    lowest = np.array([landscape.value(*minimum) for minimum in landscape.minima])
    np.testing.assert_allclose(landscape.gradient(np.array(landscape.minima)), 0, atol=1e-9)
    np.testing.assert_allclose(lowest, lowest[0], atol=1e-12)
    assert landscape.value(*random_points(landscape, 20_000).T).min() >= lowest.min() - 1e-12


@each
def test_start_and_minima_are_within_the_bounds(landscape):
    low, high = np.array(landscape.bounds).T
    assert np.all(low < landscape.start)
    assert np.all(np.array(landscape.start) < high)
    assert np.all((low < landscape.minima) & (landscape.minima < high))


@each
def test_values_and_gradients_are_finite_far_outside_of_the_bounds(landscape):
    far = 1000 * np.array(landscape.bounds).T
    assert np.isfinite(landscape.value(*far.T)).all()
    assert np.isfinite(landscape.gradient(far)).all()


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("(1 - x)^2 + 100*(y - x²)²", Rosenbrock()),
        ("x² − y² + y^4/4", Saddle()),
        ("20 + x^2 - 10*cos(2*π*x) + y^2 - 10*cos(2*π*y)", Landscape.of("rastrigin")),
    ],
    ids=["rosenbrock", "saddle", "rastrigin"],
)
def test_a_typed_formula_equals_the_test_function_it_spells(text, same, on):
    points = random_points(same)
    typed = CustomLandscape(text)
    np.testing.assert_allclose(on(typed.gradient, points), same.gradient(points), rtol=1e-9, atol=1e-9)
    lowest = same.value(*same.minima[0])
    assert typed.value(*typed.minima[0]) == pytest.approx(lowest, abs=1e-12)
    assert min(np.linalg.norm(np.subtract(typed.minima[0], point)) for point in same.minima) < 1e-5


def test_the_minimum_of_a_formula_is_searched_for_within_the_bounds_alone():
    assert CustomLandscape("x + 2*y", reach=3.0).minima == ((-3.0, -3.0),)


def test_a_constant_derivative_has_the_shape_of_the_points(on):
    points = random_points(TYPED, 7)
    assert on(CustomLandscape("3*x").gradient, points).tolist() == [[3.0, 0.0]] * 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x + z", "unknown name"),
        ("x +", "at the end"),
        ("x @ y", "no derivative"),
        ("3", "constant between -5 and 5"),
        ("log(-1 - x^2)", "not a finite number"),
        ("x.__class__", "a dot"),
        ("(" * 10_000_000, "at most 1000 characters"),
    ],
)
def test_an_unusable_formula_is_rejected(text, message):
    with pytest.raises(InputError, match=message):
        CustomLandscape(text)


def test_known_heights():
    assert [Landscape.of(kind).value(0.0, 0.0) for kind in ("rosenbrock", "himmelblau", "beale")] == [1, 170, 14.203125]
    assert Landscape.of("cliff").value(0.0, 0.0) == pytest.approx(0, abs=1e-15)
    assert Saddle().value(0.0, 2**0.5) == pytest.approx(-1)


def test_the_wall_of_the_cliff_is_99_times_as_steep_as_its_floor():
    floor, _ = Cliff().slopes(-6.0, 0.0)
    wall, _ = Cliff().slopes(5.0, 0.0)
    assert wall / -floor == pytest.approx(99)


def test_a_condition_below_one_is_rejected():
    with pytest.raises(InputError, match="condition"):
        Quadratic(condition=0.5)
