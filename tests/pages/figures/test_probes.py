"""Figures of probes: given numbers, zones, captions, and the reasons for charts that are left out."""

from __future__ import annotations

import re

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.pages.figures import (
    charts_of,
    dead_units,
    gradient_noise,
    gradient_ribbon,
    histograms_over_time,
    norms_over_time,
    sharpness,
    step_lengths,
    update_ratios,
)
from thalweg.pages.figures.probes import delta_thresholds, histogram_layers, main_layers, rebinned
from thalweg.probes.records import Observations

LAYERS = ("1: dense 8", "2: relu", "3: dense 4", "4: sigmoid", "5: dense 2")
HOSTILE = "<script>&"


def observed(whole=None, by_layer=None, layers=LAYERS, every=20) -> Observations:
    whole = {name: np.asarray(values, dtype=float) for name, values in (whole or {}).items()}
    by_layer = {name: np.asarray(values, dtype=float) for name, values in (by_layer or {}).items()}
    count = len(next(iter((whole | by_layer).values())))
    return Observations(tuple(layers), 10, every * np.arange(count), whole, by_layer)


def everything(count: int, layers=LAYERS, seed: int = 0) -> Observations:
    """All quantities as random numbers of a plausible size; NaN where a kind of layer has none."""
    rng = np.random.default_rng(seed)
    dense = np.array([name.split()[1] == "dense" for name in layers])

    def numbers(*shape, where=None):
        values = np.exp(rng.normal(-1, 1, (count, *shape)))
        return values if where is None else np.where(where, values, np.nan)

    names = ("gradient_norm", "weight_norm", "update_ratio", "distance", "signal_to_noise")
    by_layer = {name: numbers(len(layers), where=dense) for name in names}
    by_layer |= {name: numbers(len(layers)) for name in ("output_rms", "output_deviation", "delta_rms")}
    by_layer |= {name: rng.random((count, len(layers))) for name in ("dead", "saturated", "dead_over_set")}
    by_layer["effective_rank"] = numbers(len(layers), where=~dense)
    by_layer["gradient_cosine"] = rng.uniform(-1, 1, (count, len(layers)))
    by_layer["update_angle"] = rng.uniform(0, 100, (count, len(layers)))
    for quantity in ("output", "delta"):
        by_layer[f"{quantity}_histogram"] = rng.dirichlet(np.ones(32), (count, len(layers)))
        by_layer[f"{quantity}_low"] = -numbers(len(layers))
        by_layer[f"{quantity}_high"] = numbers(len(layers))
    whole = {name: numbers() for name in ("noise_scale", "signal_to_noise", "largest_eigenvalue", "learning_rate")}
    whole |= {name: rng.normal(size=count) for name in ("step_length", "hessian_trace", "hessian_trace_error")}
    whole |= {"gradient_norm": numbers(), "gradient_cosine": rng.uniform(-1, 1, count)}
    return observed(whole, by_layer, layers)


def lines(figure, axis: str) -> dict[str, np.ndarray]:
    """The named lines of a panel."""
    return {line.name: np.asarray(line.y) for line in figure.data if line.yaxis == axis and line.name}


def zones_of(figure) -> list[tuple[float, float]]:
    return [(shape.y0, shape.y1) for shape in figure.layout.shapes if shape.type == "rect"]


def test_the_ribbon_has_absolute_and_relative_delta_of_dense_layers():
    deltas = [[0.1, 9, 0.5, 9, 1.0], [0.0, 9, 1.0, 9, 4.0]]
    figure = gradient_ribbon(observed(by_layer={"delta_rms": deltas}), np.array([0.2, np.nan, 0.4, np.nan, 1.0]))
    above = lines(figure, "y")
    below = lines(figure, "y2")
    assert list(above) == list(below) == ["1: dense 8", "3: dense 4", "5: dense 2"]
    # A delta of 0 is a gap on a logarithmic axis.
    np.testing.assert_allclose(above["1: dense 8"], [0.1, np.nan], rtol=1e-6)
    np.testing.assert_allclose(below["3: dense 4"], [0.5, 0.25], rtol=1e-6)
    predicted = [shape.y0 for shape in figure.layout.shapes if shape.type == "line"]
    np.testing.assert_allclose(predicted, [0.2, 0.4, 1.0])
    (_, vanishing), (exploding, _) = zones_of(figure)
    np.testing.assert_allclose([vanishing, exploding], [0.002, 100])


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ([1.0, 1.0], (0.01, 100.0)),
        ([0.02, 1.0], (0.0002, 100.0)),
        ([0.005, 1.0], (0.01, 100.0)),
        ([50.0, 1.0], (0.01, 5000.0)),
        ([200.0, 1.0], (0.01, 100.0)),
        ([np.nan, 1.0], (0.01, 100.0)),
    ],
)
def test_thresholds_are_relative_to_theory_within_limits(predicted, expected):
    assert delta_thresholds(np.array(predicted)) == pytest.approx(expected)


def test_names_on_a_logarithmic_axis_are_in_their_zone():
    figure = update_ratios(observed(by_layer={"update_ratio": [[1e-3, np.nan, 1e-5, np.nan, 0.5]]}))
    ((low, high),) = zones_of(figure)
    (name,) = figure.layout.annotations
    assert (low, high) == (1e-4, 1e-2)
    assert np.log10(low) <= name.y <= np.log10(high)
    figure = gradient_noise(observed({"noise_scale": [5.0, 500.0]}), batch_size=32)
    assert figure.layout.annotations[0].y == pytest.approx(np.log10(32))
    first, last = figure.layout.yaxis.range
    assert first < np.log10(5) < np.log10(500) < last


def test_few_layers_have_a_legend_and_many_a_colour_bar():
    def legend_and_bars(count):
        layers = [f"{k}: dense 4" for k in range(1, count + 1)]
        figure = update_ratios(observed(by_layer={"update_ratio": np.full((3, count), 1e-3)}, layers=layers))
        bars = [
            line.marker.colorbar.ticktext for line in figure.data if line.marker.showscale or line.marker.colorscale
        ]
        named = [line for line in figure.data if line.name]
        assert len({line.line.color for line in named}) == count
        return sum(line.showlegend for line in named), bars

    assert legend_and_bars(8) == (8, [])
    legends, (ticks,) = legend_and_bars(40)
    assert (legends, ticks[0], ticks[-1]) == (0, "1: dense 4", "40: dense 4")


def test_main_layers_are_dense_layers_and_blocks_if_there_are_any():
    assert main_layers(["1: residual (dense 4, relu)", "2: batch_norm", "3: dense 1"]).tolist() == [0, 2]
    assert main_layers(["1: relu", "2: tanh"]).tolist() == [0, 1]


def test_rebinned_histograms_keep_their_mass_and_match_direct_counts():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=4000)
    shares, _ = np.histogram(samples, 32, (-4, 4))
    coarse = np.linspace(-4, 4, 9)
    (counted,) = rebinned(shares[None] / 4000, np.array([-4.0]), np.array([4.0]), coarse)
    np.testing.assert_allclose(counted, np.histogram(samples, coarse)[0] / 4000, atol=1e-12)
    low = np.array([-1.0, 0.25, np.nan])
    high = np.array([3.0, 0.25, 1.0])
    result = rebinned(rng.dirichlet(np.ones(32), 3), low, high, np.linspace(-2, 5, 30))
    np.testing.assert_allclose(result[:2].sum(axis=1), 1)
    # All values are 0.25, which are in one bin.
    assert np.count_nonzero(result[1]) == 1
    assert np.isnan(result[2]).all()


def test_outliers_do_not_stretch_a_histogram():
    shares = np.zeros((2, 1, 32))
    shares[:, :, 0] = 0.9999
    shares[0, :, 31] = 0.0001
    shares[1, :, 1] = 0.0001
    record = {"output_histogram": shares, "output_low": [[0.0], [0.0]], "output_high": [[32e6], [32.0]]}
    figure = histograms_over_time(observed(by_layer=record, layers=("1: relu",)), "output")
    assert figure.data[0].y.max() < 2e6


def test_histograms_show_at_most_six_layers_from_first_to_last():
    layers = [f"{k}: {'dense 4' if k % 2 else 'tanh'}" for k in range(1, 24)]
    observations = everything(4, layers)
    outputs = histogram_layers(observations, "output")
    deltas = histogram_layers(observations, "delta")
    assert len(outputs) == len(deltas) == 6
    assert [outputs[0], outputs[-1], deltas[0], deltas[-1]] == [1, 22, 0, 22]
    assert all(layers[k].endswith("tanh") for k in outputs[:-1])
    assert all(layers[k].endswith("dense 4") for k in deltas)


def test_dead_units_are_drawn_for_layers_with_the_quantity():
    dead = [[np.nan, 0.25, np.nan, 0.0, np.nan], [np.nan, 0.5, np.nan, 0.0, np.nan]]
    over_set = [[np.nan] * 5, [np.nan, 0.125, np.nan, 0.0, np.nan]]
    figure = dead_units(observed(by_layer={"dead": dead, "dead_over_set": over_set}))
    assert {name: y.tolist() for name, y in lines(figure, "y").items()} == {
        "2: relu": [0.25, 0.5],
        "4: sigmoid": [0, 0],
    }
    diamonds = [(line.x.tolist(), line.y.tolist()) for line in figure.data if not line.name]
    assert diamonds == [([20], [0.125]), ([20], [0.0])]


def test_long_steps_are_drawn_at_the_edge_and_keep_their_number():
    (points,) = step_lengths(observed({"step_length": [-0.5, np.nan, 40.0]})).data
    np.testing.assert_array_equal(points.y, np.float32([-0.5, np.nan, 3]))
    np.testing.assert_array_equal(points.customdata, np.float32([-0.5, np.nan, 40]))


def test_sharpness_has_the_largest_eigenvalue_and_the_edge_of_stability():
    figure = sharpness(observed({"largest_eigenvalue": [10.0, -1.0, 30.0], "learning_rate": [0.1, 0.1, 0.05]}))
    shown = lines(figure, "y")
    np.testing.assert_array_equal(shown["largest eigenvalue"], [10, np.nan, 30])
    np.testing.assert_array_equal(shown["2 / learning rate"], [20, 20, 40])


def test_observations_without_a_hessian_are_left_out_of_the_sharpness():
    whole = {"largest_eigenvalue": [10.0, None, 30.0], "learning_rate": [0.1, 0.1, 0.1], "hessian_trace": [5, None, 7]}
    figure = sharpness(observed(whole))
    assert [len(trace.x) for trace in figure.data] == [2, 2, 2]


def test_a_gradient_of_exactly_zero_is_a_gap_on_a_logarithmic_axis():
    norms = observed({"gradient_norm": [1.0, 0.0, 2.0]}, {"gradient_norm": [[1.0], [0.0], [2.0]]}, ("1: dense 1",))
    for line in lines(norms_over_time(norms), "y").values():
        np.testing.assert_array_equal(line, [1, np.nan, 2])


def test_a_quantity_that_was_not_recorded_is_an_error_with_its_name():
    with pytest.raises(InputError, match="delta_rms"):
        gradient_ribbon(observed({"loss": [1.0]}))


@pytest.mark.parametrize("count", [1, 3, 40, 400])
@pytest.mark.parametrize("depth", [5, 23])
def test_every_chart_applies_if_everything_was_recorded(count, depth):
    layers = [f"{k}: {'dense 4' if k % 2 else 'relu'}" for k in range(1, depth + 1)]
    result = charts_of(everything(count, layers), None, 32)
    assert result.left_out == ()
    assert len({chart.figure.layout.title.text for chart in result.charts}) == len(result.charts) == 11
    for chart in result.charts:
        assert chart.caption.endswith(".")
        assert "nan" not in chart.caption.lower()
        assert max(len(trace.x) for trace in chart.figure.data if trace.x is not None) <= 150


def test_captions_have_the_numbers_of_the_run():
    deltas = [[0.31, 9, 1, 9, 1.0], [0.5, 9, 1, 9, 1.0], [0.0, 9, 1, 9, 1.0]]
    ratios = [[1e-3, np.nan, 1e-3, np.nan, 1e-1]] * 3
    observations = observed(by_layer={"delta_rms": deltas, "update_ratio": ratios})
    delta, updates = (chart.caption for chart in charts_of(observations).charts)
    # The first layer has 0.31 at the start and 0 at the end, which vanishes and is exactly 0 in one of three records.
    assert re.search(r"1 \(dense 8\).* 0\.31 .* 0 ", delta)
    assert re.findall("[0-9]+\u202f%", delta) == ["33\u202f%", "33\u202f%"]
    # Of nine ratios, six are in the band and three above it.
    assert re.search("0\\.001 .* 0\u202f% .* 33\u202f%", updates)
    assert "0.42" not in delta
    predicted = charts_of(observations, np.array([0.42, np.nan, 0.7, np.nan, 1.0])).charts[0].caption
    assert "0.42" in predicted


def test_charts_that_do_not_apply_have_a_reason():
    nothing = np.full((2, 5), np.nan)
    by_layer = {"dead": nothing, "saturated": nothing, "update_ratio": np.full((2, 5), 1e-3)}
    result = charts_of(observed(by_layer=by_layer))
    assert len(result.charts) == 1
    assert any(reason.startswith("Dead and saturated units: ") for reason in result.left_out)
    assert any("sharpness" in reason and 'probes = "full"' in reason for reason in result.left_out)
    blocks = ("1: batch_norm", "2: residual (dense 4)", "2.1: dense 4", "3: dense 2")
    recorded = {"signal_to_noise": [[np.nan, np.nan, 0.1, 0.2]], "gradient_norm": [[1.0, 1.0, 1.0, 1.0]]}
    reason = charts_of(observed(by_layer=recorded, layers=blocks)).left_out[-1]
    assert "1: batch_norm" in reason
    assert "2: residual" not in reason


def test_numbers_that_no_axis_can_show_are_gaps():
    wild = np.array([[1e300, 1.0, 0.0, np.inf, 1e-300], [np.nan, 1.0, 1.0, -1.0, 1.0]])
    recorded = {"delta_rms": wild, "update_ratio": wild, "output_rms": wild, "weight_norm": wild, "distance": wild}
    charts = charts_of(observed({"step_length": [np.inf, 0.0]}, recorded)).charts
    assert len(charts) == 5
    for chart in charts:
        assert "Infinity" not in chart.figure.to_json()
        assert "nan" not in chart.caption.lower()


def test_names_of_layers_are_escaped():
    figure = update_ratios(observed(by_layer={"update_ratio": [[1e-3]]}, layers=(f"1: {HOSTILE}",)))
    assert figure.data[0].name == "1: &lt;script&gt;&amp;"


def test_a_dead_output_layer_leaves_the_delta_of_the_activations():
    deltas = [[0.0, 0.0, 0.0, 0.5, np.nan]]
    result = charts_of(observed(by_layer={"delta_rms": deltas}))
    assert list(lines(result.charts[0].figure, "y")) == ["4: sigmoid"]
    empty = {"delta_histogram": np.zeros((1, 5, 32)), "delta_low": [[np.nan] * 5], "delta_high": [[np.nan] * 5]}
    result = charts_of(observed(by_layer=empty))
    assert result.charts == ()
    assert result.left_out[0].startswith("Histograms of delta: ")


def test_the_share_of_time_above_the_edge_is_over_records_of_the_hessian():
    observations = observed({"largest_eigenvalue": [30.0, np.nan, 10.0, np.nan], "learning_rate": [0.1] * 4})
    charts = charts_of(observations).charts
    (caption,) = [chart.caption for chart in charts if chart.figure.layout.title.text == "Sharpness"]
    assert "50\u202f%" in caption
