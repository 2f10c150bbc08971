"""Figures of a run: the traces have exactly the given numbers, and names are escaped."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.pages import figures

HISTORY = [
    {
        "epoch": 1,
        "learning_rate": 0.01,
        "loss": 2.0,
        "accuracy": 0.4,
        "validation_loss": 1.5,
        "validation_accuracy": 0.5,
    },
    {
        "epoch": 2,
        "learning_rate": 0.01,
        "loss": 0.9,
        "accuracy": 0.7,
        "validation_loss": 0.8,
        "validation_accuracy": 0.6,
    },
    {
        "epoch": 3,
        "learning_rate": 0.001,
        "loss": 0.02,
        "accuracy": 0.9,
        "validation_loss": 1.1,
        "validation_accuracy": 0.7,
    },
]


def numbers(values) -> list[float]:
    return np.asarray(values, dtype=float).tolist()


def test_learning_curves_have_the_numbers_of_the_history():
    training, validation, best = figures.learning_curves(HISTORY, "loss").data
    assert numbers(training.x) == [1, 2, 3]
    assert numbers(training.y) == [2.0, 0.9, 0.02]
    assert numbers(validation.y) == [1.5, 0.8, 1.1]
    assert (numbers(best.x), numbers(best.y)) == ([2], [0.8])


def test_the_best_accuracy_is_the_largest():
    best = figures.learning_curves(HISTORY, "accuracy").data[-1]
    assert (numbers(best.x), numbers(best.y)) == ([3], [0.7])
    assert best.name == "best: 70\u202f%, epoch 3"


def test_a_record_without_the_measure_is_skipped():
    history = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.9, "validation_loss": 0.8}]
    training, validation, _ = figures.learning_curves(history, "loss").data
    assert numbers(training.x) == [1, 2]
    assert numbers(validation.x) == [2]


def test_no_validation_draws_one_line():
    assert len(figures.learning_curves([{"epoch": 1, "loss": 1.0}], "loss").data) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_gaps_and_never_the_best(value):
    history = [{"epoch": 1, "loss": 3.0, "validation_loss": 2.0}, {"epoch": 2, "loss": value, "validation_loss": value}]
    training, validation, best = figures.learning_curves(history, "loss").data
    np.testing.assert_array_equal(training.y, [3.0, np.nan])
    np.testing.assert_array_equal(validation.y, [2.0, np.nan])
    assert numbers(best.x) == [1]


@pytest.mark.parametrize(
    ("measure", "values", "kind"),
    [
        ("loss", [1.0, 0.01], "log"),
        ("mean_absolute_error", [1.0, 0.01], "log"),
        ("loss", [1.0, 0.1], None),
        ("loss", [1.0, 0.0], None),
        ("loss", [1.0, -0.01], None),
        ("accuracy", [0.01, 1.0], None),
        ("r2", [0.01, 1.0], None),
    ],
)
def test_the_axis_is_logarithmic_only_for_errors_over_decades(measure, values, kind):
    history = [{"epoch": k + 1, measure: value} for k, value in enumerate(values)]
    assert figures.learning_curves(history, measure).layout.yaxis.type == kind


@pytest.mark.parametrize(("epochs", "mode"), [(1, "lines+markers"), (100, "lines")])
def test_one_epoch_has_a_marker(epochs, mode):
    history = [{"epoch": k + 1, "loss": 1.0, "learning_rate": 0.1} for k in range(epochs)]
    assert figures.learning_curves(history, "loss").data[0].mode == mode
    assert figures.learning_rate(history).data[0].mode == mode


def test_an_empty_history_draws_an_empty_chart():
    assert figures.learning_curves([], "loss").data == ()


def test_learning_rate_has_the_numbers_of_the_history():
    (line,) = figures.learning_rate(HISTORY).data
    assert (numbers(line.x), numbers(line.y)) == ([1, 2, 3], [0.01, 0.01, 0.001])


def test_rate_range_has_the_sweeps_their_mean_and_the_chosen_rate():
    rates = np.array([0.01, 0.1, 1.0, 10.0])
    smoothed = np.array([2.0, 1.0, 1.5])
    losses = [np.array([2.1, 0.9, 1.4]), np.array([1.9, 1.1, 1.6, 9.0])]
    figure = figures.rate_range(rates, losses, smoothed, chosen=np.sqrt(0.001), blew_up=1.0)
    first, second, mean, chosen = figure.data
    assert numbers(first.x) == [0.01, 0.1, 1.0]
    assert (numbers(first.y), numbers(second.y)) == ([2.1, 0.9, 1.4], [1.9, 1.1, 1.6, 9.0])
    assert (numbers(mean.x), numbers(mean.y)) == ([0.01, 0.1, 1.0], [2.0, 1.0, 1.5])
    # Halfway from 0.01 to 0.1 on the logarithmic axis.
    assert numbers(chosen.y) == [pytest.approx(1.5)]
    assert chosen.name == "chosen: 0.032"
    (shade,) = figure.layout.shapes
    assert (shade.x0, shade.x1) == (1.0, 10.0)
    # A diverging loss does not stretch the axis.
    assert numbers(figure.layout.yaxis.range) == [0.0, 3.0]


def test_rate_range_without_a_choice_marks_and_shades_nothing():
    figure = figures.rate_range(np.array([0.1, 1.0]), [np.array([1.0, 0.001])], np.array([1.0, 0.001]))
    assert len(figure.data) == 2
    assert figure.layout.shapes == ()
    assert figure.layout.yaxis.type == "log"


def test_confusion_has_counts_and_percentages_of_the_row():
    matrix = np.array([[8, 2, 0], [0, 5, 5], [0, 0, 0]])
    right, wrong = figures.confusion(matrix, ["a", "b", "c"]).data
    np.testing.assert_array_equal(right.customdata, matrix)
    np.testing.assert_array_equal(wrong.customdata, matrix)
    np.testing.assert_array_equal(np.diag(right.z), [0.8, 0.5, 0.0])
    assert np.isnan(right.z[~np.eye(3, dtype=bool)]).all()
    nan = np.nan
    np.testing.assert_array_equal(wrong.z, [[nan, 0.2, nan], [nan, nan, 0.5], [nan, nan, nan]])
    assert right.text.tolist() == [["8<br>80\u202f%", "", ""], ["", "5<br>50\u202f%", ""], ["", "", "0<br>0\u202f%"]]
    assert wrong.text.tolist() == [["", "2<br>20\u202f%", ""], ["", "", "5<br>50\u202f%"], ["", "", ""]]


@pytest.mark.parametrize(
    ("classes", "numbered", "named"), [(2, True, True), (20, True, True), (21, False, True), (60, False, False)]
)
def test_confusion_of_many_classes_has_no_text(classes, numbered, named):
    figure = figures.confusion(np.eye(classes, dtype=int), [str(k) for k in range(classes)])
    assert (figure.data[0].text is not None) == numbered
    assert figure.layout.xaxis.showticklabels == named


def test_classes_of_the_same_name_are_separate():
    figure = figures.confusion(np.eye(2, dtype=int), ["same", "same"])
    assert figure.layout.xaxis.tickvals == (0, 1)
    assert figure.layout.xaxis.ticktext == ("same", "same")


def test_names_are_escaped_and_shortened():
    figure = figures.confusion(np.eye(2, dtype=int), ["<b>&", "x" * 100])
    assert figure.layout.yaxis.ticktext == ("&lt;b&gt;&amp;", "x" * 21 + "…")


def test_predictions_have_the_values_and_the_diagonal():
    true = np.array([1.0, 2.0, 4.0])
    predicted = np.array([1.5, 0.5, 3.0])
    samples, diagonal = figures.predictions(true, predicted, "price", "EUR").data
    assert (numbers(samples.x), numbers(samples.y)) == (true.tolist(), predicted.tolist())
    assert numbers(diagonal.x) == numbers(diagonal.y) == [0.5, 4.0]


def test_axes_have_units():
    figure = figures.predictions(np.ones(2), np.ones(2), "price", "EUR")
    assert figure.layout.xaxis.title.text == "true price in EUR"
    assert figure.layout.yaxis.title.text == "predicted price in EUR"
    assert figures.residuals(np.ones(2), np.ones(2), "price").layout.xaxis.title.text == "predicted - true price"


def test_residuals_count_every_finite_error():
    rng = np.random.default_rng(0)
    true = rng.normal(size=100)
    predicted = rng.normal(size=100)
    (bars,) = figures.residuals(true, predicted, "y").data
    error = predicted - true
    lower, upper = np.asarray(bars.customdata).T
    assert np.sum(bars.y) == 100
    assert (lower[0], upper[-1]) == (error.min(), error.max())
    assert numbers(bars.y)[:-1] == [((error >= a) & (error < b)).sum() for a, b in zip(lower, upper, strict=True)][:-1]
    predicted[0] = np.nan
    assert np.sum(figures.residuals(true, predicted, "y").data[0].y) == 99


def test_all_charts_share_one_template():
    charts = [
        figures.learning_curves(HISTORY, "loss"),
        figures.learning_rate(HISTORY),
        figures.rate_range(np.ones(2), [np.ones(2)], np.ones(2)),
        figures.confusion(np.eye(2, dtype=int), ["a", "b"]),
        figures.predictions(np.ones(2), np.ones(2), "y"),
        figures.residuals(np.ones(2), np.ones(2), "y"),
    ]
    for chart in charts:
        assert chart.layout.template == figures.TEMPLATE
        assert chart.layout.height


def test_the_measure_at_the_end_of_epochs_is_a_third_curve():
    history = [{"epoch": k, "loss": 1.0 / k, "training_loss": 0.8 / k, "validation_loss": 0.9 / k} for k in (1, 2, 3)]
    figure = figures.learning_curves(history, "loss")
    curves = {trace.name: list(trace.y) for trace in figure.data}
    assert curves["training, end of epoch"] == [0.8, 0.4, pytest.approx(0.8 / 3)]
    assert [trace.name for trace in figure.data][:3] == ["training", "training, end of epoch", "validation"]


def test_both_losses_and_the_place_where_they_part():
    histories = {
        "a<b": [{"epoch": epoch, "loss": 1.0 / epoch} for epoch in range(1, 5)],
        "c": [{"epoch": epoch, "loss": 2.0} for epoch in range(1, 4)],
    }
    figure = figures.paired_losses(histories, parting=2.5, label="step 9: rows")
    assert [trace.name for trace in figure.data] == ["a&lt;b", "c", "step 9: rows"]
    assert figure.data[1].x.tolist() == [1, 2, 3]
    assert (figure.data[2].x, figure.data[2].y) == ((2.5, 2.5), (0.25, 2.0))
    assert len(figures.paired_losses(histories).data) == 2
