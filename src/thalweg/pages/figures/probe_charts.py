"""The charts of the observations of a training with captions, and why other charts are left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from ...probes.records import Observations
from ..numbers import number, percent
from . import probes

_MOST_OBSERVATIONS = 150
# The batch size counts as close to the noise scale up to this ratio of the two.
_CLOSE = 3


class CaptionedFigure(NamedTuple):
    """A figure with its caption; a wide one takes the whole width of a page."""

    figure: go.Figure
    caption: str
    wide: bool = False


class ProbeCharts(NamedTuple):
    """The charts that apply to some observations, and one sentence for each chart that does not."""

    charts: tuple[CaptionedFigure, ...]
    left_out: tuple[str, ...]


class _Case(NamedTuple):
    """The arguments of `charts_of`, from which all charts and captions are made."""

    observations: Observations
    expected: np.ndarray | None
    batch_size: int


class _ChartKind(NamedTuple):
    """A kind of chart of observations."""

    name: str
    """The name in sentences about charts that are left out."""
    quantities: tuple[str, ...]
    """The recorded quantities of which the chart shows those that are available."""
    draw: Callable[[_Case], go.Figure]
    """Draws the figure; gets at most about 150 observations."""
    caption: Callable[[_Case], str]
    """Writes the caption from all observations."""
    preset: str = "light"
    """The smallest preset of probes that records the quantities."""
    reason_if_empty: str = "no finite number was recorded"
    """Why a recorded quantity may have nothing to show."""
    positive: bool = True
    """Whether only values above 0 can be drawn."""
    wide: bool = False
    """Whether the figure takes the whole width of a page."""


def charts_of(observations: Observations, expected: np.ndarray | None = None, batch_size: int = 0) -> ProbeCharts:
    """The charts that apply to these observations, with captions, and the reasons why other charts are left out.

    Args:
        observations: the records of a training. At most about 150 of them are drawn; captions use all.
        expected: delta of each layer relative to that of the last layer, as theory predicts it for the initial weights
            (layers,); NaN where there is no prediction.
        batch_size: the batch size of the training, which is compared with the noise scale; 0 if unknown.

    >>> records = [{"step": 0, "whole": {}, "layers": {"update_ratio": [0.001, 0.2]}}]
    >>> result = charts_of(Observations.of(records, ("1: dense 8", "2: dense 2"), per_epoch=10))
    >>> [chart.figure.layout.title.text for chart in result.charts], result.left_out[0][:38]
    (['Size of the updates'], 'Not recorded: delta by layer, dead and')
    """
    case = _Case(observations, expected, batch_size)
    thinned = case._replace(observations=_thinned(observations))
    charts = []
    left_out = []
    missing: dict[str, list[str]] = {}
    for kind in _CHARTS:
        recorded = [name for name in kind.quantities if name in observations.whole | observations.by_layer]
        if not recorded:
            missing.setdefault(kind.preset, []).append(kind.name)
        elif not any(_can_draw(observations, name, kind.positive) for name in recorded):
            left_out.append(f"{kind.name[:1].upper()}{kind.name[1:]}: {kind.reason_if_empty}.")
        else:
            charts.append(CaptionedFigure(kind.draw(thinned), kind.caption(case), kind.wide))
    for preset, names in missing.items():
        left_out.append(f'Not recorded: {", ".join(names)}. Set probes = "{preset}" to record them.')
    return ProbeCharts(tuple(charts), (*left_out, *_incomplete(observations)))


def _thinned(observations: Observations) -> Observations:
    """About 150 evenly spaced observations, with the first, the last and those over the whole training set."""
    count = len(observations)
    if count <= _MOST_OBSERVATIONS:
        return observations
    kept = np.linspace(0, count - 1, _MOST_OBSERVATIONS).round().astype(int)
    over_set = observations.by_layer.get("dead_over_set")
    if over_set is not None and np.isfinite(over_set).any(axis=1).sum() < _MOST_OBSERVATIONS:
        kept = np.union1d(kept, np.flatnonzero(np.isfinite(over_set).any(axis=1)))
    return observations.at(kept)


def _can_draw(observations: Observations, name: str, positive: bool) -> bool:
    """Whether a quantity has any value that can be drawn."""
    if name.endswith("_histogram"):
        return bool(probes.histogram_layers(observations, name.removesuffix("_histogram")).size)
    return _any_value(observations[name], positive)


def _any_value(values: np.ndarray, positive: bool) -> bool:
    return bool((np.isfinite(values) & ((values > 0) | (not positive))).any())


def _incomplete(observations: Observations) -> list[str]:
    """Sentences about layers that are missing in a chart that is drawn."""
    ratios = observations.by_layer.get("signal_to_noise")
    norms = observations.by_layer.get("gradient_norm")
    if ratios is None or norms is None or not np.isfinite(ratios).any():
        return []
    has_gradient = np.isfinite(norms).any(axis=0)
    has_ratio = np.isfinite(ratios).any(axis=0)
    names = np.array(observations.layers, dtype=object)[has_gradient & ~has_ratio].tolist()
    # The layers inside of a residual block have rows of their own.
    missing = [name for name in names if " residual" not in name]
    return [f"Gradient noise is computed for dense layers only; left out: {', '.join(missing)}."] if missing else []


# --- captions


def _delta(case: _Case) -> str:
    layers, _ = probes.relative_delta(case.observations)
    deltas = case.observations["delta_rms"][:, layers]
    if len(layers) < 2:
        return "Delta is known at one layer only, so that there is nothing to compare."
    # Unlike in the chart, a delta of exactly 0 counts.
    with np.errstate(all="ignore"):
        relative = np.where(deltas[:, -1:] > 0, deltas / deltas[:, -1:], np.nan)
    first, last = _first_and_last(relative[:, 0])
    predicted = probes.predicted_relative_delta(layers, case.expected)
    vanishing, exploding = probes.delta_thresholds(predicted)
    caption = f"Delta of layer {_layer_name(case, layers[0])}, relative to that of the last layer, is {_short(first)} "
    caption += f"at the start and {_short(last)} at the end"
    if case.expected is None or not np.isfinite(case.expected[layers]).any():
        caption += "; no theory predicts the start for this network, so that the dashed line is at 1. "
    elif np.isfinite(predicted[0]):
        caption += f"; theory predicts {_short(predicted[0])} at the start (dashed). "
    else:
        caption += "; theory predicts the start for other layers only (dashed). "
    small = _share_of_time(relative < vanishing)
    large = _share_of_time(relative > exploding)
    zero = _share_of_time(deltas == 0)
    if small:
        caption += f"In {small} of the observations delta of a layer vanishes (below {_short(vanishing)}). "
    if large:
        caption += f"In {large} of the observations delta of a layer explodes (above {_short(exploding)}). "
    if zero:
        caption += f"In {zero} of the observations delta of a layer is exactly 0, which is a gap in its line: no "
        caption += "gradient passes. "
    if not small and not large:
        caption += f"All layers stay between {_short(vanishing)} and {_short(exploding)}. "
    return caption + "Layers with lines close to each other learn at a similar pace."


def _outputs_histogram(case: _Case) -> str:
    return (
        f"{_layers_shown(case, 'output')} Each column is the histogram of a layer's outputs on one batch. A column "
        "with most of its mass at the ends shows saturation; a column that shrinks to a line shows a layer with nearly "
        "the same output for all samples."
    )


def _delta_histogram(case: _Case) -> str:
    return (
        f"{_layers_shown(case, 'delta')} All panels have the same logarithmic scale: one unit down is a tenth of the "
        "delta. Deltas of exactly 0, and those more than twelve decades below the largest, are not drawn."
    )


def _layers_shown(case: _Case, quantity: str) -> str:
    shown = probes.histogram_layers(case.observations, quantity)
    histograms = case.observations[f"{quantity}_histogram"]
    available = np.flatnonzero(np.isfinite(histograms).all(axis=2).any(axis=0))
    noun = "layers"
    if quantity == "delta":
        available = np.intersect1d(available, probes.main_layers(case.observations.layers))
        noun = "layers with weights"
    return f"Shown: {len(shown)} of {len(available)} {noun}."


def _units(case: _Case) -> str:
    by_layer = case.observations.by_layer
    sentences = []
    for name, noun in (("dead", "units"), ("saturated", "outputs")):
        values = by_layer.get(name)
        if values is None or not np.isfinite(values).any():
            continue
        end = _last(values)
        worst = int(np.nanargmax(end))
        if end[worst] == 0:
            sentences.append(f"At the end no {noun} are {name}.")
            continue
        most = ", the largest share of all layers" if np.isfinite(end).sum() > 1 else ""
        layer = _layer_name(case, worst)
        sentences.append(f"At the end {_short_percent(end[worst])} of the {noun} of layer {layer} are {name}{most}.")
    over_set = by_layer.get("dead_over_set")
    if over_set is not None and np.isfinite(over_set).any():
        most_dead = float(np.nanmax(_last(over_set)))
        dead = f"up to {_short_percent(most_dead)} of the units of a layer are" if most_dead else "no unit is"
        sentences.append(f"Over all training rows (diamonds) {dead} dead.")
    sentences.append("A unit is dead if its derivative is 0 for every sample of the batch: it learns nothing from it.")
    if "saturated" in by_layer and np.isfinite(by_layer["saturated"]).any():
        sentences.append("An output is saturated if its derivative is below 5 % of the activation's largest.")
    return " ".join(sentences)


def _ratios(case: _Case) -> str:
    ratios = case.observations["update_ratio"]
    known = ratios[np.isfinite(ratios) & (ratios > 0)]
    low, high = probes.HEALTHY_RATIOS
    below = _short_percent(float(np.mean(known < low)))
    above = _short_percent(float(np.mean(known > high)))
    return (
        f"The norm of an update is {_short(np.median(known))} times that of the weights of its layer (median); {below} "
        f"of the updates are below the healthy band, {above} above it. Far below the band a layer hardly learns; far "
        "above it an update overwrites what the layer has learned."
    )


def _directions(case: _Case) -> str:
    sentences = []
    if (cosine := _whole_or_layers(case.observations, "gradient_cosine")) is not None:
        sentences.append(
            f"The cosine of successive gradients is {_short(np.median(cosine))} (median): at 1 the direction stays the "
            "same, at 0 it is noise, and below 0 the steps oscillate across a valley."
        )
    if (angle := _whole_or_layers(case.observations, "update_angle")) is not None:
        uphill = float(np.mean(angle > 90))
        end = f"; {_short_percent(uphill)} of the steps go uphill." if uphill else "."
        sentences.append(f"The angle between update and negative gradient is {_short(np.median(angle))}° (median){end}")
        if angle.max() < 1:
            sentences.append("0° is plain gradient descent.")
    return " ".join(sentences)


def _noise(case: _Case) -> str:
    scale = case.observations.whole.get("noise_scale")
    if scale is None or not _any_value(scale, True):
        ratios = case.observations["signal_to_noise"]
        known = ratios[np.isfinite(ratios) & (ratios > 0)]
        median = _short(float(np.median(known)))
        return f"The squared mean gradient is {median} times the variance of the gradient of one sample (median)."
    known = scale[np.isfinite(scale) & (scale > 0)]
    caption = (
        f"The noise scale is about {_short(known[0])} samples at the start and {_short(known[-1])} at the end: in "
    )
    caption += "a batch of this size the noise of the gradient is as large as its mean, and larger batches help little."
    if not case.batch_size:
        return caption
    ratio = float(np.median(known)) / case.batch_size
    caption += f" The batch size of this training, {number(case.batch_size)}, is "
    if ratio > _CLOSE:
        return f"{caption}far below it: the steps are mostly noise."
    if ratio < 1 / _CLOSE:
        return f"{caption}far above it: a smaller batch would give nearly as good steps."
    return f"{caption}close to it."


def _lengths(case: _Case) -> str:
    alpha = case.observations["step_length"]
    known = alpha[np.isfinite(alpha)]
    short = float(np.mean(known < 0))
    long = float(np.mean((known > 0) & (known <= 1)))
    climbs = float(np.mean(known > 1))
    return (
        f"The length of a step is {_short(np.median(known))} (median). {_short_percent(short)} of the steps end before "
        f"the minimum of the parabola along their direction, {_short_percent(long)} beyond it but below their start, "
        f"and {_short_percent(climbs)} above their start. If most lengths are below 0, the learning rate could be "
        "larger; if most are above 0, smaller."
    )


def _curvature(case: _Case) -> str:
    observations = case.observations.at(np.isfinite(case.observations["largest_eigenvalue"]))
    eigenvalue = observations["largest_eigenvalue"]
    threshold = 2 / observations["learning_rate"]
    first, last = _first_and_last(eigenvalue)
    caption = f"The largest eigenvalue goes from {_short(first)} to {_short(last)}"
    if np.isfinite(threshold).any():
        start, end = map(_short, _first_and_last(threshold))
        caption += (
            f", the edge of stability 2 / learning rate {f'is {start}' if start == end else f'from {start} to {end}'}. "
        )
        beyond = _share_of_time(eigenvalue > threshold)
        caption += f"It is above the edge in {beyond} of its observations" if beyond else "It is never above the edge"
    return f"{caption}. Above the edge, plain gradient descent oscillates along that direction ever more widely."


def _outputs(case: _Case) -> str:
    caption = ""
    size = case.observations.by_layer.get("output_rms")
    if size is not None and _any_value(size, True):
        end = _last(size)
        low = int(np.nanargmin(end))
        high = int(np.nanargmax(end))
        caption += (
            f"At the end the RMS of the outputs is between {_short(end[low])}, in layer {_layer_name(case, low)}, "
        )
        caption += f"and {_short(end[high])}, in layer {_layer_name(case, high)}. "
    rank = case.observations.by_layer.get("effective_rank")
    if rank is not None and _any_value(rank, True):
        end = _last(rank)
        low = int(np.nanargmin(end))
        caption += f"The smallest effective rank is {_short(end[low])}, in layer {_layer_name(case, low)}. "
    caption += "Outputs that shrink from layer to layer lose the differences between samples; "
    return f"{caption}outputs that grow saturate the layers after them."


def _norms(case: _Case) -> str:
    caption = ""
    weights = case.observations.by_layer.get("weight_norm")
    distance = case.observations.by_layer.get("distance")
    if weights is not None and distance is not None and _any_value(weights, True):
        with np.errstate(all="ignore"):
            moved = _last(distance) / _first(weights)
        moved = np.where(np.isfinite(moved), moved, np.nan)
        if np.isfinite(moved).any():
            most = int(np.nanargmax(moved))
            caption += f"The weights of layer {_layer_name(case, most)} moved the farthest: "
            caption += f"{_short(moved[most])} times their initial norm. "
    return f"{caption}A gradient that stays small while the loss is large shows a plateau."


_CHARTS = (
    _ChartKind(
        "delta by layer",
        ("delta_rms",),
        lambda case: probes.gradient_ribbon(case.observations, case.expected),
        _delta,
        reason_if_empty="delta is 0 or not finite at every layer",
        wide=True,
    ),
    _ChartKind(
        "histograms of outputs",
        ("output_histogram",),
        lambda case: probes.histograms_over_time(case.observations, "output"),
        _outputs_histogram,
        preset="standard",
        wide=True,
    ),
    _ChartKind(
        "histograms of delta",
        ("delta_histogram",),
        lambda case: probes.histograms_over_time(case.observations, "delta"),
        _delta_histogram,
        preset="standard",
        reason_if_empty="delta is 0 or not finite at every layer",
        wide=True,
    ),
    _ChartKind(
        "dead and saturated units",
        ("dead", "saturated"),
        lambda case: probes.dead_units(case.observations),
        _units,
        reason_if_empty="no unit can die or saturate, because the derivative of no activation comes near 0",
        positive=False,
    ),
    _ChartKind(
        "size of the updates",
        ("update_ratio",),
        lambda case: probes.update_ratios(case.observations),
        _ratios,
        reason_if_empty="no update changed a weight",
    ),
    _ChartKind(
        "directions of gradient and update",
        ("gradient_cosine", "update_angle"),
        lambda case: probes.gradient_directions(case.observations),
        _directions,
        preset="standard",
        reason_if_empty="two observations with a gradient other than 0 are needed",
        positive=False,
    ),
    _ChartKind(
        "noise of the gradient",
        ("signal_to_noise", "noise_scale"),
        lambda case: probes.gradient_noise(case.observations, case.batch_size),
        _noise,
        preset="standard",
        reason_if_empty="it is computed for dense layers only, on batches of two samples or more",
    ),
    _ChartKind(
        "lengths of the steps",
        ("step_length",),
        lambda case: probes.step_lengths(case.observations),
        _lengths,
        preset="standard",
        reason_if_empty="along no step was the loss a parabola with a minimum",
        positive=False,
    ),
    _ChartKind(
        "sharpness",
        ("largest_eigenvalue",),
        lambda case: probes.sharpness(case.observations),
        _curvature,
        preset="full",
        reason_if_empty="no positive curvature was recorded",
    ),
    _ChartKind(
        "outputs by layer",
        ("output_rms", "output_deviation", "effective_rank"),
        lambda case: probes.outputs_over_time(case.observations),
        _outputs,
        reason_if_empty="every output is 0 or not finite",
    ),
    _ChartKind(
        "gradient and weights by layer",
        ("gradient_norm", "weight_norm", "distance"),
        lambda case: probes.norms_over_time(case.observations),
        _norms,
        reason_if_empty="no layer has weights",
    ),
)


def _layer_name(case: _Case, layer: int) -> str:
    """The name of a layer in a sentence: `3: dense 8` becomes `3 (dense 8)`."""
    place, _, words = case.observations.layers[layer].partition(": ")
    return f"{place} ({words})" if words else place


def _first(values: np.ndarray) -> np.ndarray:
    """The first finite number of each column (n, ...); NaN where there is none."""
    return _last(values[::-1])


def _last(values: np.ndarray) -> np.ndarray:
    """The last finite number of each column (n, ...); NaN where there is none."""
    known = np.isfinite(values)
    place = len(values) - 1 - known[::-1].argmax(axis=0)
    return np.where(known.any(axis=0), np.take_along_axis(values, place[None], axis=0)[0], np.nan)


def _first_and_last(values: np.ndarray) -> tuple[float, float]:
    return float(_first(values)), float(_last(values))


def _share_of_time(condition: np.ndarray) -> str:
    """The percentage of observations in which a condition (n, ...) holds for any layer; empty text for 0 %."""
    share = float(np.mean(condition.reshape(len(condition), -1).any(axis=1)))
    return _short_percent(share) if share else ""


def _whole_or_layers(observations: Observations, name: str) -> np.ndarray | None:
    """The finite numbers of a quantity for the whole network, else for its layers; None without any."""
    for kind in (observations.whole, observations.by_layer):
        known = kind[name][np.isfinite(kind[name])] if name in kind else np.array([])
        if known.size:
            return known
    return None


def _short(value: float) -> str:
    return number(value, digits=2)


def _short_percent(share: float) -> str:
    return percent(share, digits=2)
