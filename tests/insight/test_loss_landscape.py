"""The loss around a trained network: what is known in closed form, what a path keeps, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

import thalweg
from thalweg.core.arrays import arrays_of
from thalweg.core.errors import InputError
from thalweg.core.noise import generator
from thalweg.insight.loss_landscape import doubled, filter_normalized, landscape, principal_plane
from thalweg.pages.blocks import Chart, Table
from thalweg.training.session import Session

LAYERS = ["dense 6", "batch_norm", "tanh", "dense 2", "softmax"]
RNG = np.random.default_rng(5)


def flat(tree):
    return np.concatenate([np.ravel(array) for _, array in arrays_of(tree)])


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


def test_the_plane_of_a_quadratic_loss_is_the_one_in_closed_form(linear):
    found = landscape(linear, points=7, span=2.0, seed=3)
    first, second = (filter_normalized(generator(3, "landscape", k), linear.params)[0].W for k in range(2))
    data, dense = linear.split.train, linear.params[0]
    error, u, v = data.x @ dense.W + dense.b - data.y, data.x @ first, data.x @ second
    # 1/2 mean |e + a u + b v|², multiplied out.
    a, b = found.x, found.y[:, None]
    squares = [(1, error, error), (2 * a, error, u), (2 * b, error, v), (a**2, u, u), (2 * a * b, u, v), (b**2, v, v)]
    expected = sum(factor * np.sum(p * q) for factor, p, q in squares) / (2 * len(data))
    assert found.losses.shape == (7, 7)
    np.testing.assert_allclose(found.losses, expected, rtol=1e-5)
    assert found.cosine == pytest.approx(np.sum(first * second) / np.linalg.norm(first) / np.linalg.norm(second))
    # Twice the loss is where a² u·u + 2 a e·u = e·e; linear between the places looked at.
    ends = np.roots([np.sum(u * u), 2 * np.sum(error * u), -np.sum(error * error)])
    np.testing.assert_allclose(found.doubling[0], [-ends.min(), ends.max()], atol=0.01)


def test_a_line_is_the_middle_of_the_plane(moons):
    line, plane = landscape(moons, "line", points=5), landscape(moons, points=5)
    np.testing.assert_allclose(line.losses, plane.losses[2], rtol=1e-12)
    assert line.doubling[0] == pytest.approx(plane.doubling[0])


def test_each_unit_of_a_direction_has_the_norm_of_its_weights_and_vectors_stay(moons):
    direction = filter_normalized(np.random.default_rng(0), moons.params)
    for (place, part), (_, own) in zip(arrays_of(direction), arrays_of(moons.params), strict=True):
        if own.ndim == 2:
            np.testing.assert_allclose(np.sqrt(np.square(part).sum(axis=0)), np.sqrt(np.square(own).sum(axis=0)))
            assert np.abs(part - own).max() > 0.1, place
        else:
            assert not part.any(), place


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_the_centre_has_the_loss_of_the_run(engine):
    run = thalweg.train(LAYERS, "moons 200", epochs=3, engine=engine, average=0.9, progress=False)
    found = landscape(run, points=5)
    # The run measured all of its training rows, with their number below `samples`.
    assert found.rows == len(run.split.train)
    assert found.centre == pytest.approx(run.measures["training"]["loss"], rel=1e-5)
    assert found.losses[2, 2] == pytest.approx(found.centre, rel=1e-5)


def test_both_engines_see_the_same_landscape(moons):
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
    assert one.centre != other.centre


def test_the_principal_plane_leaves_the_error_that_numpys_svd_leaves():
    path = [(RNG.normal(size=(4, 3)) * 3.0**-k, RNG.normal(size=3)) for k in range(6)]
    seen = principal_plane(path)
    offsets = np.stack([flat(tree) for tree in path]) - flat(path[-1])
    u, s, vt = np.linalg.svd(offsets, full_matrices=False)
    left = offsets - (u[:, :2] * s[:2]) @ vt[:2]
    np.testing.assert_allclose(seen.distances, np.linalg.norm(left, axis=1), atol=1e-12)
    np.testing.assert_allclose(seen.explained, s[:2] ** 2 / np.sum(s**2))
    axes = np.stack([flat(axis) for axis in seen.axes])
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-12)
    assert (seen.places[0] >= 0).all()
    assert [np.shape(array) for _, array in arrays_of(seen.axes[0])] == [(4, 3), (3,)]


def test_the_points_of_a_path_stand_their_distance_off_the_plane(moons):
    found = landscape(moons, "path", points=5)
    path = found.path
    spec = moons.spec
    start = Session(spec, moons.split).start
    assert path.steps[0] == 0
    assert path.steps[-1] == moons.state.step
    np.testing.assert_array_equal(path.places[-1], [0, 0])
    assert path.distances[-1] == 0
    # From the start to the end: Pythagoras, with the plane's part and the distance from it.
    way = np.linalg.norm(flat(start.params) - flat(moons.params))
    assert np.hypot(np.linalg.norm(path.places[0]), path.distances[0]) == pytest.approx(way)
    assert 0 < path.explained[1] <= path.explained[0] <= 1
    # The plane explains all but the distances.
    total = np.sum(path.places**2) + np.sum(path.distances**2)
    assert sum(path.explained) == pytest.approx(1 - np.sum(path.distances**2) / total)
    # All points are in the picture, and the last stands on the plane.
    assert found.x[0] < path.places[:, 0].min() < path.places[:, 0].max() < found.x[-1]
    assert found.y[0] < path.places[:, 1].min() < path.places[:, 1].max() < found.y[-1]
    assert path.losses[-1] == pytest.approx(path.losses_below[-1]) == pytest.approx(found.centre)


def test_the_loss_at_a_point_of_a_path_is_that_of_the_training(moons):
    stopped = thalweg.train(LAYERS, "moons 200", optimizer="adam 0.02", epochs=3, engine="eager", progress=False)
    path = landscape(moons, "path", points=3).path
    (place,) = np.flatnonzero(path.steps == stopped.state.step)
    assert path.losses[place] == pytest.approx(stopped.measures["training"]["loss"], rel=1e-6)


def test_the_path_of_a_linear_layer_lies_on_its_plane_where_two_axes_are_all_there_is():
    x = RNG.normal(size=(40, 1))
    run = thalweg.train(
        ["dense 1"], (x, 3 * x + 1), loss="squared_error", optimizer="sgd 0.1", engine="eager", progress=False
    )
    path = landscape(run, "path", points=3).path
    np.testing.assert_allclose(path.distances, 0, atol=1e-12)
    np.testing.assert_allclose(path.losses_below, path.losses, rtol=1e-9)
    assert sum(path.explained) == pytest.approx(1)


def test_where_a_loss_doubles():
    distances = np.array([1.0, 2.0, 3.0])
    assert doubled(distances, np.array([1.0, 3.0, 9.0]), 1.0) == pytest.approx(1.5)
    assert doubled(distances, np.array([5.0, 1.0, 1.0]), 1.0) == pytest.approx(0.25)
    assert doubled(distances, np.array([1.0, np.inf, 1.0]), 1.0) == 2.0
    assert doubled(distances, np.array([1.0, np.nan, 1.0]), 1.0) == 2.0
    assert doubled(distances, np.array([1.0, 1.9, 0.5]), 1.0) is None
    assert doubled(distances, np.array([1.0, 1.0, 1.0]), 0.0) is None


@pytest.mark.parametrize("kind", ["plane", "line", "path"])
def test_the_page_tells_the_numbers_in_all_its_forms(moons, kind):
    found = landscape(moons, kind, points=5)
    sheet = found.page()
    (chart,) = (block for block in sheet.blocks if isinstance(block, Chart))
    assert f"{found.lowest[0]:.4g}" in chart.caption
    assert found.lowest[0] == min(found.losses.min(), found.centre)
    first = next(block for block in sheet.blocks if isinstance(block, Table))
    assert first.rows[0][1] == found.centre
    text = sheet.text()
    assert ("explains" in text) == (kind == "path")
    assert ("cosine" in text) == (kind == "plane")
    assert "<script" in sheet.html()
    assert "srcdoc" in found._repr_html_()


def test_losses_that_are_not_finite_are_told_and_left_out(linear):
    with np.errstate(over="ignore"):
        found = landscape(linear, "line", points=5, span=1e200)
    assert not np.isfinite(found.losses[0])
    assert found.lowest == (found.centre, (0.0,))
    assert "not finite" in found.page().text()


def test_a_run_of_a_folder_and_a_spec_are_taken_too(moons, tmp_path):
    folder = moons.save(tmp_path / "run")
    for source in (folder, str(folder), moons.spec, moons.spec.describe()):
        found = landscape(source, "line", points=3)
        np.testing.assert_allclose(found.losses, landscape(moons, "line", points=3).losses)
    assert landscape(folder, "path", points=3).path.steps[-1] == moons.state.step


@pytest.mark.parametrize(
    ("options", "said"),
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
def test_numbers_of_no_use_are_refused(moons, options, said):
    with pytest.raises(InputError, match=said):
        landscape(moons, **options)


def test_a_path_that_can_not_be_walked_again_is_refused(moons):
    rate = {"kind": "sgd", "learning_rate": {"kind": "plateau", "initial": 0.1}}
    falling = thalweg.train(LAYERS, "moons 50", optimizer=rate, epochs=2, engine="eager", progress=False)
    with pytest.raises(InputError, match="plateau"):
        landscape(falling, "path")
    spec = moons.spec.describe()
    spec["optimizer"]["learning_rate"] = 0.03
    changed = dataclasses.replace(moons, spec=type(moons.spec).of(spec))
    with pytest.raises(InputError, match="walked again"):
        landscape(changed, "path")


def test_parameters_that_never_moved_have_no_path():
    with pytest.raises(InputError, match="did not move"):
        principal_plane([(np.ones(3),), (np.ones(3),)])


def test_weights_of_0_have_no_directions(linear):
    nothing = type(linear.params[0])(np.zeros((3, 2)), np.zeros(2))
    run = thalweg.Run(**{**vars(linear), "state": linear.state._replace(params=(nothing,))})
    with pytest.raises(InputError, match="all weights"):
        landscape(run)


def shell(*words):
    command = [sys.executable, "-m", "thalweg", "landscape", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_prints_json_writes_a_page_and_refuses_what_does_not_fit(moons, tmp_path):
    quick = ["--points", "5", "--samples", "50"]
    done = shell("xor", *quick, "--json", "--quiet")
    assert done.stderr == ""
    page = json.loads(done.stdout)
    assert page["settings"]["points"] == "5"
    folder = moons.save(tmp_path / "run")
    done = shell(str(folder), *quick, "--kind", "path", "--out", str(tmp_path / "path.html"))
    assert done.returncode == 0
    assert "principal" in (tmp_path / "path.html").read_text()
    for words, said in [(["xor", "--kind", "plan"], "plane"), ([str(folder), "--set", "a.b=1"], "takes no --set")]:
        done = shell(*words)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_the_smallest_loss_is_the_networks_own_if_none_is_smaller(linear):
    data = linear.split.train
    solved, *_ = np.linalg.lstsq(np.column_stack([data.x, np.ones(len(data))]), data.y)
    best = linear.state._replace(params=(type(linear.params[0])(solved[:-1], solved[-1]),))
    found = landscape(thalweg.Run(**{**vars(linear), "state": best}), points=4)
    assert found.losses.min() > found.centre
    assert found.lowest == (found.centre, (0.0, 0.0))
    away = landscape(linear, points=4)
    smallest, (across, up) = away.lowest
    row, column = np.argwhere(away.losses == smallest)[0]
    assert smallest < away.centre
    assert (across, up) == (away.x[column], away.y[row])
