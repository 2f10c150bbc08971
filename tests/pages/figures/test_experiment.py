"""Charts of an experiment: hand-worked means, bands and ends of intervals; what is missing never counts."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.pages import figures

NAN = np.nan
LONG = "optimizer adam(learning_rate=0.001), hidden 64,64,64,64,64"


def numbers(values) -> list[float]:
    return np.asarray(values, dtype=float).tolist()


# --- curves


def test_a_curve_is_the_mean_in_a_band_of_one_deviation_within_what_was_seen():
    # Epoch 1: 1, 2, 6 have mean 3 and deviation sqrt(14 / 2) = 2.65: 0.35 lies below all, 5.65 does not.
    # Epoch 2: 2, 4, 6 have mean 4 and deviation 2.
    low, high, line = figures.arm_curves({"sgd": np.array([[1.0, 2], [2.0, 4], [6.0, 6]])}, "loss").data
    assert (numbers(line.x), numbers(line.y)) == ([1, 2], [3, 4])
    assert numbers(low.y) == [1, 2]
    assert numbers(high.y) == pytest.approx([3 + np.sqrt(7), 6])


@pytest.mark.parametrize("missing", [NAN, np.inf])
def test_a_mean_is_over_the_trials_that_are_there(missing):
    values = np.array([[1.0, 3.0, missing], [3.0, missing, missing]])
    low, high, line = figures.arm_curves({"sgd": values}, "loss").data
    np.testing.assert_array_equal(line.y, [2, 3, NAN])
    np.testing.assert_array_equal(low.y[1:], [3, NAN])
    np.testing.assert_array_equal(high.y[1:], [3, NAN])
    assert line.hovertext[:2] == (
        "sgd<br>epoch 1: 2, 1 to 3<br>2 of 2 seeds",
        "sgd<br>epoch 2: 3, 3 to 3<br>1 of 2 seeds",
    )


def test_a_loss_about_to_diverge_has_a_band_within_what_was_seen():
    low, high, line = figures.arm_curves({"sgd": np.array([[1.0], [1e200]])}, "loss").data
    assert [numbers(each.y) for each in (low, line, high)] == [[1.0], [5e199], [1e200]]


def test_one_seed_has_no_band_and_arms_may_end_early():
    figure = figures.arm_curves({"a": np.array([[1.0, 2.0, 3.0]]), "b": np.array([[4.0]])}, "loss")
    first, second = figure.data
    assert (numbers(first.x), numbers(first.y)) == ([1, 2, 3], [1, 2, 3])
    assert (numbers(second.x), numbers(second.y)) == ([1], [4])
    assert figure.layout.title.subtitle.text is None


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
    for draw in (figures.arm_measures, lambda *given: figures.paired_differences(*given, "base")):
        assert draw(many, {}, "loss").layout.height - draw(few, {}, "loss").layout.height >= 28 * 30


# --- measures by arm


def test_a_row_holds_dots_mean_and_interval():
    finals = {"sgd": np.array([0.5, 0.75, 1.0]), "adam": np.array([0.25, NAN, 0.75])}
    figure = figures.arm_measures(finals, {"sgd": (0.5, 1.0), "adam": (0.375, 0.75)}, "accuracy", best="sgd")
    dots, means, best = figure.data
    np.testing.assert_array_equal(dots.x, [0.5, 0.75, 1.0, 0.25, NAN, 0.75])
    assert numbers(means.x) == [0.75, 0.5]
    assert numbers(means.error_x.array) == [0.25, 0.25]
    assert numbers(means.error_x.arrayminus) == [0.25, 0.125]
    assert (numbers(best.x), numbers(best.y)) == ([0.75], [0])
    assert means.hovertext[1] == "adam<br>mean 50.00%, 95\u202f% interval 37.50% to 75.00%<br>2 of 3 seeds"
    assert dots.hovertext[2] == "sgd<br>seed no. 3: 100.00%"


def test_the_first_arm_is_on_top_and_the_labels_say_what_came_of_it():
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


def test_a_long_label_stands_over_several_lines():
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
def test_the_axis_is_logarithmic_for_positive_values_over_decades_only(measure, values, interval, kind):
    assert figures.arm_measures({"a": np.array(values)}, {"a": interval}, measure).layout.xaxis.type == kind


# --- differences


def test_an_arm_far_beyond_the_others_does_not_stretch_the_axis():
    differences = {f"arm {k}": np.array([0.1 * k - 0.3, 0.1 * k]) for k in range(6)}
    intervals = {arm: (values[0], values[1]) for arm, values in differences.items()}
    usual = figures.paired_differences(differences, intervals, "loss", "base").layout
    figure = figures.paired_differences(
        {**differences, "awful": np.array([1e20, 1e30])}, {**intervals, "awful": (1e20, 1e30)}, "loss", "base"
    )
    assert figure.layout.xaxis.range == usual.xaxis.range
    assert figure.layout.title.subtitle.text == "1 arm lies beyond the ends of the axis."
    assert usual.title.subtitle.text is None


def test_a_loss_that_grows_without_end_leaves_its_chart():
    calm = np.array([[2.0, 1.0, 0.5]])
    wild = np.array([[3.0, 1e10, 1e30]])
    figure = figures.arm_curves({"calm": calm, "mild": calm, "wild": wild}, "loss", log=True)
    low, high = figure.layout.yaxis.range
    # From the least value to a hundred times what most begin with.
    assert low == pytest.approx(np.log10(0.5) - 0.1)
    assert high == pytest.approx(np.log10(200))
    assert "leaves the chart" in figure.layout.title.subtitle.text
    assert figures.arm_curves({"calm": calm}, "loss", log=True).layout.yaxis.range is None


def test_differences_hold_dots_means_and_intervals_around_a_line_at_0():
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
    assert figure.layout.xaxis.title.text == "loss minus that of the baseline:<br>sgd &lt;0.1&gt;"
    assert figure.layout.yaxis.ticktext == ("adam", "rmsprop", "lost<br>no pairs")
    assert means.hovertext[0].startswith("adam<br>mean +2,")


@pytest.mark.parametrize(("higher", "left", "right"), [(True, "← worse", "better →"), (False, "← better", "worse →")])
def test_words_say_which_side_is_better(higher, left, right):
    given = {"a": np.array([0.5])}, {"a": (0.4, 0.6)}, "r2", "base"
    figure = figures.paired_differences(*given, higher_is_better=higher)
    # What is anchored at its right end stands left of 0.
    sides = {note.xanchor: note.text for note in figure.layout.annotations}
    assert sides == {"right": left, "left": right}
    low, high = figure.layout.xaxis.range
    assert low < 0 < 0.6 < high


def test_a_remedy_stands_above_its_random_change():
    effects = {"rate <0.1>": np.array([0.1, 0.3]), "start": np.array([-0.2, 0.1]), "lost": np.array([NAN, NAN])}
    controls = {"start": np.array([-0.3, -0.1])}
    intervals = {"rate <0.1>": (0.1, 0.3), "start": (-0.2, 0.1)}
    others = {"start": (-0.3, -0.1)}
    notes = {"rate <0.1>": "helps", "start": "no evidence"}
    given = effects, intervals, controls, others, "accuracy"
    figure = figures.paired_effects(*given, notes=notes, strong="rate <0.1>")
    dots, means, random_dots, random_means = figure.data
    np.testing.assert_allclose(means.x, [0.2, -0.05, NAN])
    np.testing.assert_allclose(means.error_x.array, [0.1, 0.15, NAN])
    np.testing.assert_allclose(means.error_x.arrayminus, [0.1, 0.15, NAN])
    assert means.marker.symbol == ("circle", "circle-open", "circle-open")
    np.testing.assert_allclose(random_means.x, [-0.2])
    assert random_means.marker.symbol == ("diamond",)
    # All of a row lies nearer to it than to the next one.
    assert np.round(means.y).tolist() == [0, 1, 2]
    assert np.round(random_means.y).tolist() == [1]
    assert means.y[1] < random_means.y[0]
    assert np.abs(np.concatenate([dots.y, random_dots.y]) % 1 - 0.5).min() > 0.1
    np.testing.assert_array_equal(dots.x, [0.1, 0.3, -0.2, 0.1, NAN, NAN])
    assert figure.layout.yaxis.ticktext == ("<b>rate &lt;0.1&gt;</b><br>helps", "start<br>no evidence", "lost")
    low, high = figure.layout.xaxis.range
    assert low < -0.3 < 0.3 < high
    assert random_means.hovertext[0].endswith("mean -20.00%, 95\u202f% interval -30.00% to -10.00%")


# --- heat map


def grid(values, **more):
    z = np.asarray(values, dtype=float)
    rows, columns = ([f"{name}{k}" for k in range(size)] for name, size in zip("rc", z.shape, strict=True))
    return figures.heat_map(z, rows, columns, "momentum", "rate", "loss", **{"higher_is_better": False, **more})


def test_cells_hold_their_numbers_and_crosses_stand_where_there_is_none():
    diverged = np.array([[0, 3, 0], [0, 0, 1]])
    figure = grid([[1.0, NAN, NAN], [0.25, 3.0, 0.12345]], diverged=diverged)
    cells, lost, idle = figure.data
    np.testing.assert_array_equal(cells.z, [[1.0, NAN, NAN], [0.25, 3.0, 0.12345]])
    assert cells.text.tolist() == [["1", "", ""], ["0.25", "3", "0.123*"]]
    assert cells.hovertext[1][2] == "momentum r1<br>rate c2<br>loss 0.1235, 1 diverged"
    assert (numbers(lost.x), numbers(lost.y), lost.name) == ([1], [0], "diverged")
    assert (numbers(idle.x), numbers(idle.y), idle.name) == ([2], [0], "not run")
    assert lost.hovertext == ("momentum r0<br>rate c1<br>diverged",)
    assert figure.layout.title.text == "Loss by momentum and rate"
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("rate", "momentum")
    assert (figure.layout.xaxis.ticktext, figure.layout.yaxis.ticktext) == (("c0", "c1", "c2"), ("r0", "r1"))
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert "diverged" in figure.layout.title.subtitle.text


def test_without_a_count_a_cross_says_that_it_may_be_either():
    assert grid([[1.0, NAN]]).data[1].name == "diverged or not run"


@pytest.mark.parametrize(("higher", "word"), [(True, "higher"), (False, "lower")])
def test_bright_is_better(higher, word):
    cells = grid([[1.0, 2.0]], higher_is_better=higher).data[0]
    assert cells.reversescale is not higher
    assert cells.colorbar.title.text == f"loss<br>{word} is better"


def test_one_awful_cell_does_not_set_the_colours():
    cells = grid([[1.0, 2.0, 3.0], [4.0, 5.0, 1e6]]).data[0]
    assert (cells.zmin, cells.zmax) == (1.0, 5.0)
    assert "1 beyond" in cells.colorbar.title.text


def test_many_cells_have_no_numbers():
    assert grid(np.ones((13, 2))).data[0].text is None
    assert grid(np.ones((12, 12))).data[0].text.shape == (12, 12)


@pytest.mark.parametrize("value", [NAN, 0.0, 0.5])
def test_colours_have_room_where_all_cells_are_the_same(value):
    cells = grid([[value, value]]).data[0]
    assert cells.zmin < cells.zmax


# --- parallel coordinates


def parallel(axes, measure, log_axes=(), higher_is_better=True, name="r2"):
    given = {"log_axes": log_axes, "higher_is_better": higher_is_better}
    return figures.parallel_coordinates(axes, name, np.asarray(measure, dtype=float), **given)


def lines(figure):
    return [line for line in figure.data if line.mode == "lines+markers"]


def test_a_line_runs_through_the_values_of_its_arm():
    axes = {"rate": [0.001, 0.01, 0.1], "kind": ["sgd", "adam", "sgd"], "hidden": [10, 20, 30]}
    figure = parallel(axes, [1.0, 3.0, 2.0], log_axes=["rate"])
    # From the worst to the best, which lies on top.
    assert [numbers(line.y) for line in lines(figure)] == [
        pytest.approx([0, 0, 0, 0]),
        pytest.approx([1, 0, 1, 0.5]),
        pytest.approx([0.5, 1, 0.5, 1]),
    ]
    assert figure.layout.xaxis.ticktext == ("rate", "kind", "hidden", "R²")
    assert lines(figure)[1].hovertext == "rate 0.1<br>kind sgd<br>hidden 30<br><b>R² 2</b>"
    ticks = {}
    for note in figure.layout.annotations:
        ticks.setdefault(note.x, []).append((note.text, pytest.approx(note.y)))
    assert ticks[0] == [("10<sup>-3</sup>", 0), ("10<sup>-2</sup>", 0.5), ("10<sup>-1</sup>", 1)]
    assert ticks[1] == [("sgd", 0), ("adam", 1)]
    assert ticks[2] == [("10", 0), ("20", 0.5), ("30", 1)]
    assert figure.layout.title.text == "R² by all axes"


def test_where_less_is_better_the_least_lies_on_top_in_the_same_colour():
    axes = {"rate": [1.0, 2.0]}
    rising = parallel(axes, [1.0, 2.0])
    falling = parallel(axes, [1.0, 2.0], higher_is_better=False)
    assert numbers(lines(falling)[-1].y) == [0, 0]
    assert [line.line.color for line in lines(rising)] == [line.line.color for line in lines(falling)]
    bar = falling.data[-1].marker
    assert bar.reversescale
    assert bar.colorbar.title.text == "R²<br>lower is better"


def test_an_arm_without_a_measure_is_left_out_and_counted():
    axes = {"rate": [0.1, 5.0, 0.2], "kind": ["a", "never", "b"]}
    figure = parallel(axes, [1.0, NAN, 2.0])
    assert len(lines(figure)) == 2
    assert figure.layout.title.subtitle.text == "1 of 3 arms have no R²: left out."
    # Nor does it stretch an axis.
    assert "never" not in [note.text for note in figure.layout.annotations]
    assert [line.y[0] for line in lines(figure)] == pytest.approx([0, 1])


def test_with_no_measure_at_all_the_axes_are_drawn():
    figure = parallel({"rate": [0.1], "kind": ["a"]}, [NAN])
    assert lines(figure) == []
    assert figure.layout.xaxis.ticktext == ("rate", "kind", "R²")


def test_zero_has_no_place_on_a_logarithmic_axis():
    figure = parallel({"decay": [0.0, 0.001, 0.01]}, [1, 2, 3], log_axes=["decay"])
    assert [line.y[0] for line in lines(figure)] == pytest.approx([0, 0.1, 1])


def test_many_numbers_have_round_ticks_and_a_constant_one():
    figure = parallel({"batch": list(range(3, 50)), "fixed": [7.0] * 47}, np.arange(47.0))
    texts = {place: [note.text for note in figure.layout.annotations if note.x == place] for place in (0, 1)}
    assert texts == {0: ["10", "20", "30", "40"], 1: ["7"]}
    assert {line.y[1] for line in lines(figure)} == {0.5}


def test_the_measure_ends_where_one_awful_arm_would_press_the_others_flat():
    figure = parallel({"rate": [1, 2, 3, 4, 5, 6]}, [1.0, 2.0, 3.0, 4.0, 5.0, 1e6], higher_is_better=False, name="loss")
    assert sorted(line.y[-1] for line in lines(figure)) == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    assert "<b>loss 1e+06</b>" in lines(figure)[0].hovertext


def test_an_axis_may_be_called_as_the_measure_is():
    figure = parallel({"loss": ["mse", "cross_entropy"]}, [1.0, 2.0], name="loss")
    assert figure.layout.xaxis.ticktext == ("loss", "loss")
    assert [numbers(line.y) for line in lines(figure)] == [[0, 0], [1, 1]]
