"""The account of a training run as one HTML page.

`ReportData` says what there is to tell, `page` tells it; a section that does not apply is left out.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ..pages import figures
from ..pages import markup as pages
from ..pages.figures import Charts
from ..pages.html import as_section
from ..pages.numbers import Share, measure_name, measured, number
from ..parts.metrics import confusion_matrix
from .report_data import ReportData

_SETS = ("test", "validation", "training")
_NO_MEASURES = frozenset({"epoch", "step", "learning_rate"})
_MOST_PICTURES = 24
_MOST_ROWS = 12
_MOST_FEATURES = 8
_MOST_TARGETS = 6
_MOST_POINTS = 3000
_MANY_CLASSES = 12
_UNOBSERVED = "No probes were on; probes = &quot;standard&quot; records what happens inside of the training."
_SCORES = "Precision is the right part of what the network said, recall the part found of what is there."


def page(account: ReportData) -> str:
    """The whole page as HTML text. The caller writes it, in UTF-8.

    >>> data = ReportData(title="digits", outcome="Trained 20 epochs.", task="classification")
    >>> page(data).startswith("<!doctype html>")
    True
    """
    tell = (_overview, _health, _curves, _observed, _over_the_inputs, _answers, _mistakes, _inside, _network, _notes)
    sections = "".join(section(account) for section in tell)
    return pages.document(account.title, _header(account), sections + pages.specification(account.spec))


def charts(account: ReportData) -> list[go.Figure]:
    """All charts of the page, from its top to its end.

    >>> account = ReportData(title="", outcome="", task="classification", history=[{"epoch": 1, "loss": 0.7}])
    >>> [figure.layout.title.text for figure in charts(account)]
    ['Loss']
    """
    kinds = (_input_charts, _answer_charts, _inside_charts)
    observed = (told.figure for told in _observed_charts(account).charts)
    return [*training_charts(account.history), *observed, *(figure for kind in kinds for figure in kind(account))]


def training_charts(history: figures.History) -> list[go.Figure]:
    """The curves of the training: one for each measure, and the learning rate.

    >>> [figure.layout.title.text for figure in training_charts([{"epoch": 1, "loss": 0.7, "learning_rate": 0.1}])]
    ['Loss', 'Learning rate']
    """
    keys = dict.fromkeys(key for row in history for key in row)
    recorded = dict.fromkeys(key.removeprefix("validation_").removeprefix("training_") for key in keys)
    drawn = [figures.learning_curves(history, name) for name in recorded if name not in _NO_MEASURES]
    return [*drawn, figures.learning_rate(history)] if "learning_rate" in recorded else drawn


def card(title: str, outcome: str, measures: dict[str, dict[str, float]], health: str = "") -> str:
    """The first lines of the page as a piece of HTML for a notebook: what it was, how it went and how it is, measures.

    >>> "<caption>" in card("digits", "Trained 20 epochs.", {"test": {"loss": 0.1}})
    True
    """
    told = f"<p>{escape(health)}</p>\n" if health else ""
    return f"<p><strong>{escape(title)}</strong> {escape(outcome)}</p>\n{told}{_measures(measures)}"


def precision_and_recall(right: np.ndarray, said: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of those said to be of a class, the part that is; of those of the class, the part found. NaN where none are.

    All arguments are counts by class (classes,): right answers, answers, samples.

    >>> precision_and_recall(np.array([8]), np.array([10]), np.array([16]))
    (array([0.8]), array([0.5]))
    """

    def part(whole: np.ndarray) -> np.ndarray:
        return np.where(whole > 0, right / np.maximum(whole, 1), np.nan)

    return part(said), part(there)


def worst_first(account: ReportData) -> np.ndarray:
    """The numbers of the samples to look at, the worst first.

    Classes and labels: the wrong ones, the most confident first. Regression: all, the largest error first, where each
    target's errors count in standard deviations of its true values.
    """
    if account.true is None or account.predicted is None:
        return np.array([], dtype=int)
    if account.task == "regression":
        size = np.nan_to_num(_errors_in_deviations(account), nan=np.inf).max(axis=1)
        return np.argsort(-size, kind="stable")
    if account.task == "multilabel":
        wrong = np.flatnonzero((_said(account.true) != _said(account.predicted)).any(axis=1))
    else:
        wrong = np.flatnonzero(account.true != account.predicted)
    return wrong if account.confidence is None else wrong[np.argsort(-account.confidence[wrong], kind="stable")]


# --- the sections, from the top of the page to its end


def _header(account: ReportData) -> str:
    return pages.header(account.title, account.outcome, _headline(account))


def _headline(account: ReportData) -> str:
    rows = next((name for name in _SETS if account.measures.get(name)), None)
    if rows is None:
        return ""
    measures = account.measures[rows]
    name = next((name for name in ("accuracy", "r2") if name in measures), next(iter(measures)))
    return (
        f'<p class="headline"><strong>{number(measured(name, measures[name]))}</strong> '
        f"{escape(measure_name(name))} on the {rows} set</p>\n"
    )


def _measures(measures: dict[str, dict[str, float]]) -> str:
    sets = [name for name in _SETS if measures.get(name)]
    if not sets:
        return ""
    names = list(dict.fromkeys(name for rows in sets for name in measures[rows]))
    rows = [(label, *(measured(name, measures[label].get(name, math.nan)) for name in names)) for label in sets]
    return pages.table("Measures by set of rows", ("set", *map(measure_name, names)), rows)


def _overview(account: ReportData) -> str:
    parts = _measures(account.measures)
    if account.facts:
        parts += pages.facts(account.facts)
    return pages.section("Overview", f'<div class="overview">\n{parts}</div>\n') if parts else ""


def _health(account: ReportData) -> str:
    return as_section("Health", account.health) if account.health else ""


def _curves(account: ReportData) -> str:
    if not account.history:
        return ""
    drawn = _drawn("training", training_charts(account.history))
    told = "Training: over the rows as they were met during the epoch, with the weights still moving."
    if any(key.startswith("validation_") for row in account.history for key in row):
        told += " Validation: at the end of the epoch."
    unobserved = "" if account.observed else f"<p>{_UNOBSERVED}</p>\n"
    return pages.section("Training", f"<p>{told}</p>\n{drawn}{unobserved}")


def _observed(account: ReportData) -> str:
    """What the probes saw: first the charts that take the whole width, then the others side by side."""
    if not account.observed:
        return ""
    shown = _observed_charts(account)
    drawn = [
        (told.wide, pages.chart(f"observed-{k}", told.figure, told.caption)) for k, told in enumerate(shown.charts)
    ]
    wide, narrow = ("".join(chart for width, chart in drawn if width is kind) for kind in (True, False))
    left_out = "".join(f"<li>{escape(reason)}</li>\n" for reason in shown.left_out)
    batches = int(np.isfinite(account.observed["loss"]).sum()) if "loss" in account.observed.whole else 0
    told = f"Seen by probes in {batches:,} of the batches, before their update." if batches else ""
    content = f'<p>{told}</p>\n{wide}<div class="charts">\n{narrow}</div>\n'
    content += f"<ul>\n{left_out}</ul>\n" if left_out else ""
    return pages.section("Inside of the training", f'<div class="prose">\n{content}</div>\n')


def _observed_charts(account: ReportData) -> Charts:
    if not account.observed:
        return Charts((), ())
    return figures.charts_of(account.observed, account.expected, account.batch_size)


def _drawn(name: str, charts: Sequence[go.Figure]) -> str:
    """Charts side by side where there is room; `name` tells them apart from the others of the page."""
    drawn = "".join(pages.chart(f"{name}-{k}", figure) for k, figure in enumerate(charts))
    return f'<div class="charts">\n{drawn}</div>\n'


def _over_the_inputs(account: ReportData) -> str:
    """What the network says over the plane or the line of its inputs."""
    view = account.seen or account.curve
    if view is None:
        return pages.section("Over the inputs", f"<p>{_unseen(account)}</p>\n") if account.feature_names else ""
    explained = account.seen.explained if account.seen else ()
    told = "The answer of the network wherever its inputs may be"
    if explained:
        shares = " + ".join(number(Share(share)) for share in explained)
        told = (
            f"The answer of the network on a plane through its {len(account.feature_names)} inputs: the two leading "
            "principal axes of the training rows, through their mean, in units of the scaled inputs. The plane holds "
            f"{shares} = {number(Share(sum(explained)))} of the rows' variance. A sample stands at its "
            "nearest place on the plane. The network looks at all inputs, and so may be right about a sample that "
            "stands on the wrong side"
        )
    told += f". Points: the samples of the {escape(account.held_out)} set"
    told += f", one of every {view.every}." if view.every > 1 else "."
    return pages.section("Over the inputs", f"<p>{told}</p>\n{_drawn('inputs', _input_charts(account))}")


def _unseen(account: ReportData) -> str:
    """Why no plane of the inputs is shown."""
    count = len(account.feature_names)
    if account.task == "multilabel":
        return "No boundary is drawn: each of several labels has one of its own."
    if account.task == "regression":
        return f"A fit of numbers to {count:,} inputs has no one plane; <code>thalweg boundary</code> shows a slice."
    return (
        f"No boundary is drawn for {count:,} inputs unless it is asked for: <code>thalweg boundary</code> shows it on"
        " the two leading principal axes of the rows, or on a slice."
    )


def _input_charts(account: ReportData) -> list[go.Figure]:
    seen, curve, names = account.seen, account.curve, account.target_names
    if seen and account.task == "classification":
        stand = (seen.points, seen.true, names, account.threshold, seen.axes)
        return [figures.boundary(seen.x, seen.y, seen.outputs, *stand), *_moving_charts(account)]
    shown = list(enumerate(names[:_MOST_TARGETS]))
    if seen:
        surfaces = [
            figures.fitted_surface(seen.x, seen.y, seen.outputs[..., k], seen.points, seen.true[:, k], name, seen.axes)
            for k, name in shown
        ]
        return [*surfaces, *_moving_charts(account)]
    if curve:
        return [
            figures.fitted_curve(curve.x, curve.values[:, k], curve.points, curve.true[:, k], name, curve.axis)
            for k, name in shown
        ]
    return []


def _moving_charts(account: ReportData) -> list[go.Figure]:
    """What the network said over its inputs through its training, as frames."""
    seen, film, names = account.seen, account.film, account.target_names
    if seen is None or film is None or not len(film.steps):
        return []
    at, per_epoch = (film.steps, film.x, film.y), account.per_epoch
    if account.task == "classification":
        shown = (*at, film.outputs, seen.points, seen.true)
        return [figures.boundary_frames(*shown, names, account.threshold, seen.axes, steps_per_epoch=per_epoch)]
    return [
        figures.surface_frames(
            *at, film.outputs[..., k], seen.points, seen.true[:, k], name, seen.axes, steps_per_epoch=per_epoch
        )
        for k, name in enumerate(names[:_MOST_TARGETS])
    ]


def _answers(account: ReportData) -> str:
    """What the network answers on the held-out rows: by class, by label, or as values."""
    if account.true is None or account.predicted is None or not len(account.true):
        return ""
    tell = {"classification": _by_class, "multilabel": _by_label, "regression": _by_value}[account.task]
    return pages.section(
        f"Answers on the {escape(account.held_out)} set", tell(account, account.true, account.predicted)
    )


def _by_class(account: ReportData, true: np.ndarray, predicted: np.ndarray) -> str:
    matrix = confusion_matrix(true, predicted, len(account.target_names))
    commonest = int(matrix.sum(axis=1).argmax())
    part = Share(matrix[commonest].sum() / matrix.sum())
    chart = pages.chart("confusion", *_answer_charts(account))
    table = _scores_table(account, np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1), "class")
    kind = "stacked" if len(matrix) > _MANY_CLASSES else "beside"
    return (
        f"<p>For comparison: always saying “{escape(account.target_names[commonest])}” would be right for "
        f"{number(part)} of the samples. {_SCORES}</p>\n"
        f'<div class="{kind}">\n{chart}{table}</div>\n'
    )


def _by_label(account: ReportData, true: np.ndarray, predicted: np.ndarray) -> str:
    true, said = _said(true), _said(predicted)
    table = _scores_table(account, (true & said).sum(axis=0), said.sum(axis=0), true.sum(axis=0), "label")
    return f"<p>{_SCORES}</p>\n{table}"


def _scores_table(account: ReportData, right: np.ndarray, said: np.ndarray, there: np.ndarray, kind: str) -> str:
    precision, recall = precision_and_recall(right, said, there)
    rows = [
        (name, n, Share(p), Share(r))
        for name, n, p, r in zip(account.target_names, there, precision, recall, strict=True)
    ]
    return pages.table(f"Scores by {kind}", (kind, "samples", "precision", "recall"), rows)


def _by_value(account: ReportData, true: np.ndarray, predicted: np.ndarray) -> str:
    every = -(-len(true) // _MOST_POINTS)
    remarks = []
    if every > 1:
        remarks.append(f"The charts of single samples show one of every {every}.")
    if len(account.target_names) > _MOST_TARGETS:
        remarks.append(f"The first {_MOST_TARGETS} of {len(account.target_names)} targets are shown.")
    remark = f"<p>{' '.join(remarks)}</p>\n" if remarks else ""
    return f"{remark}{_drawn('answers', _answer_charts(account))}"


def _answer_charts(account: ReportData) -> list[go.Figure]:
    if account.true is None or account.predicted is None or not len(account.true) or account.task == "multilabel":
        return []
    if account.task == "classification":
        matrix = confusion_matrix(account.true, account.predicted, len(account.target_names))
        return [figures.confusion(matrix, account.target_names)]
    true, predicted = _columns(account.true), _columns(account.predicted)
    every = -(-len(true) // _MOST_POINTS)
    drawn = []
    for k, name in enumerate(account.target_names[:_MOST_TARGETS]):
        drawn.append(figures.predictions(true[::every, k], predicted[::every, k], name))
        drawn.append(figures.residuals(true[:, k], predicted[:, k], name))
    return drawn


def _mistakes(account: ReportData) -> str:
    if account.true is None or account.predicted is None or not len(account.true):
        return ""
    worst, n, rows = worst_first(account), len(account.true), escape(account.held_out)
    if account.task == "regression":
        heading, told = "Largest errors", "Compared by standard deviations of the true values."
    elif not worst.size:
        return pages.section("Mistakes", f"<p>No mistakes: all {n:,} samples of the {rows} set are right.</p>\n")
    else:
        order = "" if account.confidence is None else ", the most confident first"
        heading, told = "Mistakes", f"{worst.size:,} of {n:,} samples of the {rows} set are wrong{order}."
    if account.samples is not None and account.image_shape:
        shown = worst[:_MOST_PICTURES]
        examples = _pictures(account, account.samples[shown].reshape(-1, *account.image_shape), shown)
    else:
        shown = worst[:_MOST_ROWS]
        examples = _rows(account, shown)
    if len(shown) < len(worst) and account.task != "regression":
        told += f" The first {len(shown)}:"
    return pages.section(heading, f"<p>{told}</p>\n{examples}")


def _pictures(account: ReportData, pictures: np.ndarray, shown: np.ndarray) -> str:
    heads, answers = _verdicts(account, shown)
    low, high = float(pictures.min()), float(pictures.max())
    grey = np.round((pictures - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)
    items = ""
    for sample, picture, answer in zip(shown, grey, answers, strict=True):
        told = [escape(f"{head} {number(value)}") for head, value in zip(heads, answer, strict=True)]
        items += (
            f'<figure><img src="data:image/png;base64,{_png(picture)}" alt="Sample {sample}: {", ".join(told)}">'
            f"<figcaption>{'<br>'.join(told)}</figcaption></figure>\n"
        )
    return f'<div class="pictures">\n{items}</div>\n'


def _rows(account: ReportData, shown: np.ndarray) -> str:
    heads, answers = _verdicts(account, shown)
    features: Sequence[str] = ()
    caption = "Numbered as they come in the set, from 0"
    values: Sequence[Sequence[Any]] = [()] * len(shown)
    if account.samples is not None:
        features = account.feature_names[:_MOST_FEATURES]
        values = account.samples[shown, : len(features)].tolist()
        if len(features) < len(account.feature_names):
            caption += f"; the first {len(features)} of {len(account.feature_names)} features"
    rows = [(int(k), *a, *v) for k, a, v in zip(shown, answers, values, strict=True)]
    return pages.table(caption, ("sample", *heads, *features), rows)


def _verdicts(account: ReportData, shown: np.ndarray) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """For each shown sample: what is true, what the network said, and how sure or how wrong it was."""
    assert account.true is not None and account.predicted is not None
    names = account.target_names
    if account.task == "regression":
        true, predicted = _columns(account.true), _columns(account.predicted)
        target = np.nan_to_num(_errors_in_deviations(account), nan=np.inf).argmax(axis=1)
        found = [(names[target[k]], float(true[k, target[k]]), float(predicted[k, target[k]])) for k in shown]
        if len(names) > 1:
            return ("target", "true", "predicted", "error"), [(name, t, p, p - t) for name, t, p in found]
        return ("true", "predicted", "error"), [(t, p, p - t) for _, t, p in found]
    if account.task == "multilabel":
        true, said = _said(account.true), _said(account.predicted)
        answers: list[tuple[Any, ...]] = [(_labels(true[k], names), _labels(said[k], names)) for k in shown]
    else:
        answers = [(names[account.true[k]], names[account.predicted[k]]) for k in shown]
    if account.confidence is None:
        return ("true", "said"), answers
    sure = [Share(account.confidence[k]) for k in shown]
    return ("true", "said", "sure"), [(*answer, c) for answer, c in zip(answers, sure, strict=True)]


def _inside(account: ReportData) -> str:
    """The units of the first hidden layer over the inputs, and the weights of the first layer as pictures."""
    told, seen, weights = "", account.seen, account.weights
    if seen and seen.units is not None:
        told += "<p>Each unit of the first hidden layer over the plane of the inputs"
        told += (
            f"; the first {len(seen.units)} of {seen.all_units}.</p>\n"
            if len(seen.units) < seen.all_units
            else ".</p>\n"
        )
    if weights:
        told += "<p>The weights of each unit of the first layer, at the place of the pixel that they belong to. A unit "
        told += "answers most to a picture that is bright where it is orange, and dark where it is blue"
        few = f"; the {len(weights.units)} of {weights.all_units} units with the largest weights"
        told += f"{few if len(weights.units) < weights.all_units else ''}.</p>\n"
    drawn = "".join(pages.chart(f"inside-{k}", figure) for k, figure in enumerate(_inside_charts(account)))
    return pages.section("Inside the network", told + drawn) if told else ""


def _inside_charts(account: ReportData) -> list[go.Figure]:
    seen, drawn = account.seen, []
    if seen and seen.units is not None:
        drawn.append(figures.unit_maps(seen.unit_x, seen.unit_y, seen.units, seen.axes))
    if account.weights:
        drawn.append(figures.weight_images(account.weights.pictures, account.weights.units))
    return drawn


def _network(account: ReportData) -> str:
    if not account.layers:
        return ""
    total = ("total", "", sum(layer[2] for layer in account.layers))
    table = pages.table("Layers from input to output", ("layer", "output", "parameters"), account.layers, foot=total)
    return pages.section("Network", table)


def _notes(account: ReportData) -> str:
    items = "".join(f"<li>{escape(note)}</li>\n" for note in account.notes)
    return pages.section("Notes on the data", f"<ul>\n{items}</ul>\n") if items else ""


def _png(grey: np.ndarray) -> str:
    """A grey picture (height, width) of bytes as a PNG file, in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = grey.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in grey)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return base64.b64encode(file).decode()


def _columns(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=float).reshape(len(values), -1)


def _said(labels: np.ndarray) -> np.ndarray:
    return np.asarray(labels) >= 0.5


def _labels(row: np.ndarray, names: Sequence[str]) -> str:
    return " + ".join(name for name, there in zip(names, row, strict=True) if there) or "none"


def _errors_in_deviations(account: ReportData) -> np.ndarray:
    assert account.true is not None and account.predicted is not None
    true, predicted = _columns(account.true), _columns(account.predicted)
    deviation = true.std(axis=0)
    errors: np.ndarray = np.abs(predicted - true) / np.where(deviation > 0, deviation, 1.0)
    return errors
