"""The plane of a network's answers: hand-made networks, slices where they were asked for, and what does not apply."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

import thalweg
from thalweg import boundary
from thalweg.core.errors import InputError
from thalweg.parts.layers import Affine
from thalweg.runs.load import load

RNG = np.random.default_rng(0)
X = RNG.normal([5.0, -2.0, 0.0, 10.0], [2.0, 0.5, 1.0, 3.0], size=(160, 4))


def train(x, y, layers=("dense 2", "softmax"), **options):
    return thalweg.train(list(layers), (x, y), engine="eager", progress=False, **{"epochs": 2, **options})


def with_weights(run, W, b):
    return dataclasses.replace(run, state=run.state._replace(params=(Affine(W, b), *run.params[1:])))


def test_a_slice_is_what_the_run_predicts_with_the_others_held_fixed():
    run = train(X, (X[:, 0] > 5).astype(int))
    found = boundary(run, ["x3", 0], {"x1": -1.5})
    mean = run.split.preprocessing.unscaled(run.split.train.x).mean(axis=0)
    s, t = np.meshgrid(found.seen.x, found.seen.y)
    rows = np.stack([t.ravel(), np.full(s.size, -1.5), np.full(s.size, mean[2]), s.ravel()], axis=1)
    np.testing.assert_allclose(found.seen.outputs.reshape(-1, 2), run.predict_outputs(rows), atol=1e-4)
    assert found.seen.axes == ("x3", "x0")
    assert dict(found.held) == pytest.approx({"x1": -1.5, "x2": mean[2]}, abs=1e-5)
    # Scaled inputs have the same variance, so two of four hold half.
    assert sum(found.seen.explained) == pytest.approx(0.5)


def test_a_network_that_looks_at_a_third_input_alone_is_right_off_the_plane_and_blind_on_it():
    y = (X[:, 2] > 0).astype(int)
    run = train(X, y)
    W = np.zeros((4, 2))
    W[2] = [-9.0, 9.0]
    fitted = run.preprocessing
    zero = float(fitted.inputs(np.zeros((1, 4)))[0, 2])
    run = with_weights(run, W, np.array([9.0, -9.0]) * zero)
    found = boundary(run, ["x0", "x1"], {"x2": 2.0})
    ones = float(np.mean(run.split.train.y == 1))
    assert found.score == 1.0
    assert found.score_on_plane == pytest.approx(ones)
    assert found.unchanged == pytest.approx(ones)


def test_a_spec_is_filmed_on_the_very_plane_and_ends_with_the_trained_network():
    spec = {"data": {"source": "iris"}, "training": {"engine": "eager", "epochs": 4}}
    found = boundary(spec, [2, 3])
    assert found.film.plane.axes == found.seen.axes
    # Every second place of the finer grid is one of the coarser.
    np.testing.assert_allclose(found.film.outputs[-1], found.seen.outputs[::2, ::2], atol=1e-5)
    assert len(found.figure().frames) == len(found.film.steps)
    assert boundary(spec, frames=False).film is None


def test_a_fit_of_numbers_has_its_surface_in_their_own_units():
    y = 100 + 20 * X[:, 0]
    run = train(X[:, :2], y, ["dense 1"], epochs=200, optimizer="adam 0.05")
    found = boundary(run)
    s, t = np.meshgrid(found.seen.x, found.seen.y)
    np.testing.assert_allclose(found.seen.outputs[..., 0], 100 + 20 * s + 0 * t, atol=2)
    assert found.score > 0.999
    filmed = boundary({"data": {"source": (X[:, :2], y)}, "training": {"engine": "eager", "epochs": 3}})
    np.testing.assert_allclose(filmed.figure().frames[-1].data[0].z, filmed.seen.outputs[::2, ::2, 0], rtol=1e-4)


def test_a_run_brings_the_frames_of_its_folder_where_they_lie_on_the_plane(tmp_path):
    y = (X[:, 0] > 5).astype(int)
    assert "No frames" in boundary(train(X[:, :2], y, probes="off")).remark
    run = train(X[:, :2], y, folder=tmp_path / "run")
    again = dataclasses.replace(load(tmp_path / "run"), split=run.split)
    for one in (run, again):
        found = boundary(one)
        assert found.remark == ""
        assert found.film.steps.tolist() == run.boundary_frames.steps.tolist() == boundary(again).film.steps.tolist()
    np.testing.assert_array_equal(again.boundary_frames.outputs, run.boundary_frames.outputs)
    swapped = boundary(run, [1, 0])
    assert swapped.film is None
    assert "another plane" in swapped.remark


def test_pictures_have_their_principal_axes_when_asked_for_and_it_is_said():
    run = thalweg.train(["dense 10", "softmax"], "digits", engine="eager", epochs=1, progress=False)
    found = boundary(run)
    assert found.seen.axes == ("first principal axis", "second principal axis")
    share = f"{sum(found.seen.explained):.1%}"
    assert any(share in getattr(block, "text", "") for block in found.page().blocks)


@pytest.mark.parametrize(
    ("x", "y", "options", "says"),
    [
        (X[:, :1], X[:, 0], {}, "one input"),
        (X, X[:, 0], {}, "4 inputs"),
        (X, (X[:, 0] > 5).astype(int), {"features": ["x0", "x9"]}, "x9"),
        (X, (X[:, 0] > 5).astype(int), {"features": ["x0", "x0"]}, "two different"),
        (X, (X[:, 0] > 5).astype(int), {"features": ["x0", "x1"], "at": {"x1": 1.0}}, "x1 is one of the two"),
        (X, (X[:, 0] > 5).astype(int), {"features": ["x0", "x1"], "at": {"x2": np.nan}}, "finite"),
        (X, (X[:, 0] > 5).astype(int), {"at": {"x2": 1.0}}, "features"),
    ],
)
def test_what_does_not_apply_is_said_in_a_line(x, y, options, says):
    spec = {"data": {"source": (x, y)}, "training": {"engine": "eager", "epochs": 1}}
    with pytest.raises(InputError, match=says):
        boundary(spec, **options)


def shell(*arguments):
    return subprocess.run([sys.executable, "-m", "thalweg", *arguments], capture_output=True, text=True, timeout=120)


def test_the_command_tells_it_in_all_forms_and_refuses_in_one_line(tmp_path):
    slim = ("--set", "training.epochs=2", "--set", "training.engine=eager", "-q")
    done = shell("boundary", "flowers", *slim, "--features", "petal length", "1", "--at", "sepal length=6", "--json")
    assert done.returncode == 0, done.stderr
    assert "sepal length" in json.dumps(json.loads(done.stdout))
    page = tmp_path / "page.html"
    assert shell("boundary", "rings", *slim, "--out", str(page)).returncode == 0
    assert "Plotly.addFrames" in page.read_text()
    refused = shell("boundary", "rings", *slim, "--features", "x0", "x1", "--at", "x0")
    assert (refused.returncode, len(refused.stderr.strip().splitlines())) == (2, 1)
