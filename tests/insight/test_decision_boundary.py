"""Predictions on a plane: hand-made networks, slices, frames, and data without a plane."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from page_blocks import unpacked

import thalweg
from thalweg import boundary
from thalweg.core.errors import InputError
from thalweg.pages.numbers import percent
from thalweg.parts.layers import Affine
from thalweg.runs.load import load

RNG = np.random.default_rng(0)
X = RNG.normal([5.0, -2.0, 0.0, 10.0], [2.0, 0.5, 1.0, 3.0], size=(160, 4))


def train(x, y, layers=("dense 2", "softmax"), **options):
    return thalweg.train(list(layers), (x, y), engine="eager", progress=False, **{"epochs": 2, **options})


def with_weights(run, W, b):
    return dataclasses.replace(run, state=run.state._replace(params=(Affine(W, b), *run.params[1:])))


def test_a_slice_shows_the_predictions_with_fixed_other_inputs():
    run = train(X, (X[:, 0] > 5).astype(int))
    result = boundary(run, ["x3", 0], {"x1": -1.5})
    mean = run.split.preprocessing.unscaled(run.split.train.x).mean(axis=0)
    s, t = np.meshgrid(result.input_map.x, result.input_map.y)
    rows = np.stack([t.ravel(), np.full(s.size, -1.5), np.full(s.size, mean[2]), s.ravel()], axis=1)
    np.testing.assert_allclose(result.input_map.outputs.reshape(-1, 2), run.predict_outputs(rows), atol=1e-4)
    assert result.input_map.axes == ("x3", "x0")
    assert dict(result.fixed_inputs) == pytest.approx({"x1": -1.5, "x2": mean[2]}, abs=1e-5)
    # Scaled inputs have the same variance, so two of four have half of it.
    assert sum(result.input_map.explained) == pytest.approx(0.5)


def test_a_network_of_a_third_input_is_right_off_the_plane_and_blind_on_it():
    y = (X[:, 2] > 0).astype(int)
    run = train(X, y)
    W = np.zeros((4, 2))
    W[2] = [-9.0, 9.0]
    fitted = run.preprocessing
    zero = float(fitted.inputs(np.zeros((1, 4)))[0, 2])
    run = with_weights(run, W, np.array([9.0, -9.0]) * zero)
    result = boundary(run, ["x0", "x1"], {"x2": 2.0})
    ones = float(np.mean(run.split.train.y == 1))
    assert result.score == 1.0
    assert result.score_on_plane == pytest.approx(ones)
    assert result.same_class == pytest.approx(ones)


def test_the_frames_of_a_spec_end_with_the_trained_network():
    spec = {"data": {"source": "iris"}, "training": {"engine": "eager", "epochs": 4}}
    result = boundary(spec, [2, 3])
    assert result.frames.plane.axes == result.input_map.axes
    # Every second point of the finer grid is one of the coarser.
    np.testing.assert_allclose(result.frames.outputs[-1], result.input_map.outputs[::2, ::2], atol=1e-5)
    assert len(result.figure().frames) == len(result.frames.steps)
    assert boundary(spec, frames=False).frames is None


def test_a_regression_has_its_surface_in_the_units_of_the_target():
    y = 100 + 20 * X[:, 0]
    run = train(X[:, :2], y, ["dense 1"], epochs=200, optimizer="adam 0.05")
    result = boundary(run)
    s, t = np.meshgrid(result.input_map.x, result.input_map.y)
    np.testing.assert_allclose(result.input_map.outputs[..., 0], 100 + 20 * s + 0 * t, atol=2)
    assert result.score > 0.999
    animated = boundary({"data": {"source": (X[:, :2], y)}, "training": {"engine": "eager", "epochs": 3}})
    shown = animated.input_map.outputs[::2, ::2, 0]
    np.testing.assert_allclose(animated.figure().frames[-1].data[0].z, shown, atol=np.ptp(shown) / 1000)


def test_a_run_brings_the_stored_frames_if_they_lie_on_the_plane(tmp_path):
    y = (X[:, 0] > 5).astype(int)
    assert "No frames" in boundary(train(X[:, :2], y, probes="off")).frames_remark
    run = train(X[:, :2], y, folder=tmp_path / "run")
    again = dataclasses.replace(load(tmp_path / "run"), split=run.split)
    for one in (run, again):
        result = boundary(one)
        assert result.frames_remark == ""
        steps = run.boundary_frames.steps.tolist()
        assert result.frames.steps.tolist() == steps == boundary(again).frames.steps.tolist()
    np.testing.assert_array_equal(again.boundary_frames.outputs, run.boundary_frames.outputs)
    swapped = boundary(run, [1, 0])
    assert swapped.frames is None
    assert "another plane" in swapped.frames_remark


def test_many_inputs_are_shown_on_their_principal_axes():
    run = thalweg.train(["dense 10", "softmax"], "digits", engine="eager", epochs=1, progress=False)
    result = boundary(run)
    assert result.input_map.axes == ("first principal axis", "second principal axis")
    share = percent(sum(result.input_map.explained), 3)
    assert any(share in getattr(block, "text", "") for block in result.page().blocks)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
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
def test_unsuitable_data_and_inputs_are_rejected(x, y, options, message):
    spec = {"data": {"source": (x, y)}, "training": {"engine": "eager", "epochs": 1}}
    with pytest.raises(InputError, match=message):
        boundary(spec, **options)


def shell(*arguments):
    return subprocess.run([sys.executable, "-m", "thalweg", *arguments], capture_output=True, text=True, timeout=120)


def test_the_command_writes_pages_and_rejects_bad_input_in_one_line(tmp_path):
    slim = ("--set", "training.epochs=2", "--set", "training.engine=eager", "-q")
    done = shell("boundary", "flowers", *slim, "--features", "petal length", "1", "--at", "sepal length=6", "--json")
    assert done.returncode == 0, done.stderr
    assert "sepal length" in json.dumps(json.loads(done.stdout))
    page = tmp_path / "page.html"
    assert shell("boundary", "rings", *slim, "--out", str(page)).returncode == 0
    assert '"frames":[{' in unpacked(page.read_text())
    rejected = shell("boundary", "rings", *slim, "--features", "x0", "x1", "--at", "x0")
    assert (rejected.returncode, len(rejected.stderr.strip().splitlines())) == (2, 1)
