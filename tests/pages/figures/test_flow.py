"""Curves and maps of delta: the traces have the given numbers, and values that cannot be drawn are gaps."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.pages.figures import curves, delta_by_layer


def test_curves_have_the_given_numbers():
    first, second = curves([0, 10, 20], {"a": [3, 2, 1], "b": np.array([4.0, 5.0, 6.0])}, "T", "step", "loss").data
    assert (first.name, first.x.tolist(), first.y.tolist()) == ("a", [0, 10, 20], [3, 2, 1])
    assert (second.name, second.x.tolist(), second.y.tolist()) == ("b", [0, 10, 20], [4, 5, 6])


def test_no_two_of_many_curves_look_alike():
    figure = curves([0, 1], {str(number): [number, 1] for number in range(36)}, "T", "x", "y")
    looks = [(line.line.color, line.line.dash) for line in figure.data]
    assert len(set(looks)) == 36
    # The first six curves differ both in colour and in dash.
    assert len({colour for colour, _ in looks[:6]}) == len({dash for _, dash in looks[:6]}) == 6


def test_a_shorter_curve_ends_early():
    (line,) = curves([0, 1, 2, 3], {"a": [1, 2]}, "T", "x", "y").data
    assert line.x.tolist() == [0, 1]


@pytest.mark.parametrize(("log", "gaps"), [(False, [False, False, True, True]), (True, [True, True, True, True])])
def test_values_that_an_axis_cannot_show_are_gaps(log, gaps):
    (line,) = curves([0, 1, 2, 3], {"a": [0.0, -1.0, np.nan, np.inf]}, "T", "x", "y", log=log).data
    assert np.isnan(line.y).tolist() == gaps


def test_a_band_spans_from_low_to_high_in_the_colour_of_its_curve():
    low, high, line = curves([0, 1], {"a": [2, 3]}, "T", "x", "y", bands={"a": ([1, 2], [4, 5])}).data
    assert (low.y.tolist(), high.y.tolist(), line.y.tolist()) == ([1, 2], [4, 5], [2, 3])
    assert (low.fill, high.fill) == (None, "tonexty")
    red, green, blue = (int(line.line.color[place : place + 2], 16) for place in (1, 3, 5))
    assert high.fillcolor.startswith(f"rgba({red}, {green}, {blue},")


def test_delta_by_layer_is_one_curve_per_name_on_a_logarithmic_axis():
    figure = delta_by_layer({"tanh": [0.01, 0.1, 1.0], "relu": [1, 1, 1]}, ["one", "two", "three"], "T")
    assert [line.y.tolist() for line in figure.data] == [[0.01, 0.1, 1.0], [1, 1, 1]]
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.xaxis.ticktext == ("one", "two", "three")


def test_a_map_has_layers_over_steps_on_one_scale():
    deltas = {name: [[1e-3, 1e-2], [1e-1, 1.0], [0.0, 10.0]] for name in ("a", "b", "c")}
    figure = delta_by_layer(deltas, [1, 2], "T", steps=[0, 5, 50])
    assert len(figure.data) == 3
    for panel in figure.data:
        assert panel.x.tolist() == [0, 5, 50]
        np.testing.assert_allclose(panel.z, [[-3, -1, np.nan], [-2, 0, 1]], atol=1e-12)
        assert panel.coloraxis == "coloraxis"
    assert figure.layout.coloraxis.colorbar.ticktext[0] == "10<sup>-3</sup>"


def test_a_map_without_any_delta_is_drawn():
    figure = delta_by_layer({"dead": [[0.0, 0.0]]}, [1, 2], "T", steps=[0])
    assert np.isnan(figure.data[0].z).all()


def test_many_layers_get_few_ticks():
    figure = delta_by_layer({"deep": np.ones(100)}, range(1, 101), "T")
    ticks = figure.layout.xaxis
    assert len(ticks.tickvals) <= 12
    assert [int(text) - 1 for text in ticks.ticktext] == list(ticks.tickvals)
