"""Figures over a plane: the places of regions, samples, lines and paths."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.pages.figures import contours, plane, planes

X = np.linspace(-1, 1, 5)
Y = np.linspace(-2, 2, 9)
SQUARE = X**2 + Y[:, None] ** 2


def test_regions_are_those_between_the_levels():
    figure = plane(X, Y, SQUARE, levels=[0.3, 1.5])
    np.testing.assert_array_equal(figure.data[0].z, (SQUARE >= 0.3).astype(int) + (SQUARE >= 1.5))
    assert [trace.contours.start for trace in figure.data[1:]] == [0.3, 1.5]


def test_without_levels_the_values_are_shaded():
    (ground,) = plane(X, Y, SQUARE).data
    np.testing.assert_array_equal(ground.z, SQUARE)


def test_samples_have_the_names_of_their_classes():
    points = np.array([[0.0, 1.0], [0.5, -1.0], [-0.5, 0.0]])
    first, second = plane(X, Y, SQUARE, points, np.array([1, 0, 1]), ("disc", "ring")).data[1:]
    assert (first.name, first.x.tolist(), first.y.tolist()) == ("disc", [0.5], [-1.0])
    assert (second.name, second.x.tolist(), second.y.tolist()) == ("ring", [0.0, -0.5], [1.0, 0.0])
    assert first.marker.symbol != second.marker.symbol


def test_a_region_has_the_colour_of_its_class():
    ground, *_, first, second = plane(X, Y, SQUARE, np.zeros((2, 2)), np.array([0, 1]), levels=[1.0]).data
    assert [colour for _, colour in ground.colorscale] == [first.marker.color] * 2 + [second.marker.color] * 2


@pytest.mark.parametrize(("w", "b"), [((1.0, 1.0), 0.2), ((3.0, -1.0), 0.0), ((0.0, 2.0), 1.0), ((-1.0, 0.0), 0.5)])
def test_a_line_goes_from_edge_to_edge_where_w_x_plus_b_is_zero(w, b):
    line = plane(X, Y, SQUARE, lines=[("line", np.array(w), b)]).data[-1]
    ends = np.stack([line.x, line.y], axis=1)
    np.testing.assert_allclose(ends @ w + b, 0, atol=1e-12)
    assert ((np.abs(ends[:, 0]) == 1) | (np.abs(ends[:, 1]) == 2)).all()
    assert len(np.unique(ends, axis=0)) == 2


@pytest.mark.parametrize(("w", "b"), [((0.0, 0.0), 1.0), ((1.0, 0.0), 5.0), ((1.0, 2.0), -5.0)])
def test_a_line_that_does_not_cross_the_picture_is_left_out(w, b):
    assert len(plane(X, Y, SQUARE, lines=[("line", np.array(w), b)]).data) == 1


def test_each_of_several_planes_has_its_values_and_the_samples():
    figure = planes(X, Y, {"one": SQUARE, "two": -SQUARE}, np.zeros((3, 2)), np.array([0, 1, 1]), levels=[-1.0])
    grounds = [trace for trace in figure.data if trace.type == "heatmap"]
    assert [np.unique(trace.z).tolist() for trace in grounds] == [[1], [0, 1]]
    samples = [trace for trace in figure.data if trace.type == "scatter"]
    assert [len(trace.x) for trace in samples] == [1, 2, 1, 2]
    # All planes share one legend.
    assert [trace.showlegend for trace in samples] == [True, True, False, False]


def test_contours_are_bands_of_equal_area_at_any_heights():
    x = np.linspace(-1, 1, 100)
    tall, low = (np.exp(scale * (x[:, None] + x)) for scale in (1, 100))
    figures = [contours(x, x, values, {}) for values in (tall, low)]
    shares = [figure.data[0].z for figure in figures]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.01)
    counts, _ = np.histogram(shares[0], bins=4, range=(0, 1))
    np.testing.assert_allclose(counts / x.size**2, 0.25, atol=0.02)
    np.testing.assert_array_equal(figures[1].data[0].customdata, low)


def test_a_path_is_drawn_with_its_start_and_end():
    path = np.array([[0.5, 1.0], [0.2, 0.5], [0.1, 0.1]])
    _, line, end, start = contours(X, Y, SQUARE, {"down": path}).data
    np.testing.assert_array_equal(np.stack([line.x, line.y], axis=1), path)
    assert (end.x.tolist(), end.y.tolist()) == ([0.1], [0.1])
    assert (start.x.tolist(), start.y.tolist()) == ([0.5], [1.0])


def test_points_far_outside_or_not_finite_are_left_out():
    path = np.array([[0.5, 1.0], [0.2, 0.5], [1e9, 0.0], [np.inf, np.nan]])
    figure = contours(X, Y, SQUARE, {"away": path})
    assert np.isnan(figure.data[1].x).tolist() == [False, False, True, True]
    assert figure.data[2].x.tolist() == [0.2]
    assert figure.layout.xaxis.range == (-1, 1)


def test_paths_differ_in_colour_and_in_dash():
    paths = {str(number): np.zeros((2, 2)) for number in range(6)}
    lines = [trace.line for trace in contours(X, Y, SQUARE, paths).select_traces({"mode": "lines"})]
    assert len({line.color for line in lines}) == len({line.dash for line in lines}) == 6


def test_a_path_that_fills_the_picture_is_thin_and_lies_below_the_others():
    jumping = np.array([[-1.0, -1.0], [1.0, 1.0]] * 20)
    lines = list(contours(X, Y, SQUARE, {"straight": jumping[:2], "jumping": jumping}).select_traces({"mode": "lines"}))
    straight, jumping_line = lines
    assert jumping_line.line.width < straight.line.width
    assert jumping_line.zorder < straight.zorder


def test_a_unit_is_as_long_on_both_axes_unless_one_spans_far_more():
    assert plane(X, Y, SQUARE).layout.yaxis.scaleanchor == "x"
    assert plane(X, 100 * Y, SQUARE).layout.yaxis.scaleanchor is None


def test_few_samples_are_large():
    few, many = (plane(X, Y, SQUARE, np.zeros((n, 2))).data[1].marker.size for n in (4, 40))
    assert few > many


def test_every_minimum_has_a_star():
    stars = contours(X, Y, SQUARE, {}, minimum=np.array([[0.0, 1.0], [0.5, -1.0]])).data[-1]
    assert (stars.x.tolist(), stars.y.tolist()) == ([0.0, 0.5], [1.0, -1.0])
