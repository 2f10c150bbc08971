"""The loss around a trained network: closed forms, paths of trainings, pages, and arguments out of range."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

import thalweg
from thalweg.core.errors import InputError
from thalweg.core.noise import generator
from thalweg.insight.directions import filter_normalized, float_vector
from thalweg.insight.loss_landscape import landscape
from thalweg.pages.blocks import Chart, Table
from thalweg.training.session import Session

LAYERS = ["dense 6", "batch_norm", "tanh", "dense 2", "softmax"]
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def linear():
    """A linear layer with squared error: its loss is a quadratic function of the parameters."""
    x = RNG.normal(size=(60, 3))
    y = x @ RNG.normal(size=(3, 2)) + 0.3 * RNG.normal(size=(60, 2))
    options = {"loss": "squared_error", "epochs": 5, "engine": "eager", "progress": False}
    return thalweg.train(["dense 2"], (x, y), **options)


@pytest.fixture(scope="module")
def moons():
    return thalweg.train(LAYERS, "moons 200", optimizer="adam 0.02", epochs=6, engine="eager", progress=False)


def test_the_plane_of_a_quadratic_loss_has_its_closed_form(linear):
    result = landscape(linear, points=7, span=2.0, seed=3)
    first, second = (filter_normalized(generator(3, "landscape", k), linear.params)[0].W for k in range(2))
    data = linear.split.train
    dense = linear.params[0]
    error = data.x @ dense.W + dense.b - data.y
    u = data.x @ first
    v = data.x @ second
    # 1/2 mean |e + a u + b v|², multiplied out.
    a = result.x
    b = result.y[:, None]
    squares = [(1, error, error), (2 * a, error, u), (2 * b, error, v), (a**2, u, u), (2 * a * b, u, v), (b**2, v, v)]
    expected = sum(factor * np.sum(p * q) for factor, p, q in squares) / (2 * len(data))
    assert result.losses.shape == (7, 7)
    np.testing.assert_allclose(result.losses, expected, rtol=1e-5)
    assert result.cosine == pytest.approx(np.sum(first * second) / np.linalg.norm(first) / np.linalg.norm(second))
    # The loss doubles where a² u·u + 2 a e·u = e·e; the result interpolates linearly.
    ends = np.roots([np.sum(u * u), 2 * np.sum(error * u), -np.sum(error * error)])
    np.testing.assert_allclose(result.doubling[0], [-ends.min(), ends.max()], atol=0.01)


def test_a_line_is_the_middle_of_the_plane(moons):
    line = landscape(moons, "line", points=5)
    plane = landscape(moons, points=5)
    np.testing.assert_allclose(line.losses, plane.losses[2], rtol=1e-12)
    assert line.doubling[0] == pytest.approx(plane.doubling[0])


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_the_loss_at_0_is_that_of_the_run(engine):
    run = thalweg.train(LAYERS, "moons 200", epochs=3, engine=engine, average=0.9, progress=False)
    result = landscape(run, points=5)
    # `samples` exceeds the number of training rows, so all are used.
    assert result.rows == len(run.split.train)
    assert result.trained_loss == pytest.approx(run.measures["training"]["loss"], rel=1e-5)
    assert result.losses[2, 2] == pytest.approx(result.trained_loss, rel=1e-5)


def test_both_engines_compute_the_same_landscape(moons):
    spec = moons.spec.describe()
    spec["training"]["engine"] = "compiled"
    other = thalweg.Run(**{**vars(moons), "spec": type(moons.spec).of(spec)})
    for kind in ("plane", "line"):
        eager, compiled = (landscape(run, kind, points=5) for run in (moons, other))
        np.testing.assert_allclose(compiled.losses, eager.losses, rtol=1e-4)


def test_rows_are_chosen_by_the_seed_alone(moons):
    one, again, other = (landscape(moons, "line", points=3, samples=20, seed=seed) for seed in (1, 1, 2))
    assert one.rows == 20
    np.testing.assert_array_equal(one.losses, again.losses)
    assert one.trained_loss != other.trained_loss


def test_the_points_and_distances_of_a_path_add_up(moons):
    result = landscape(moons, "path", points=5)
    path = result.path
    spec = moons.spec
    start = Session(spec, moons.split).start
    assert path.steps[0] == 0
    assert path.steps[-1] == moons.state.step
    np.testing.assert_array_equal(path.points[-1], [0, 0])
    assert path.distances[-1] == 0
    # The distance from start to end, by Pythagoras.
    length = np.linalg.norm(float_vector(start.params) - float_vector(moons.params))
    assert np.hypot(np.linalg.norm(path.points[0]), path.distances[0]) == pytest.approx(length)
    assert 0 < path.explained[1] <= path.explained[0] <= 1
    # The plane explains all but the distances.
    total = np.sum(path.points**2) + np.sum(path.distances**2)
    assert sum(path.explained) == pytest.approx(1 - np.sum(path.distances**2) / total)
    # All points are in range, and the last is on the plane.
    assert result.x[0] < path.points[:, 0].min() < path.points[:, 0].max() < result.x[-1]
    assert result.y[0] < path.points[:, 1].min() < path.points[:, 1].max() < result.y[-1]
    assert path.losses[-1] == pytest.approx(path.losses_on_plane[-1]) == pytest.approx(result.trained_loss)


def test_the_loss_at_a_point_of_a_path_is_that_of_the_training(moons):
    stopped = thalweg.train(LAYERS, "moons 200", optimizer="adam 0.02", epochs=3, engine="eager", progress=False)
    path = landscape(moons, "path", points=3).path
    (position,) = np.flatnonzero(path.steps == stopped.state.step)
    assert path.losses[position] == pytest.approx(stopped.measures["training"]["loss"], rel=1e-6)


def test_the_path_of_two_parameters_lies_on_its_plane():
    x = RNG.normal(size=(40, 1))
    run = thalweg.train(
        ["dense 1"], (x, 3 * x + 1), loss="squared_error", optimizer="sgd 0.1", engine="eager", progress=False
    )
    path = landscape(run, "path", points=3).path
    np.testing.assert_allclose(path.distances, 0, atol=1e-12)
    np.testing.assert_allclose(path.losses_on_plane, path.losses, rtol=1e-9)
    assert sum(path.explained) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["plane", "line", "path"])
def test_the_page_has_the_numbers_in_all_forms(moons, kind):
    result = landscape(moons, kind, points=5)
    page = result.page()
    (chart,) = (block for block in page.blocks if isinstance(block, Chart))
    assert f"{result.lowest[0]:.4g}" in chart.caption
    assert result.lowest[0] == min(result.losses.min(), result.trained_loss)
    first = next(block for block in page.blocks if isinstance(block, Table))
    assert first.rows[0][1] == result.trained_loss
    text = page.text()
    assert ("explains" in text) == (kind == "path")
    assert ("cosine" in text) == (kind == "plane")
    assert "<script" in page.html()
    assert ("<svg" if kind == "line" else "Figure: ") in result._repr_html_()


def test_losses_that_are_not_finite_are_counted_and_left_out(linear):
    with np.errstate(over="ignore"):
        result = landscape(linear, "line", points=5, span=1e200)
    assert not np.isfinite(result.losses[0])
    assert result.lowest == (result.trained_loss, (0.0,))
    assert "not finite" in result.page().text()


def test_folders_and_specs_are_accepted_too(moons, tmp_path):
    folder = moons.save(tmp_path / "run")
    for source in (folder, str(folder), moons.spec, moons.spec.describe()):
        result = landscape(source, "line", points=3)
        np.testing.assert_allclose(result.losses, landscape(moons, "line", points=3).losses)
    assert landscape(folder, "path", points=3).path.steps[-1] == moons.state.step


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "plan"}, "did you mean 'plane'"),
        ({"points": 2}, "points"),
        ({"points": 100_000}, "points"),
        ({"span": 0.0}, "span"),
        ({"span": float("nan")}, "span"),
        ({"samples": 0}, "samples"),
        ({"seed": -1}, "seed"),
        ({"points": 1, "span": -1.0}, "2 problems"),
    ],
)
def test_arguments_out_of_range_are_rejected(moons, options, message):
    with pytest.raises(InputError, match=message):
        landscape(moons, **options)


def test_a_training_that_cannot_be_repeated_has_no_path(moons):
    rate = {"kind": "sgd", "learning_rate": {"kind": "plateau", "initial": 0.1}}
    falling = thalweg.train(LAYERS, "moons 50", optimizer=rate, epochs=2, engine="eager", progress=False)
    with pytest.raises(InputError, match="plateau"):
        landscape(falling, "path")
    spec = moons.spec.describe()
    spec["optimizer"]["learning_rate"] = 0.03
    changed = dataclasses.replace(moons, spec=type(moons.spec).of(spec))
    with pytest.raises(InputError, match="repeated training"):
        landscape(changed, "path")


def test_weights_of_0_have_no_directions(linear):
    nothing = type(linear.params[0])(np.zeros((3, 2)), np.zeros(2))
    run = thalweg.Run(**{**vars(linear), "state": linear.state._replace(params=(nothing,))})
    with pytest.raises(InputError, match="all weights"):
        landscape(run)


def shell(*words):
    command = [sys.executable, "-m", "thalweg", "landscape", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_prints_json_writes_a_page_and_rejects_bad_input(moons, tmp_path):
    quick = ["--points", "5", "--samples", "50"]
    done = shell("xor", *quick, "--json", "--quiet")
    assert done.stderr == ""
    page = json.loads(done.stdout)
    assert page["settings"]["points"] == "5"
    folder = moons.save(tmp_path / "run")
    done = shell(str(folder), *quick, "--kind", "path", "--out", str(tmp_path / "path.html"))
    assert done.returncode == 0
    assert "principal" in (tmp_path / "path.html").read_text()
    for words, message in [(["xor", "--kind", "plan"], "plane"), ([str(folder), "--set", "a.b=1"], "takes no --set")]:
        done = shell(*words)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_the_smallest_loss_is_that_of_the_network_if_none_is_smaller(linear):
    data = linear.split.train
    solved, *_ = np.linalg.lstsq(np.column_stack([data.x, np.ones(len(data))]), data.y)
    best = linear.state._replace(params=(type(linear.params[0])(solved[:-1], solved[-1]),))
    result = landscape(thalweg.Run(**{**vars(linear), "state": best}), points=4)
    assert result.losses.min() > result.trained_loss
    assert result.lowest == (result.trained_loss, (0.0, 0.0))
    away = landscape(linear, points=4)
    smallest, (across, up) = away.lowest
    row, column = np.argwhere(away.losses == smallest)[0]
    assert smallest < away.trained_loss
    assert (across, up) == (away.x[column], away.y[row])
