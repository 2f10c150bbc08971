"""Figures of a trained network: regions, borders, surfaces, units and weights have the given numbers."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.pages.figures import (
    boundary,
    boundary_frames,
    fitted_curve,
    fitted_surface,
    saliency_maps,
    surface_frames,
    unit_maps,
    weight_images,
)

X = np.linspace(-1, 1, 21)
Y = np.linspace(-2, 2, 41)
LINE = X - 0.5 * Y[:, None]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize(
    ("outputs", "threshold", "shown"),
    [
        (sigmoid(LINE)[..., None], 0.5, sigmoid(LINE)),
        (np.stack([1 - sigmoid(LINE), sigmoid(LINE)], axis=-1), 0.5, sigmoid(LINE)),
        (3 * LINE[..., None], 0.0, 3 * LINE),
        (np.stack([-LINE, LINE + 2 * LINE], axis=-1), 0.5, 4 * LINE),
    ],
    ids=["one probability", "two probabilities", "one net input", "two outputs"],
)
def test_the_border_of_two_classes_is_where_w_x_plus_b_is_zero(outputs, threshold, shown):
    ground, line = boundary(X, Y, outputs, threshold=threshold).data
    assert line.contours.start == line.contours.end == 0
    clear = np.abs(LINE) > 1e-9
    np.testing.assert_array_equal(np.sign(line.z)[clear], np.sign(LINE)[clear])
    np.testing.assert_allclose(ground.z, shown, atol=np.ptp(shown) / 1000)


def test_the_border_crosses_the_edges_of_its_cells_where_the_values_do():
    values = np.cos(3 * X) - np.sin(2 * Y)[:, None] * X
    line = boundary(X, Y, values[..., None], threshold=0.2).data[1].z.astype(float)
    exact = values - 0.2
    for axis in (0, 1):
        a, b = (np.take(exact, range(k, exact.shape[axis] - 1 + k), axis) for k in (0, 1))
        c, d = (np.take(line, range(k, exact.shape[axis] - 1 + k), axis) for k in (0, 1))
        crossed = a * b < 0
        np.testing.assert_allclose(c[crossed] / (c - d)[crossed], a[crossed] / (a - b)[crossed], atol=1e-3)


def test_shades_are_0_to_1_for_probabilities_and_centred_otherwise():
    assert boundary(X, Y, sigmoid(LINE)[..., None]).data[0].zmin == 0
    assert boundary(X, Y, LINE[..., None]).data[0].zmid == 0.5


def test_regions_are_the_largest_outputs_with_borders_between_them():
    outputs = np.random.default_rng(0).normal(size=(41, 21, 4))
    ground, *lines = boundary(X, Y, outputs, names=("a", "b", "c", "d")).data
    np.testing.assert_array_equal(ground.z, outputs.argmax(axis=-1))
    np.testing.assert_array_equal(ground.text, np.array(["a", "b", "c", "d"])[outputs.argmax(axis=-1)])
    for k, line in enumerate(lines):
        np.testing.assert_array_equal(line.z > 0, outputs.argmax(axis=-1) == k)


def test_a_region_has_the_hue_of_its_samples_and_classes_look_different():
    outputs = np.eye(9)[np.arange(41 * 21).reshape(41, 21) % 9]
    points = np.stack([np.linspace(-1, 1, 9)] * 2, axis=1)
    figure = boundary(X, Y, outputs, points, np.arange(9), [f"<b>{k}" for k in range(9)])
    marks = [trace for trace in figure.data if trace.type == "scatter"]
    assert len({(mark.marker.color, mark.marker.symbol) for mark in marks}) == 9
    # HTML in names is escaped.
    assert marks[0].name == "&lt;b&gt;0"
    tints = [colour for _, colour in figure.data[0].colorscale][::2]
    for mark, tint in zip(marks, tints, strict=True):
        dark, light = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (mark.marker.color, tint))
        assert np.corrcoef(dark, light)[0, 1] > 0.95


def test_a_surface_and_its_samples_share_one_scale():
    true = np.array([0.5, 2.0, -1.0])
    ground, samples = fitted_surface(X, Y, LINE, np.zeros((3, 2)), true, "y").data
    np.testing.assert_allclose(ground.z, LINE, atol=np.ptp(LINE) / 1000)
    np.testing.assert_array_equal(samples.marker.color, true)
    assert ground.coloraxis == samples.marker.coloraxis == "coloraxis"


def test_a_curve_and_its_samples_have_the_given_numbers():
    samples, curve = fitted_curve(X, X**2, np.array([0.5]), np.array([0.3]), "y", "x0").data
    np.testing.assert_array_equal(curve.y, X**2)
    assert (samples.x.tolist(), samples.y.tolist()) == ([0.5], [0.3])


def test_each_unit_has_a_map_and_zero_is_centred_between_both_signs():
    maps = np.stack([LINE + shift for shift in range(6)])
    figure = unit_maps(X, Y, maps)
    for trace, values in zip(figure.data, maps, strict=True):
        np.testing.assert_allclose(trace.z, values, atol=np.ptp(values) / 1000)
    assert figure.layout.coloraxis.cmid == 0
    assert unit_maps(X, Y, np.abs(maps)).layout.coloraxis.cmid is None


def test_weight_images_are_in_the_given_order_on_a_scale_around_zero():
    pictures = np.random.default_rng(0).normal(size=(11, 10, 4))
    figure = weight_images(pictures, np.arange(11)[::-1])
    mosaic = figure.data[0].z
    numbers = figure.data[0].customdata
    assert figure.data[0].zmid == 0
    for place, picture in enumerate(pictures):
        area = numbers == f"{11 - place}"
        np.testing.assert_array_equal(mosaic[area].reshape(10, 4), picture)
    assert np.isnan(mosaic[numbers == ""]).all()
    assert [note.text for note in figure.layout.annotations] == [str(k) for k in range(11, 0, -1)]


def test_maps_of_classes_are_named_on_a_scale_from_0_to_1():
    maps = np.random.default_rng(0).random((3, 5, 6))
    figure = saliency_maps(maps, ["a", "<b>", "c"])
    assert (figure.data[0].zmin, figure.data[0].zmax) == (0, 1)
    assert [note.text for note in figure.layout.annotations] == ["a", "&lt;b&gt;", "c"]
    shown = figure.data[0].z[figure.data[0].customdata == "c"]
    np.testing.assert_array_equal(shown.reshape(5, 6), maps[2])


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_frames_have_the_boundary_of_their_step_and_one_scale(classes):
    outputs = np.random.default_rng(0).normal(size=(3, 41, 21, classes)).astype(np.float32)
    figure = boundary_frames([0, 5, 50], X, Y, outputs, steps_per_epoch=5)
    for frame, frame_outputs in zip(figure.frames, outputs, strict=True):
        alone = boundary(X, Y, frame_outputs).data
        assert frame.traces == tuple(range(len(frame.data)))
        np.testing.assert_allclose(frame.data[0].z, alone[0].z, rtol=1e-6)
        for line, alone_line in zip(frame.data[1:], alone[1:], strict=True):
            np.testing.assert_array_equal(line.z, alone_line.z)
    # The figure starts with the last frame.
    np.testing.assert_array_equal(figure.data[0].z, figure.frames[-1].data[0].z)
    assert [frame.name for frame in figure.frames] == ["step 0, epoch 0", "step 5, epoch 1", "step 50, epoch 10"]
    assert figure.data[0].zmin is not None


def test_frames_of_a_surface_have_the_colours_of_the_last():
    figure = surface_frames([0, 9], X, Y, np.stack([100 * LINE, LINE]), np.zeros((1, 2)), np.array([7.0]), "y")
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (LINE.min(), 7.0)
    np.testing.assert_allclose(figure.frames[0].data[0].z, 100 * LINE, rtol=1e-6)
