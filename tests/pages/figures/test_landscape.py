"""Figures of the loss around a network: given numbers on a linear or logarithmic scale."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.pages.figures import loss_line, loss_plane

X = np.linspace(-1, 1, 5)
Y = np.linspace(0, 3, 4)
BOWL = 1 + Y[:, None] ** 2 / 9 + X**2


def test_contours_and_surface_have_the_same_heights_and_colours():
    contour, surface, *_ = loss_plane(X, Y, BOWL, 1.0, "Loss", ("a", "b")).data
    for trace in (contour, surface):
        np.testing.assert_array_equal(trace.z, BOWL)
        np.testing.assert_array_equal(trace.customdata, BOWL)
    assert contour.colorscale == surface.colorscale
    assert (contour.zmin, contour.zmax) == (surface.cmin, surface.cmax) == (BOWL.min(), BOWL.max())


def test_losses_over_several_decades_are_logarithmic():
    losses = 10.0 ** (3 * BOWL)
    figure = loss_plane(X, Y, losses, 1.0, "Loss", ("a", "b"))
    np.testing.assert_allclose(figure.data[0].z, 3 * BOWL)
    ticks = figure.data[1].colorbar
    assert [f"10<sup>{power:.0f}</sup>" for power in ticks.tickvals[2:]] == list(ticks.ticktext[2:])
    assert 3 <= len(ticks.tickvals) <= 8
    assert losses.min() <= 10 ** min(ticks.tickvals)
    assert 10 ** max(ticks.tickvals) <= losses.max()


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_losses_without_a_logarithm_are_linear(low):
    losses = np.where(BOWL > 1, 1e3 * BOWL, low)
    np.testing.assert_array_equal(loss_plane(X, Y, losses, low, "Loss", ("a", "b")).data[0].z, losses)


def test_losses_that_are_not_finite_are_gaps():
    losses = BOWL.copy()
    losses[0, 0] = np.inf
    losses[1, 1] = np.nan
    gaps = np.isnan(loss_plane(X, Y, losses, 1.0, "Loss", ("a", "b")).data[0].z)
    assert np.argwhere(gaps).tolist() == [[0, 0], [1, 1]]
    loss_plane(X, Y, np.full_like(BOWL, np.nan), 1.0, "Loss", ("a", "b"))


def test_the_path_is_on_both_at_the_heights_of_the_plane():
    path = np.array([[1.0, 3.0], [0.5, 1.0], [0.0, 0.0]])
    below = np.array([1000.0, 10.0, 1.0])
    figure = loss_plane(X, Y, 10.0 ** (3 * BOWL), 1.0, "Loss", ("a", "b"), path, below)
    (flat,) = figure.select_traces({"type": "scatter", "name": "path of the training"})
    (start,) = figure.select_traces({"type": "scatter", "name": "start of the path"})
    (raised,) = figure.select_traces({"type": "scatter3d", "name": "path of the training"})
    np.testing.assert_array_equal(np.stack([flat.x, flat.y], axis=1), path)
    assert (start.x.tolist(), start.y.tolist()) == ([1.0], [3.0])
    np.testing.assert_allclose(raised.z, [3.0, 1.0, 0.0])


def test_a_line_is_logarithmic_if_the_losses_span_more_than_a_decade():
    assert loss_line(X, 1 + X**2, 1.0, "Loss", "distance").layout.yaxis.type is None
    figure = loss_line(X, 1 + 100 * X**2, 1.0, "Loss", "distance")
    assert figure.layout.yaxis.type == "log"
    assert (figure.data[1].x[0], figure.data[1].y[0]) == (0, 1.0)
