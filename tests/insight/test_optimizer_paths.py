"""Paths of optimizers on test functions: against closed forms and PyTorch, one by one and many at once."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.core.noise import generator
from thalweg.engine.engine import make_engine
from thalweg.insight.optimizer_paths import Descent, follow_paths, optimizer_path
from thalweg.insight.test_functions import Cliff, CustomLandscape, Landscape, Quadratic, Rosenbrock
from thalweg.parts.clipping import ClipGlobalNorm
from thalweg.parts.optimizers import SGD, Adam, Momentum

TYPED = CustomLandscape("(x - 1)^2 + 3*sin(x*y) + sqrt(y^2 + 1)", reach=3.0)


def random_starts(landscape: Landscape, count: int) -> np.ndarray:
    low, high = np.array(landscape.bounds).T
    return generator(0, landscape.kind).uniform(low, high, (count, 2))


def test_gradient_descent_shrinks_each_coordinate_by_its_factor():
    # The factor is 1 - rate times curvature.
    path = optimizer_path(Quadratic(condition=20.0), SGD(0.03), steps=9, start=(-3.0, 2.0))
    powers = np.arange(10)
    np.testing.assert_allclose(path[:, 0], -3 * 0.97**powers)
    np.testing.assert_allclose(path[:, 1], 2 * 0.4**powers)


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_a_path_equals_that_of_pytorch(name):
    torch = pytest.importorskip("torch")
    point = torch.tensor(Rosenbrock().start, dtype=torch.float64, requires_grad=True)
    theirs = {"momentum": torch.optim.SGD([point], 1e-4, momentum=0.9), "adam": torch.optim.Adam([point], 0.05)}[name]
    ours = {"momentum": Momentum(1e-4), "adam": Adam(0.05)}[name]
    expected = [point.detach().numpy().copy()]
    for _ in range(50):
        theirs.zero_grad()
        Rosenbrock().value(point[0], point[1]).backward()
        theirs.step()
        expected.append(point.detach().numpy().copy())
    np.testing.assert_allclose(optimizer_path(Rosenbrock(), ours, 50), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["eager", "compiled"])
def test_many_paths_at_once_equal_the_paths_one_by_one(name):
    starts = random_starts(Rosenbrock(), 4)
    descent = Descent(Rosenbrock(), Adam(0.05))
    paths = follow_paths(descent, make_engine(name, "float64"), starts, np.zeros(2, np.uint32), 40)
    for number, start in enumerate(starts):
        path = optimizer_path(Rosenbrock(), Adam(0.05), 40, tuple(start))
        np.testing.assert_allclose(np.stack([paths.x, paths.y], axis=-1)[:, number], path, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(paths.height[:, number], Rosenbrock().value(*path.T), rtol=1e-7, atol=1e-12)


def test_noise_is_normal_with_the_given_deviation_and_new_at_every_step():
    deviation = 0.5
    rate = 0.1
    key = np.array([3, 5], np.uint32)
    starts = np.tile([[1.0, -2.0]], (4000, 1))
    descent = Descent(Quadratic(condition=4.0), SGD(rate), deviation)
    paths = follow_paths(descent, make_engine("eager"), starts, key, 2)
    # The first step is -rate * (slope + noise) with the slopes 1 and -8.
    noise = np.stack([(paths.x[1] - 1) / -rate - 1, (paths.y[1] + 2) / -rate + 8])
    np.testing.assert_allclose(noise.mean(axis=1), 0, atol=4 * deviation / 4000**0.5)
    np.testing.assert_allclose(noise.std(axis=1), deviation, rtol=0.05)
    again = (paths.x[2] - paths.x[1]) / -rate - paths.x[1]
    assert abs(np.corrcoef(noise[0], noise[1])[0, 1]) < 0.06
    assert abs(np.corrcoef(noise[0], again)[0, 1]) < 0.06


@pytest.mark.parametrize("landscape", [TYPED, Cliff()], ids=["formula", "cliff"])
@pytest.mark.parametrize("optimizer", [SGD(0.01), Momentum(0.01), Adam(0.05)], ids=lambda part: part.kind)
def test_noisy_paths_are_the_same_on_both_engines(landscape, optimizer):
    descent = Descent(landscape, optimizer, 0.3)
    starts = random_starts(landscape, 6)
    key = np.array([3, 5], np.uint32)
    eager, compiled = (
        follow_paths(descent, make_engine(name, "float64"), starts, key, 30) for name in ("eager", "compiled")
    )
    for one, other in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


def test_clipped_steps_are_at_most_the_rate_times_the_limit():
    path = optimizer_path(Cliff(), SGD(0.1), 20, clip=ClipGlobalNorm(1.0))
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() == pytest.approx(0.1)


def test_a_diverging_path_has_all_its_steps():
    path = optimizer_path(Quadratic(condition=50.0), SGD(1.0), steps=400)
    assert path.shape == (401, 2)
    assert not np.isfinite(path[-1]).all()
