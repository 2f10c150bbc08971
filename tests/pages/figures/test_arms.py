"""Charts of experiments: means, bands and intervals computed by hand; missing values do not count."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.pages import figures

NAN = np.nan
LONG = "optimizer adam(learning_rate=0.001), hidden 64,64,64,64,64"


def numbers(values) -> list[float]:
    return np.asarray(values, dtype=float).tolist()


# --- curves


def test_a_band_is_one_deviation_within_the_range_of_the_seeds():
    # Epoch 1: 1, 2, 6 have mean 3 and deviation sqrt(14 / 2) = 2.65: 0.35 lies below all, 5.65 does not.
    # Epoch 2: 2, 4, 6 have mean 4 and deviation 2.
    low, high, line = figures.arm_curves({"sgd": np.array([[1.0, 2], [2.0, 4], [6.0, 6]])}, "loss").data
    assert (numbers(line.x), numbers(line.y)) == ([1, 2], [3, 4])
    assert numbers(low.y) == [1, 2]
    assert numbers(high.y) == pytest.approx([3 + np.sqrt(7), 6])


@pytest.mark.parametrize("missing", [NAN, np.inf])
def test_a_mean_is_over_the_trials_with_a_value(missing):
    values = np.array([[1.0, 3.0, missing], [3.0, missing, missing]])
    low, high, line = figures.arm_curves({"sgd": values}, "loss").data
    np.testing.assert_array_equal(line.y, [2, 3, NAN])
    np.testing.assert_array_equal(low.y[1:], [3, NAN])
    np.testing.assert_array_equal(high.y[1:], [3, NAN])
    assert [text.split("<br>")[0] for text in line.hovertext[:2]] == ["sgd", "sgd"]
    assert ["2, 1 to 3" in line.hovertext[0], "3, 3 to 3" in line.hovertext[1]] == [True, True]
    assert ["2 of 2" in line.hovertext[0], "1 of 2" in line.hovertext[1]] == [True, True]


def test_the_band_of_a_diverging_loss_is_the_range_of_the_seeds():
    low, high, line = figures.arm_curves({"sgd": np.array([[1.0], [1e200]])}, "loss").data
    assert [numbers(trace.y) for trace in (low, line, high)] == [[1.0], [5e199], [1e200]]


def test_one_seed_has_no_band_and_arms_may_end_early():
    figure = figures.arm_curves({"a": np.array([[1.0, 2.0, 3.0]]), "b": np.array([[4.0]])}, "loss")
    first, second = figure.data
    assert (numbers(first.x), numbers(first.y)) == ([1, 2, 3], [1, 2, 3])
    assert (numbers(second.x), numbers(second.y)) == ([1], [4])
    assert figure.layout.title.subtitle.text is None


def test_twenty_curves_differ_by_colour_and_dash_and_have_no_bands():
    values = np.array([[0.5, 0.4], [0.6, 0.3]])
    lines = figures.arm_curves({f"arm {k}": values for k in range(20)}, "loss").data
    assert len(lines) == len({(line.line.color, line.line.dash) for line in lines}) == 20


def test_more_arms_have_a_panel_each_with_the_baseline_behind():
    curves = {f"arm {k}": np.array([[1.0, 0.1 * k], [1.0, 0.3 * k]]) for k in range(6)}
    drawn = figures.arm_panels(curves, "loss", "arm 3").data
    # Four panels in a row: the sixth arm has the second place of the second row.
    assert len({(line.xaxis, line.yaxis) for line in drawn}) == 6
    grey, blue = [line for line in drawn if line.xaxis == drawn[-1].xaxis]
    np.testing.assert_allclose(blue.y, [1, 1.0])
    np.testing.assert_allclose(grey.y, [1, 0.6])
    assert grey.line.color != blue.line.color


def test_curves_have_titles_and_axes():
    values = {"a <b>": np.array([[0.5, 0.1]]), LONG: np.array([[0.5, 0.2]])}
    figure = figures.arm_curves(values, "validation_loss", log=True)
    assert figure.layout.title.text == "Validation loss over the epochs"
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("epoch", "validation loss")
    assert figure.layout.yaxis.type == "log"
    assert [line.name.replace("<br>", " ") for line in figure.data] == ["a &lt;b&gt;", LONG]
    assert figures.arm_curves(values, "loss", title="Mine").layout.title.text == "Mine"
    assert figures.arm_curves(values, "accuracy").layout.yaxis.tickformat == "~%"


def test_a_chart_grows_with_its_arms():
    few, many = ({f"arm {k}": np.array([[1.0, 2.0]]) for k in range(n)} for n in (2, 12))
    assert figures.arm_curves(many, "loss").layout.height - figures.arm_curves(few, "loss").layout.height >= 10 * 19
    few, many = ({f"arm {k}": np.array([1.0]) for k in range(n)} for n in (4, 32))
    for draw in (figures.arm_measures, lambda *arguments: figures.paired_differences(*arguments, "base")):
        assert draw(many, {}, "loss").layout.height - draw(few, {}, "loss").layout.height >= 28 * 30


# --- measures by arm


def test_a_row_has_dots_mean_and_interval():
    finals = {"sgd": np.array([0.5, 0.75, 1.0]), "adam": np.array([0.25, NAN, 0.75])}
    figure = figures.arm_measures(finals, {"sgd": (0.5, 1.0), "adam": (0.375, 0.75)}, "accuracy", best="sgd")
    dots, means, best = figure.data
    np.testing.assert_array_equal(dots.x, [0.5, 0.75, 1.0, 0.25, NAN, 0.75])
    assert numbers(means.x) == [0.75, 0.5]
    assert numbers(means.error_x.array) == [0.25, 0.25]
    assert numbers(means.error_x.arrayminus) == [0.25, 0.125]
    assert (numbers(best.x), numbers(best.y)) == ([0.75], [0])
    for fact in ("adam", "50\u202f%", "37.5 to 75\u202f%", "2 of 3"):
        assert fact in means.hovertext[1]
    for fact in ("sgd", " 3", "100\u202f%"):
        assert fact in dots.hovertext[2]


def test_the_first_arm_is_on_top_and_labels_have_notes():
    finals = {"a": np.array([1.0, 2.0]), "b <c>": np.array([NAN, NAN]), "d": np.array([1.0, NAN])}
    figure = figures.arm_measures(finals, {"a": (1, 2)}, "loss", best="d", diverged={"b <c>": 2, "d": 1})
    axis = figure.layout.yaxis
    assert axis.range[0] > axis.range[1]
    assert axis.tickvals == (0, 1, 2)
    assert axis.ticktext == ("a", "b &lt;c&gt;<br>2 diverged", "<b>d</b><br>best, 1 diverged")
    np.testing.assert_array_equal(figure.data[1].x, [1.5, NAN, 1.0])
    np.testing.assert_array_equal(figure.data[1].error_x.array, [0.5, NAN, NAN])
    assert (figure.layout.title.text, figure.layout.xaxis.title.text) == ("Loss by arm", "loss")


def test_an_arm_without_trials_has_an_empty_row():
    figure = figures.arm_measures({"a": np.array([]), "b": np.array([2.0])}, {}, "loss")
    np.testing.assert_array_equal(figure.data[1].x, [NAN, 2.0])


def test_a_long_label_has_several_lines():
    label = figures.arm_measures({LONG: np.array([1.0])}, {}, "loss").layout.yaxis.ticktext[0]
    lines = label.split("<br>")
    assert max(map(len, lines)) <= 30
    assert " ".join(lines) == LONG


@pytest.mark.parametrize(
    ("measure", "values", "interval", "kind"),
    [
        ("loss", [0.01, 1.0], (0.01, 1.0), "log"),
        ("loss", [0.01, 1.0], (-0.1, 1.0), None),
        ("loss", [0.1, 1.0], (0.1, 1.0), None),
        ("validation_accuracy", [0.01, 1.0], (0.01, 1.0), None),
    ],
)
def test_the_axis_is_logarithmic_only_for_positive_values_over_decades(measure, values, interval, kind):
    assert figures.arm_measures({"a": np.array(values)}, {"a": interval}, measure).layout.xaxis.type == kind


# --- differences


def test_an_outlier_does_not_stretch_the_axis():
    differences = {f"arm {k}": np.array([0.1 * k - 0.3, 0.1 * k]) for k in range(6)}
    intervals = {arm: (values[0], values[1]) for arm, values in differences.items()}
    usual = figures.paired_differences(differences, intervals, "loss", "base").layout
    figure = figures.paired_differences(
        {**differences, "outlier": np.array([1e20, 1e30])}, {**intervals, "outlier": (1e20, 1e30)}, "loss", "base"
    )
    assert figure.layout.xaxis.range == usual.xaxis.range
    assert figure.layout.title.subtitle.text.startswith("1 arm ")
    assert usual.title.subtitle.text is None


def test_the_curve_of_a_diverging_loss_is_cut_off():
    calm = np.array([[2.0, 1.0, 0.5]])
    wild = np.array([[3.0, 1e10, 1e30]])
    figure = figures.arm_curves({"calm": calm, "mild": calm, "wild": wild}, "loss", log=True)
    low, high = figure.layout.yaxis.range
    # From the smallest value to a hundred times the median start.
    assert low == pytest.approx(np.log10(0.5) - 0.1)
    assert high == pytest.approx(np.log10(200))
    assert figure.layout.title.subtitle.text
    calm_layout = figures.arm_curves({"calm": calm}, "loss", log=True).layout
    assert calm_layout.yaxis.range is None
    assert calm_layout.title.subtitle.text is None


def test_differences_have_dots_means_and_intervals_with_a_line_at_0():
    differences = {"adam": np.array([1.0, 3.0]), "rmsprop": np.array([-1.0, 2.0]), "lost": np.array([NAN, NAN])}
    intervals = {"adam": (1.0, 3.0), "rmsprop": (-1.0, 2.0)}
    figure = figures.paired_differences(differences, intervals, "loss", "sgd <0.1>", higher_is_better=False)
    dots, means = figure.data
    np.testing.assert_array_equal(dots.x, [1, 3, -1, 2, NAN, NAN])
    np.testing.assert_array_equal(means.x, [2, 0.5, NAN])
    np.testing.assert_array_equal(means.error_x.array, [1, 1.5, NAN])
    np.testing.assert_array_equal(means.error_x.arrayminus, [1, 1.5, NAN])
    assert means.marker.symbol == ("circle", "circle-open", "circle-open")
    (zero,) = figure.layout.shapes
    assert (zero.x0, zero.x1) == (0, 0)
    assert figure.layout.title.text == "Loss against the baseline"
    assert figure.layout.xaxis.title.text.endswith("<br>sgd &lt;0.1&gt;")
    assert figure.layout.yaxis.ticktext == ("adam", "rmsprop", "lost<br>no pairs")
    assert "adam" in means.hovertext[0]
    assert "+2," in means.hovertext[0]


def test_the_axis_of_shares_ends_where_a_difference_can():
    spread = {"adam": np.array([0.1, 0.2])}
    figure = figures.paired_differences(spread, {"adam": (-1.6, 1.9)}, "accuracy", "sgd")
    low, high = figure.layout.xaxis.range
    assert -1.1 < low < -1 < 1 < high < 1.1


@pytest.mark.parametrize(("higher", "left", "right"), [(True, "← worse", "better →"), (False, "← better", "worse →")])
def test_labels_show_which_side_is_better(higher, left, right):
    differences = {"a": np.array([0.5])}
    figure = figures.paired_differences(differences, {"a": (0.4, 0.6)}, "r2", "base", higher_is_better=higher)
    # Labels with a right anchor are left of 0.
    sides = {note.xanchor: note.text for note in figure.layout.annotations}
    assert sides == {"right": left, "left": right}
    low, high = figure.layout.xaxis.range
    assert low < 0 < 0.6 < high


def test_a_remedy_is_above_its_random_change():
    effects = {"rate <0.1>": np.array([0.1, 0.3]), "start": np.array([-0.2, 0.1]), "lost": np.array([NAN, NAN])}
    controls = {"start": np.array([-0.3, -0.1])}
    intervals = {"rate <0.1>": (0.1, 0.3), "start": (-0.2, 0.1)}
    control_intervals = {"start": (-0.3, -0.1)}
    notes = {"rate <0.1>": "helps", "start": "no evidence"}
    figure = figures.paired_effects(
        effects, intervals, controls, control_intervals, "accuracy", notes=notes, strong="rate <0.1>"
    )
    dots, means, random_dots, random_means = figure.data
    np.testing.assert_allclose(means.x, [0.2, -0.05, NAN])
    np.testing.assert_allclose(means.error_x.array, [0.1, 0.15, NAN])
    np.testing.assert_allclose(means.error_x.arrayminus, [0.1, 0.15, NAN])
    assert means.marker.symbol == ("circle", "circle-open", "circle-open")
    np.testing.assert_allclose(random_means.x, [-0.2])
    assert random_means.marker.symbol == ("diamond",)
    # All markers of a row are nearer to it than to the next row.
    assert np.round(means.y).tolist() == [0, 1, 2]
    assert np.round(random_means.y).tolist() == [1]
    assert means.y[1] < random_means.y[0]
    assert np.abs(np.concatenate([dots.y, random_dots.y]) % 1 - 0.5).min() > 0.1
    np.testing.assert_array_equal(dots.x, [0.1, 0.3, -0.2, 0.1, NAN, NAN])
    assert figure.layout.yaxis.ticktext == ("<b>rate &lt;0.1&gt;</b><br>helps", "start<br>no evidence", "lost")
    low, high = figure.layout.xaxis.range
    assert low < -0.3 < 0.3 < high
    for fact in ("start", "-20 points", "-30 to -10 points"):
        assert fact in random_means.hovertext[0]


# --- heat map


def heat_map(values, **options):
    z = np.asarray(values, dtype=float)
    rows, columns = ([f"{name}{k}" for k in range(size)] for name, size in zip("rc", z.shape, strict=True))
    return figures.heat_map(z, rows, columns, "momentum", "rate", "loss", **{"higher_is_better": False, **options})


def test_cells_have_numbers_or_crosses():
    diverged = np.array([[0, 3, 0], [0, 0, 1]])
    figure = heat_map([[1.0, NAN, NAN], [0.25, 3.0, 0.12345]], diverged=diverged)
    cells, lost, not_run = figure.data
    np.testing.assert_array_equal(cells.z, [[1.0, NAN, NAN], [0.25, 3.0, 0.12345]])
    assert cells.text.tolist() == [["1", "", ""], ["0.25", "3", "0.123*"]]
    for fact in ("momentum r1", "rate c2", "loss 0.1235", "1 diverged"):
        assert fact in cells.hovertext[1][2]
    assert (numbers(lost.x), numbers(lost.y), lost.name) == ([1], [0], "diverged")
    assert (numbers(not_run.x), numbers(not_run.y), not_run.name) == ([2], [0], "not run")
    (text,) = lost.hovertext
    for fact in ("momentum r0", "rate c1", "diverged"):
        assert fact in text
    assert figure.layout.title.text == "Loss by momentum and rate"
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("rate", "momentum")
    assert (figure.layout.xaxis.ticktext, figure.layout.yaxis.ticktext) == (("c0", "c1", "c2"), ("r0", "r1"))
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert "diverged" in figure.layout.title.subtitle.text


def test_without_counts_a_cross_is_diverged_or_not_run():
    assert heat_map([[1.0, NAN]]).data[1].name == "diverged or not run"


@pytest.mark.parametrize(("higher", "word"), [(True, "higher"), (False, "lower")])
def test_bright_is_better(higher, word):
    cells = heat_map([[1.0, 2.0]], higher_is_better=higher).data[0]
    assert cells.reversescale is not higher
    assert word in cells.colorbar.title.text


def test_an_outlier_does_not_set_the_colours():
    cells = heat_map([[1.0, 2.0, 3.0], [4.0, 5.0, 1e6]]).data[0]
    assert (cells.zmin, cells.zmax) == (1.0, 5.0)
    assert "1 beyond" in cells.colorbar.title.text
    assert "beyond" not in heat_map([[1.0, 2.0]]).data[0].colorbar.title.text


def test_many_cells_have_no_numbers():
    assert heat_map(np.ones((13, 2))).data[0].text is None
    assert heat_map(np.ones((12, 12))).data[0].text.shape == (12, 12)


@pytest.mark.parametrize("value", [NAN, 0.0, 0.5])
def test_colours_have_a_range_if_all_cells_are_equal(value):
    cells = heat_map([[value, value]]).data[0]
    assert cells.zmin < cells.zmax


# --- parallel coordinates


def parallel(axes, measure, log_axes=(), higher_is_better=True, name="r2"):
    options = {"log_axes": log_axes, "higher_is_better": higher_is_better}
    return figures.parallel_coordinates(axes, name, np.asarray(measure, dtype=float), **options)


def lines(figure):
    return [line for line in figure.data if line.mode == "lines+markers"]


def test_a_line_passes_through_the_values_of_its_arm():
    axes = {"rate": [0.001, 0.01, 0.1], "kind": ["sgd", "adam", "sgd"], "hidden": [10, 20, 30]}
    figure = parallel(axes, [1.0, 3.0, 2.0], log_axes=["rate"])
    # From the worst to the best, which is on top.
    assert [numbers(line.y) for line in lines(figure)] == [
        pytest.approx([0, 0, 0, 0]),
        pytest.approx([1, 0, 1, 0.5]),
        pytest.approx([0.5, 1, 0.5, 1]),
    ]
    assert figure.layout.xaxis.ticktext == ("rate", "kind", "hidden", "R²")
    for fact in ("rate 0.1", "kind sgd", "hidden 30", "R² 2"):
        assert fact in lines(figure)[1].hovertext
    ticks = {}
    for note in figure.layout.annotations:
        ticks.setdefault(note.x, []).append((note.text, pytest.approx(note.y)))
    assert ticks[0] == [("10<sup>-3</sup>", 0), ("10<sup>-2</sup>", 0.5), ("10<sup>-1</sup>", 1)]
    assert ticks[1] == [("sgd", 0), ("adam", 1)]
    assert ticks[2] == [("10", 0), ("20", 0.5), ("30", 1)]
    assert figure.layout.title.text == "R² by all axes"


def test_the_smallest_is_on_top_in_the_same_colour_if_lower_is_better():
    axes = {"rate": [1.0, 2.0]}
    rising = parallel(axes, [1.0, 2.0])
    falling = parallel(axes, [1.0, 2.0], higher_is_better=False)
    assert numbers(lines(falling)[-1].y) == [0, 0]
    assert [line.line.color for line in lines(rising)] == [line.line.color for line in lines(falling)]
    bar = falling.data[-1].marker
    assert bar.reversescale
    assert "lower" in bar.colorbar.title.text


def test_an_arm_without_a_measure_is_left_out_and_counted():
    axes = {"rate": [0.1, 5.0, 0.2], "kind": ["a", "never", "b"]}
    figure = parallel(axes, [1.0, NAN, 2.0])
    assert len(lines(figure)) == 2
    assert "1 of 3 arms" in figure.layout.title.subtitle.text
    # It does not stretch an axis.
    assert "never" not in [note.text for note in figure.layout.annotations]
    assert [line.y[0] for line in lines(figure)] == pytest.approx([0, 1])


def test_without_any_measure_the_axes_are_drawn():
    figure = parallel({"rate": [0.1], "kind": ["a"]}, [NAN])
    assert lines(figure) == []
    assert figure.layout.xaxis.ticktext == ("rate", "kind", "R²")


def test_an_axis_with_zero_is_linear():
    figure = parallel({"decay": [0.0, 0.001, 0.01]}, [1, 2, 3], log_axes=["decay"])
    assert [line.y[0] for line in lines(figure)] == pytest.approx([0, 0.1, 1])


def test_many_numbers_have_round_ticks_and_a_constant_has_one():
    figure = parallel({"batch": list(range(3, 50)), "fixed": [7.0] * 47}, np.arange(47.0))
    texts = {place: [note.text for note in figure.layout.annotations if note.x == place] for place in (0, 1)}
    assert texts == {0: ["10", "20", "30", "40"], 1: ["7"]}
    assert {line.y[1] for line in lines(figure)} == {0.5}


def test_an_outlier_does_not_stretch_the_axis_of_the_measure():
    figure = parallel({"rate": [1, 2, 3, 4, 5, 6]}, [1.0, 2.0, 3.0, 4.0, 5.0, 1e6], higher_is_better=False, name="loss")
    assert sorted(line.y[-1] for line in lines(figure)) == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    assert "<b>loss 1,000,000</b>" in lines(figure)[0].hovertext


def test_an_axis_may_have_the_name_of_the_measure():
    figure = parallel({"loss": ["mse", "cross_entropy"]}, [1.0, 2.0], name="loss")
    assert figure.layout.xaxis.ticktext == ("loss", "loss")
    assert [numbers(line.y) for line in lines(figure)] == [[0, 0], [1, 1]]


# --- levels


def level_figure(**lines):
    return figures.level_curves(
        {name: figures.LevelCurve(*line) for name, line in lines.items()}, "learning_rate", "accuracy"
    )


def test_a_line_over_the_levels_has_means_a_band_and_a_ring():
    rates = np.array([0.01, 0.1, 1.0])
    values = np.array([[0.5, 0.7], [0.9, 0.8], [0.4, 0.2]])
    figure = level_figure(sgd=(rates, values, 0.1))
    low, high, line, ring = figure.data
    np.testing.assert_allclose(line.y, [0.6, 0.85, 0.3])
    np.testing.assert_allclose(low.y, values.min(axis=1))
    np.testing.assert_allclose(high.y, values.max(axis=1))
    assert (ring.x.tolist(), ring.y.tolist()) == ([0.1], [line.y[1]])
    assert figure.layout.xaxis.type == "log"
    assert "yaxis2" not in figure.layout


def test_diverged_trials_are_crosses_below_the_lines():
    rates = np.array([0.01, 0.1, 1.0])
    some = np.array([[0.5, 0.7], [0.9, np.nan], [np.nan, np.nan]])
    figure = level_figure(sgd=(rates, some, 0.01), adam=(rates, np.full((3, 2), np.nan), None))
    crosses = [trace for trace in figure.data if trace.yaxis == "y2"]
    assert [cross.x.tolist() for cross in crosses] == [[0.1, 1.0], [0.01, 0.1, 1.0]]
    assert list(crosses[0].marker.symbol) == ["x-open", "x"]
    assert set(crosses[1].marker.symbol) == {"x"}
    line = next(trace for trace in figure.data if trace.name == "sgd" and trace.mode == "lines+markers")
    np.testing.assert_array_equal(line.y, [0.6, 0.9, np.nan])
    # The strip of crosses and the lines share no height.
    assert figure.layout.yaxis2.domain[1] < figure.layout.yaxis.domain[0]


@pytest.mark.parametrize(
    ("levels", "kind"), [([1.0, 2.0, 3.0], None), ([0.0, 1.0, 10.0], None), ([8.0, 16.0, 64.0], "log")]
)
def test_levels_are_logarithmic_where_they_are_positive_and_span_a_factor(levels, kind):
    figure = level_figure(sgd=(np.array(levels), np.ones((3, 2)), None))
    assert figure.layout.xaxis.type == kind
