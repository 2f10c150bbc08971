"""Landscapes: gradients against finite differences and jax.grad, minima that are minima, and the paths over them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.core.noise import generator
from thalweg.engine.engine import make_engine
from thalweg.insight.test_functions import (
    Cliff,
    Formula,
    Landscape,
    Quadratic,
    Rosenbrock,
    Saddle,
    Walk,
    descent,
    follow,
)
from thalweg.parts.clipping import ClipGlobalNorm
from thalweg.parts.optimizers import SGD, Adam, Momentum

KNOWN = [Landscape.of(kind) for kind in Landscape.kinds if kind != "formula"]
KNOWN += [Rosenbrock(10.0), Quadratic(7.0), Cliff(height=3.0, sharpness=2.0)]
TYPED = Formula("(x - 1)^2 + 3*sin(x*y) + sqrt(y^2 + 1)", reach=3.0)
each = pytest.mark.parametrize("landscape", [*KNOWN, TYPED], ids=lambda part: f"{part.kind}-{len(str(part))}")
each_known = pytest.mark.parametrize("landscape", KNOWN, ids=lambda part: f"{part.kind}-{len(str(part))}")


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


@each_known
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


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("(1 - x)^2 + 100*(y - x²)²", Rosenbrock()),
        ("x² − y² + y^4/4", Saddle()),
        ("20 + x^2 - 10*cos(2*π*x) + y^2 - 10*cos(2*π*y)", Landscape.of("rastrigin")),
    ],
    ids=["rosenbrock", "saddle", "rastrigin"],
)
def test_a_formula_is_the_landscape_that_it_writes_out(text, same, on):
    where, typed = places(same), Formula(text)
    np.testing.assert_allclose(on(typed.gradient, where), same.gradient(where), rtol=1e-9, atol=1e-9)
    lowest = same.value(*same.minima[0])
    assert typed.value(*typed.minima[0]) == pytest.approx(lowest, abs=1e-12)
    assert min(np.linalg.norm(np.subtract(typed.minima[0], place)) for place in same.minima) < 1e-5


def test_the_lowest_place_of_a_formula_is_looked_for_inside_of_its_picture_alone():
    assert Formula("x + 2*y", reach=3.0).minima == ((-3.0, -3.0),)


def test_a_part_of_a_formula_that_does_not_change_has_the_shape_of_the_places(on):
    where = places(TYPED, 7)
    assert on(Formula("3*x").gradient, where).tolist() == [[3.0, 0.0]] * 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x + z", "unknown name"),
        ("x +", "at the end"),
        ("x @ y", "no derivative"),
        ("3", "is the same everywhere between -5 and 5"),
        ("log(-1 - x^2)", "is nowhere a number"),
        ("x.__class__", "a dot"),
        ("(" * 10_000_000, "expected at most 1000 characters"),
    ],
)
def test_a_formula_that_can_not_be_walked_on_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        Formula(text)


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


@pytest.mark.parametrize("name", ["eager", "compiled"])
def test_many_walks_at_once_are_the_walks_one_by_one(name):
    starts = places(Rosenbrock(), 4)
    track = follow(Walk(Rosenbrock(), Adam(0.05)), make_engine(name, "float64"), starts, np.zeros(2, np.uint32), 40)
    for number, start in enumerate(starts):
        path = descent(Rosenbrock(), Adam(0.05), 40, tuple(start))
        np.testing.assert_allclose(np.stack([track.x, track.y], axis=-1)[:, number], path, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(track.height[:, number], Rosenbrock().value(*path.T), rtol=1e-7, atol=1e-12)


def test_noise_on_the_slopes_is_normal_with_the_deviation_given_and_new_at_every_step():
    deviation, rate, key = 0.5, 0.1, np.array([3, 5], np.uint32)
    starts = np.tile([[1.0, -2.0]], (4000, 1))
    noisy = Walk(Quadratic(condition=4.0), SGD(rate), deviation)
    track = follow(noisy, make_engine("eager"), starts, key, 2)
    # The first step is -rate * (slope + noise) with the slopes 1 and -8.
    noise = np.stack([(track.x[1] - 1) / -rate - 1, (track.y[1] + 2) / -rate + 8])
    np.testing.assert_allclose(noise.mean(axis=1), 0, atol=4 * deviation / 4000**0.5)
    np.testing.assert_allclose(noise.std(axis=1), deviation, rtol=0.05)
    again = (track.x[2] - track.x[1]) / -rate - track.x[1]
    assert abs(np.corrcoef(noise[0], noise[1])[0, 1]) < 0.06
    assert abs(np.corrcoef(noise[0], again)[0, 1]) < 0.06


@pytest.mark.parametrize("landscape", [TYPED, Cliff()], ids=["formula", "cliff"])
@pytest.mark.parametrize("optimizer", [SGD(0.01), Momentum(0.01), Adam(0.05)], ids=lambda part: part.kind)
def test_noisy_walks_are_the_same_on_both_engines(landscape, optimizer):
    walk, starts, key = Walk(landscape, optimizer, 0.3), places(landscape, 6), np.array([3, 5], np.uint32)
    eager, compiled = (follow(walk, make_engine(name, "float64"), starts, key, 30) for name in ("eager", "compiled"))
    for one, other in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


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
