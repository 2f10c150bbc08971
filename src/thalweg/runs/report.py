"""The report of a run as a page: measures, curves, what probes recorded, predictions, mistakes, network, spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go

from ..pages import figures
from ..pages.blocks import (
    Block,
    Bullets,
    Chart,
    CodeBlock,
    Facts,
    Heading,
    KeyFigures,
    SideBySide,
    Table,
    Text,
)
from ..pages.numbers import Share, count_noun, measure_name, measure_value, measured, percent
from ..pages.page import Page
from ..parts.task_metrics import confusion_matrix
from ..probes.input_maps import FittedCurve, InputMap
from .mistakes import has_label, mistake_blocks, values_by_target
from .report_data import ReportData

# The first set that there is says most about new rows.
_SETS = ("test", "validation", "training")
_NO_MEASURES = frozenset({"epoch", "step", "learning_rate"})
_MOST_TARGETS = 6
_MOST_POINTS = 3000
_MOST_LARGEST = 100
_NO_PROBES = 'No probes recorded this training; with `probes = "standard"` the report shows what happens inside of it.'
_PRECISION = (
    "Precision: the fraction of the samples predicted as a class that belong to it. "
    "Recall: the fraction of the samples of a class that are predicted as such."
)


def report_page(data: ReportData) -> Page:
    """The report of a run; sections without data are left out.

    >>> data = ReportData(title="digits", outcome="Trained 20 epochs.", task="classification")
    >>> report_page(data).html().startswith("<!doctype html>")
    True
    """
    sections: tuple[Callable[[ReportData], list[Block]], ...] = (
        _key_figures,
        _overview,
        _health,
        _training,
        _probes,
        _input_map,
        _predictions,
        mistake_blocks,
        _importance,
        _inside,
        _network,
        _notes,
        _spec,
    )
    return Page(data.title, tuple(block for section in sections for block in section(data)), data.outcome)


def card(data: ReportData) -> Page:
    """The beginning of the report, for a notebook: outcome, health, measures, and the curve of the loss.

    >>> data = ReportData(title="digits", outcome="Trained.", task="classification", measures={"test": {"loss": 0.1}})
    >>> "<caption>" in card(data).fragment()
    True
    """
    return Page(data.title, (*data.health, *_measures(data), *training_charts(data.history)[:1]), data.outcome)


def training_charts(history: figures.History) -> list[Chart]:
    """The curves of a training: one for each measure, and the learning rate.

    >>> [chart.title for chart in training_charts([{"epoch": 1, "loss": 0.7, "learning_rate": 0.1}])]
    ['Loss', 'Learning rate']
    """
    keys = dict.fromkeys(key for row in history for key in row)
    recorded = dict.fromkeys(key.removeprefix("validation_").removeprefix("training_") for key in keys)
    charts = [
        Chart(figures.learning_curves(history, name), _curve_caption(history, name))
        for name in recorded
        if name not in _NO_MEASURES
    ]
    return [*charts, Chart(figures.learning_rate(history))] if "learning_rate" in recorded else charts


def precision_and_recall(
    correct: np.ndarray, predicted: np.ndarray, samples: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall by class; NaN where a class is never predicted, or has no samples.

    Args:
        correct: Number of correct predictions of each class (classes,).
        predicted: Number of predictions of each class (classes,).
        samples: Number of samples of each class (classes,).

    >>> precision_and_recall(np.array([8]), np.array([10]), np.array([16]))
    (array([0.8]), array([0.5]))
    """

    def part_of(whole: np.ndarray) -> np.ndarray:
        return np.where(whole > 0, correct / np.maximum(whole, 1), np.nan)

    return part_of(predicted), part_of(samples)


# --- the sections, from top to bottom


def _key_figures(data: ReportData) -> list[Block]:
    rows = next((name for name in _SETS if data.measures.get(name)), None)
    if rows is None:
        return []
    measures = data.measures[rows]
    name = next((name for name in ("accuracy", "r2") if name in measures), next(iter(measures)))
    return [KeyFigures([(measure_value(name, measures[name]), f"{measure_name(name)} on the {rows} set")])]


def _overview(data: ReportData) -> list[Block]:
    parts: list[Block] = [*_measures(data)]
    if data.facts:
        parts.append(Facts(data.facts))
    if not parts:
        return []
    return [Heading("Overview"), SideBySide(parts) if len(parts) > 1 else parts[0]]


def _measures(data: ReportData) -> list[Block]:
    sets = [name for name in _SETS if data.measures.get(name)]
    if not sets:
        return []
    names = list(dict.fromkeys(name for rows in sets for name in data.measures[rows]))
    rows = [(label, *(measured(name, data.measures[label].get(name)) for name in names)) for label in sets]
    return [Table("Measures by set of rows", ("set", *map(measure_name, names)), rows)]


def _health(data: ReportData) -> list[Block]:
    return [Heading("Health"), *data.health] if data.health else []


def _training(data: ReportData) -> list[Block]:
    if not data.history:
        return []
    words = "Training: the mean over the batches of the epoch, while the weights change."
    if any(key.startswith("validation_") for row in data.history for key in row):
        words += " Validation: at the end of the epoch."
    blocks: list[Block] = [Heading("Training"), Text(words), SideBySide(training_charts(data.history))]
    return blocks if data.observed else [*blocks, Text(_NO_PROBES)]


def _curve_caption(history: figures.History, measure: str) -> str:
    """The last values of a curve, for readers who do not see it."""
    parts = []
    for key, words in ((measure, "training"), (f"validation_{measure}", "validation")):
        values = [row[key] for row in history if key in row]
        if values:
            parts.append(f"{words} {measure_value(measure, values[-1])}")
    return f"Last epoch: {', '.join(parts)}." if parts else ""


def _probes(data: ReportData) -> list[Block]:
    """The charts of the probes: first those that take the whole width, then the others side by side."""
    if not data.observed:
        return []
    shown = figures.charts_of(data.observed, data.expected, data.batch_size)
    charts = [(chart.wide, Chart(chart.figure, chart.caption)) for chart in shown.charts]
    blocks: list[Block] = [Heading("Inside the training")]
    if batches := int(np.isfinite(data.observed["loss"]).sum()) if "loss" in data.observed.whole else 0:
        words = count_noun(batches, "batch", "batches")
        blocks.append(Text(f"Recorded by probes in {words}, before the update."))
    blocks += [chart for wide, chart in charts if wide]
    if narrow := [chart for wide, chart in charts if not wide]:
        blocks.append(SideBySide(narrow))
    return [*blocks, Bullets(shown.left_out)] if shown.left_out else blocks


def _input_map(data: ReportData) -> list[Block]:
    """The outputs over the plane or the line of the inputs."""
    shown = data.input_map or data.curve
    heading = Heading("Over the inputs")
    if shown is None:
        return [heading, Text(_why_no_map(data))] if data.feature_names else []
    words = "The output of the network for all values of its inputs"
    if data.input_map and data.input_map.explained:
        explained = data.input_map.explained
        shares = f"{' + '.join(map(percent, explained))} = {percent(sum(explained))}"
        words = (
            f"The output of the network on a plane through its {len(data.feature_names)} inputs: the plane of the two "
            "leading principal axes of the training rows, through their mean, in units of the scaled inputs. It "
            f"explains {shares} of the variance of the rows. A sample is drawn at its nearest point of the plane; the "
            "network uses all inputs, and so may be right about a sample on the wrong side"
        )
    words += f". Points: the samples of the {data.held_out} set"
    words += f", one of every {shown.every}." if shown.every > 1 else "."
    return [heading, Text(words), SideBySide(_map_charts(data))]


def _why_no_map(data: ReportData) -> str:
    count = count_noun(len(data.feature_names), "input")
    if data.task == "multilabel":
        return "No boundary is drawn, because each label has its own."
    if data.task == "regression":
        return f"No plane is drawn for {count}; `thalweg boundary` shows a slice."
    return (
        f"No boundary is drawn for {count} by default; `thalweg boundary` draws it on the plane of the two leading "
        "principal axes of the rows, or on a slice."
    )


def _map_charts(data: ReportData) -> list[Chart]:
    if data.input_map:
        shown = data.input_map
        films = _frames(data, shown)
        for film in films:
            # The frames were taken around the training rows, the boundary is drawn around the samples.
            film.update_xaxes(range=[shown.x[0], shown.x[-1]]).update_yaxes(range=[shown.y[0], shown.y[-1]])
        return [Chart(figure) for figure in (*_boundaries(data, shown), *films)]
    return [Chart(figure) for figure in _fitted_curves(data, data.curve)] if data.curve else []


def _boundaries(data: ReportData, shown: InputMap) -> list[go.Figure]:
    if data.task == "classification":
        points = (shown.points, shown.true, data.target_names, data.threshold, shown.axes)
        return [figures.boundary(shown.x, shown.y, shown.outputs, *points)]
    return [
        figures.fitted_surface(
            shown.x, shown.y, shown.outputs[..., k], shown.points, shown.true[:, k], name, shown.axes
        )
        for k, name in enumerate(data.target_names[:_MOST_TARGETS])
    ]


def _fitted_curves(data: ReportData, curve: FittedCurve) -> list[go.Figure]:
    return [
        figures.fitted_curve(curve.x, curve.values[:, k], curve.points, curve.true[:, k], name, curve.axis)
        for k, name in enumerate(data.target_names[:_MOST_TARGETS])
    ]


def _frames(data: ReportData, shown: InputMap) -> list[go.Figure]:
    """The outputs over the inputs during the training, as animations."""
    frames = data.boundary_frames
    if frames is None or not len(frames.steps):
        return []
    if data.task == "classification":
        return [
            figures.boundary_frames(
                frames.steps,
                frames.x,
                frames.y,
                frames.outputs,
                shown.points,
                shown.true,
                data.target_names,
                data.threshold,
                shown.axes,
                steps_per_epoch=data.per_epoch,
            )
        ]
    return [
        figures.surface_frames(
            frames.steps,
            frames.x,
            frames.y,
            frames.outputs[..., k],
            shown.points,
            shown.true[:, k],
            name,
            shown.axes,
            steps_per_epoch=data.per_epoch,
        )
        for k, name in enumerate(data.target_names[:_MOST_TARGETS])
    ]


def _predictions(data: ReportData) -> list[Block]:
    """The predictions for the held-out rows: by class, by label, or as values."""
    if data.true is None or data.predicted is None or not len(data.true):
        return []
    by_task = {"classification": _by_class, "multilabel": _by_label, "regression": _by_value}
    blocks = by_task[data.task](data.true, data.predicted, data.target_names)
    return [Heading(f"Predictions on the {data.held_out} set"), *blocks]


def _by_class(true: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> list[Block]:
    matrix = confusion_matrix(true, predicted, len(names))
    commonest = int(matrix.sum(axis=1).argmax())
    share = percent(matrix[commonest].sum() / matrix.sum())
    table = _scores(names, np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1), "class")
    words = f"For comparison: always predicting “{names[commonest]}” would be right for {share} of the samples."
    return [Text(f"{words} {_PRECISION}"), SideBySide([Chart(figures.confusion(matrix, names)), table])]


def _by_label(true: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> list[Block]:
    there = has_label(true)
    found = has_label(predicted)
    table = _scores(names, (there & found).sum(axis=0), found.sum(axis=0), there.sum(axis=0), "label")
    return [Text(_PRECISION), table]


def _scores(names: Sequence[str], correct: np.ndarray, predicted: np.ndarray, samples: np.ndarray, kind: str) -> Table:
    precision, recall = precision_and_recall(correct, predicted, samples)
    rows = [
        (name, int(count), Share(p), Share(r))
        for name, count, p, r in zip(names, samples, precision, recall, strict=True)
    ]
    return Table(f"Scores by {kind}", (kind, "samples", "precision", "recall"), rows)


def _by_value(true: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> list[Block]:
    true = values_by_target(true)
    predicted = values_by_target(predicted)
    every = -(-len(true) // _MOST_POINTS)
    remarks = []
    if every > 1:
        remarks.append(f"The charts of single samples show one of every {every}, and the largest errors.")
    if len(names) > _MOST_TARGETS:
        remarks.append(f"The first {_MOST_TARGETS} of {len(names)} targets are shown.")
    charts = []
    for k, name in enumerate(names[:_MOST_TARGETS]):
        points = _with_largest_errors(predicted[:, k] - true[:, k], every)
        charts.append(Chart(figures.predictions(true[points, k], predicted[points, k], name)))
        charts.append(Chart(figures.residuals(true[:, k], predicted[:, k], name)))
    return [*([Text(" ".join(remarks))] if remarks else []), SideBySide(charts)]


def _with_largest_errors(errors: np.ndarray, every: int) -> np.ndarray:
    """The numbers of one of every so many samples, and of those with the largest errors (n,)."""
    largest = np.argsort(-np.abs(errors), kind="stable")[:_MOST_LARGEST]
    return np.union1d(np.arange(0, len(errors), every), largest)


def _importance(data: ReportData) -> list[Block]:
    return [Heading("Importance of the inputs"), *data.importance.blocks()] if data.importance else []


def _inside(data: ReportData) -> list[Block]:
    """The units of the first hidden layer over the inputs, and the weights of the first layer as images."""
    blocks: list[Block] = []
    shown = data.input_map
    weights = data.weights
    if shown and shown.units is not None:
        few = f"; the first {len(shown.units)} of {shown.all_units}" if len(shown.units) < shown.all_units else ""
        blocks.append(Text(f"Each unit of the first hidden layer over the plane of the inputs{few}."))
        blocks.append(Chart(figures.unit_maps(shown.unit_x, shown.unit_y, shown.units, shown.axes)))
    if weights:
        words = (
            "The weights of each unit of the first layer, each at its pixel. The output of a unit is largest for an "
            "image that is bright where the weights are orange and dark where they are blue"
        )
        if len(weights.units) < weights.all_units:
            words += f"; the {len(weights.units)} of {weights.all_units} units with the largest weights"
        blocks.append(Text(f"{words}."))
        blocks.append(Chart(figures.weight_images(weights.pictures, weights.units)))
    blocks += _convolution(data)
    if data.saliency:
        words = (
            "Where the network looks: the mean of |dL/dx| over samples of each class, the largest of the channels of a "
            "pixel, as a fraction of the largest pixel of the class; over the first "
            f"{count_noun(data.saliency.rows, 'sample')} of the {data.held_out} set."
        )
        names = [data.target_names[label] for label in data.saliency.classes]
        blocks += [Text(words), Chart(figures.saliency_maps(data.saliency.maps, names))]
    return [Heading("Inside the network"), *blocks] if blocks else []


def _convolution(data: ReportData) -> list[Block]:
    """The kernels of the first convolution, and what they make of a sample."""
    kernels, maps = data.kernels, data.feature_maps
    if not kernels or not maps:
        return []
    few = f"; the {len(kernels.units)} of {kernels.all_units} with the largest weights"
    words = (
        "The kernels of the first convolution, the mean over its input channels"
        f"{few if len(kernels.units) < kernels.all_units else ''}. The output of a kernel is largest where the picture "
        "is bright under its orange pixels and dark under its blue ones."
    )
    titles = "Kernels of the first convolution"
    return [
        Text(words),
        Chart(figures.weight_images(kernels.pictures, kernels.units, titles)),
        Text(f"What each of them makes of sample {maps.sample} of the {data.held_out} set, before the activation."),
        Chart(figures.feature_maps(maps.maps, maps.units, maps.sample)),
    ]


def _network(data: ReportData) -> list[Block]:
    if not data.layers:
        return []
    total = ("total", "", sum(layer[2] for layer in data.layers))
    table = Table("Layers from input to output", ("layer", "output", "parameters"), data.layers, total)
    return [Heading("Network"), table]


def _notes(data: ReportData) -> list[Block]:
    return [Heading("Notes on the data"), Bullets(data.notes)] if data.notes else []


def _spec(data: ReportData) -> list[Block]:
    return [Heading("Specification"), CodeBlock(data.spec)] if data.spec else []
