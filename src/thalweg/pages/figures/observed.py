"""Which charts the observations of a training give, what each of them shows in numbers, and why others are left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from ...probes.records import Observations
from . import probes

_MOST_OBSERVATIONS = 150


class Told(NamedTuple):
    """A figure with its caption; a wide one has no room beside others."""

    figure: go.Figure
    caption: str
    wide: bool = False


class Charts(NamedTuple):
    """All that observations have to show, and in a line each what they have not, and why."""

    charts: tuple[Told, ...]
    left_out: tuple[str, ...]


class _Case(NamedTuple):
    """What is to be told of a training; all charts are made from such a case."""

    seen: Observations
    expected: np.ndarray | None
    batch_size: int


class _Chart(NamedTuple):
    """A chart in words, the quantities of which it shows those that are there, how it is drawn (from fewer
    observations) and told, the preset that records it, and why it may have nothing to show.
    """

    words: str
    quantities: tuple[str, ...]
    drawn: Callable[[_Case], go.Figure]
    told: Callable[[_Case], str]
    preset: str = "light"
    nothing: str = "no finite number was seen"
    positive: bool = True
    wide: bool = False


def charts_of(observations: Observations, expected: np.ndarray | None = None, batch_size: int = 0) -> Charts:
    """The charts that apply to these observations, each with what is seen in it, and why the others do not.

    `expected` (layers,) is the part of the last layer's delta that theory predicts for each layer at the start, NaN
    where it has none; `batch_size` is set beside the noise of the gradient. At most about 150 observations are drawn.

    >>> records = [{"step": 0, "whole": {}, "layers": {"update_ratio": [0.001, 0.2]}}]
    >>> shown = charts_of(Observations.of(records, ("1: dense 8", "2: dense 2"), per_epoch=10))
    >>> [told.figure.layout.title.text for told in shown.charts], shown.left_out[0][:38]
    (['Size of the updates'], 'Not recorded: delta by layer, dead and')
    """
    case = _Case(observations, expected, batch_size)
    few = case._replace(seen=_thinned(observations))
    charts = []
    left_out = []
    missing: dict[str, list[str]] = {}
    for chart in _CHARTS:
        recorded = [name for name in chart.quantities if name in observations.whole | observations.by_layer]
        if not recorded:
            missing.setdefault(chart.preset, []).append(chart.words)
        elif not any(_applies(observations, name, chart.positive) for name in recorded):
            left_out.append(f"{chart.words[:1].upper()}{chart.words[1:]}: {chart.nothing}.")
        else:
            charts.append(Told(chart.drawn(few), chart.told(case), chart.wide))
    for preset, words in missing.items():
        left_out.append(f'Not recorded: {", ".join(words)}; probes = "{preset}" does.')
    return Charts(tuple(charts), (*left_out, *_remarks(observations)))


def _thinned(observations: Observations) -> Observations:
    """About 150 of the observations, evenly, with the first and the last, and with those of the whole training set."""
    count = len(observations)
    if count <= _MOST_OBSERVATIONS:
        return observations
    kept = np.linspace(0, count - 1, _MOST_OBSERVATIONS).round().astype(int)
    over_set = observations.by_layer.get("dead_over_set")
    if over_set is not None and np.isfinite(over_set).any(axis=1).sum() < _MOST_OBSERVATIONS:
        kept = np.union1d(kept, np.flatnonzero(np.isfinite(over_set).any(axis=1)))
    return observations.at(kept)


def _applies(observations: Observations, name: str, positive: bool) -> bool:
    """Whether there is a number to be drawn."""
    if name.endswith("_histogram"):
        return bool(probes.histogram_layers(observations, name.removesuffix("_histogram")).size)
    return _anything(observations[name], positive)


def _anything(values: np.ndarray, positive: bool) -> bool:
    return bool((np.isfinite(values) & ((values > 0) | (not positive))).any())


def _remarks(observations: Observations) -> list[str]:
    """What is missing in a chart that is drawn."""
    ratios, norms = (observations.by_layer.get(name) for name in ("signal_to_noise", "gradient_norm"))
    if ratios is None or norms is None or not np.isfinite(ratios).any():
        return []
    learns, known = (np.isfinite(values).any(axis=0) for values in (norms, ratios))
    missing = [name for name, is_missing in zip(observations.layers, learns & ~known, strict=True) if is_missing]
    # What is inside of a residual block stands behind it.
    missing = [name for name in missing if " residual" not in name]
    if not missing:
        return []
    return [f"The noise of the gradient is known of dense layers only; {', '.join(missing)}: left out."]


# --- what is seen, in numbers


def _delta(case: _Case) -> str:
    shown, _ = probes.parts_of_delta(case.seen)
    deltas = case.seen["delta_rms"][:, shown]
    if len(shown) < 2:
        return "There is one layer with a delta: nothing is lost or gained on its way."
    # Other than in the chart a delta of exactly 0 counts.
    with np.errstate(all="ignore"):
        parts = np.where(deltas[:, -1:] > 0, deltas / deltas[:, -1:], np.nan)
    first, last = _first_and_last(parts[:, 0])
    predicted = probes.predicted_parts(shown, case.expected)
    vanishing, exploding = probes.zones(predicted)
    told = f"Delta of layer {_named(case, shown[0])} is {_number(first)} times that of the last at the start"
    told += f", {_number(last)} at the end"
    if case.expected is None or not np.isfinite(case.expected[shown]).any():
        told += "; no theory predicts the start of this network, so 1 stands for it (dashed). "
    elif np.isfinite(predicted[0]):
        told += f"; theory predicts {_number(predicted[0])} for the start (dashed). "
    else:
        told += "; theory predicts the start of other layers only (dashed). "
    small = _share_of_time(parts < vanishing)
    large = _share_of_time(parts > exploding)
    if small:
        told += f"In {small} of the observations a layer gets less than {_number(vanishing)}: its delta vanishes. "
    if large:
        told += f"In {large} of the observations a layer gets more than {_number(exploding)}: its delta explodes. "
    if none := _share_of_time(deltas == 0):
        told += f"In {none} a delta is exactly 0, a gap in its line: there no gradient passes. "
    if not small and not large:
        told += f"No layer leaves the room between {_number(vanishing)} and {_number(exploding)}. "
    return told + "The closer the lines, the more alike is the pace at which the layers learn."


def _outputs_histogram(case: _Case) -> str:
    return (
        f"{_which(case, 'output')} A column is the histogram of a layer's outputs on one batch. A column "
        "that piles up at its ends shows saturation, one that shrinks to a line a layer that says the same of "
        "all samples."
    )


def _delta_histogram(case: _Case) -> str:
    return (
        f"{_which(case, 'delta')} All panels have one scale; a step down of 1 is a tenth of the delta. Not drawn "
        "are deltas of exactly 0, and those more than twelve decades below the largest."
    )


def _which(case: _Case, quantity: str) -> str:
    shown = probes.histogram_layers(case.seen, quantity)
    there = np.flatnonzero(np.isfinite(case.seen[f"{quantity}_histogram"]).all(axis=2).any(axis=0))
    kind = "layers"
    if quantity == "delta":
        there = np.intersect1d(there, probes.carriers(case.seen.layers))
        kind = "layers with weights"
    return f"Shown: {len(shown)} of {len(there)} {kind}."


def _units(case: _Case) -> str:
    told = ""
    for name, parts in (("dead", "units"), ("saturated", "outputs")):
        values = case.seen.by_layer.get(name)
        if values is None or not np.isfinite(values).any():
            continue
        end = _last(values)
        worst = int(np.nanargmax(end))
        if end[worst] == 0:
            told += f"At the end no {parts} are {name}. "
            continue
        told += f"At the end {_percent(end[worst])} of the {parts} of layer {_named(case, worst)} are {name}"
        told += ", the most of all layers. " if np.isfinite(end).sum() > 1 else ". "
    over_set = case.seen.by_layer.get("dead_over_set")
    if over_set is not None and np.isfinite(over_set).any():
        most = float(np.nanmax(_last(over_set)))
        dead = f"up to {_percent(most)} of a layer are dead" if most else "none is dead"
        told += f"On all training rows (diamonds) {dead}. "
    told += "Dead: the derivative is 0 for every sample of the batch, so that the unit does not learn from it. "
    if "saturated" in case.seen.by_layer and np.isfinite(case.seen.by_layer["saturated"]).any():
        told += "Saturated: the derivative of the activation is below 5 % of its largest."
    return told.rstrip()


def _ratios(case: _Case) -> str:
    ratios = case.seen["update_ratio"]
    known = ratios[np.isfinite(ratios) & (ratios > 0)]
    low, high = probes.HEALTHY
    below = _percent(float(np.mean(known < low)))
    above = _percent(float(np.mean(known > high)))
    return (
        f"A step changes the weights of a layer by {_number(np.median(known))} of their size (median); {below} of "
        f"all are below the band, {above} above it. Far below, a layer hardly learns; far above, it forgets what it "
        "knew."
    )


def _directions(case: _Case) -> str:
    told = ""
    if (cosine := _whole_or_layers(case.seen, "gradient_cosine")) is not None:
        told += f"The median cosine of successive gradients is {_number(np.median(cosine))}: "
        told += "1 keeps its direction, 0 is noise, and below 0 the steps go to and fro across a valley. "
    if (angle := _whole_or_layers(case.seen, "update_angle")) is not None:
        told += f"The update is {_number(np.median(angle))}° off steepest descent (median)"
        uphill = float(np.mean(angle > 90))
        told += f"; {_percent(uphill)} of the steps went uphill." if uphill else "."
        if angle.max() < 1:
            told += " 0° is plain gradient descent."
    return told.rstrip()


def _noise(case: _Case) -> str:
    scale = case.seen.whole.get("noise_scale")
    if scale is None or not _anything(scale, True):
        ratios = case.seen["signal_to_noise"]
        known = ratios[np.isfinite(ratios) & (ratios > 0)]
        part = _number(float(np.median(known)))
        return f"The square of the mean gradient is {part} times the variance of one sample's (median)."
    known = scale[np.isfinite(scale) & (scale > 0)]
    first = _number(known[0])
    last = _number(known[-1])
    told = f"From a batch of about {first} at the start and {last} at the end, larger ones help little"
    if not case.batch_size:
        return f"{told}: there the mean of the gradient is as large as its noise."
    ratio = float(np.median(known)) / case.batch_size
    if ratio > 3:
        return f"{told}. This training took {case.batch_size:,}: its steps are mostly noise."
    if ratio < 1 / 3:
        return f"{told}. This training took {case.batch_size:,}: a smaller batch would do nearly as well for a step."
    return f"{told}. This training took {case.batch_size:,}, near to it."


def _lengths(case: _Case) -> str:
    alpha = case.seen["step_length"]
    known = alpha[np.isfinite(alpha)]
    short, long, climbs = (float(np.mean(part)) for part in (known < 0, (known > 0) & (known <= 1), known > 1))
    return (
        f"The median length is {_number(np.median(known))}: {_percent(short)} of the steps ended before the lowest "
        f"point of the parabola along their way, {_percent(long)} beyond it but lower than they began, "
        f"{_percent(climbs)} higher. "
        "Below 0 on the whole, the rate could be larger; above 0, smaller."
    )


def _curvature(case: _Case) -> str:
    seen = case.seen.at(np.isfinite(case.seen["largest_eigenvalue"]))
    eigenvalue = seen["largest_eigenvalue"]
    edge = 2 / seen["learning_rate"]
    first, last = _first_and_last(eigenvalue)
    told = f"The largest eigenvalue goes from {_number(first)} to {_number(last)}"
    if np.isfinite(edge).any():
        beyond = _share_of_time(eigenvalue > edge)
        start, end = map(_number, _first_and_last(edge))
        told += f", the edge 2/rate {f'is {start}' if start == end else f'goes from {start} to {end}'}; "
        told += f"it is beyond the edge in {beyond} of the looks at it" if beyond else "it never passes the edge"
    return f"{told}. Beyond the edge plain gradient descent swings to and fro ever wider along that direction."


def _outputs(case: _Case) -> str:
    told = ""
    if (size := case.seen.by_layer.get("output_rms")) is not None and _anything(size, True):
        end = _last(size)
        low = int(np.nanargmin(end))
        high = int(np.nanargmax(end))
        told += f"At the end the rms of the outputs is between {_number(end[low])}, layer {_named(case, low)}, "
        told += f"and {_number(end[high])}, layer {_named(case, high)}. "
    if (rank := case.seen.by_layer.get("effective_rank")) is not None and _anything(rank, True):
        end = _last(rank)
        low = int(np.nanargmin(end))
        told += f"The least effective rank is {_number(end[low])}, that of layer {_named(case, low)}. "
    told += "Signals that shrink from layer to layer lose what tells the samples apart"
    return f"{told}; those that grow saturate what follows."


def _norms(case: _Case) -> str:
    told = ""
    weights = case.seen.by_layer.get("weight_norm")
    distance = case.seen.by_layer.get("distance")
    if weights is not None and distance is not None and _anything(weights, True):
        with np.errstate(all="ignore"):
            moved = _last(distance) / _first(weights)
        moved = np.where(np.isfinite(moved), moved, np.nan)
        if np.isfinite(moved).any():
            most = int(np.nanargmax(moved))
            told += f"The weights of layer {_named(case, most)} moved the farthest, "
            told += f"{_number(moved[most])} times their size at the start. "
    return f"{told}A gradient that stays small while the loss is large tells of a plateau."


_CHARTS = (
    _Chart(
        "delta by layer",
        ("delta_rms",),
        lambda case: probes.gradient_ribbon(case.seen, case.expected),
        _delta,
        nothing="delta was 0 or not finite behind every layer",
        wide=True,
    ),
    _Chart(
        "histograms of outputs",
        ("output_histogram",),
        lambda case: probes.histograms_over_time(case.seen, "output"),
        _outputs_histogram,
        preset="standard",
        wide=True,
    ),
    _Chart(
        "histograms of delta",
        ("delta_histogram",),
        lambda case: probes.histograms_over_time(case.seen, "delta"),
        _delta_histogram,
        preset="standard",
        nothing="delta was 0 or not finite behind every layer",
        wide=True,
    ),
    _Chart(
        "dead and saturated units",
        ("dead", "saturated"),
        lambda case: probes.dead_units(case.seen),
        _units,
        nothing="no unit here can die or saturate, for no activation has a derivative that is or comes near 0",
        positive=False,
    ),
    _Chart(
        "size of the updates",
        ("update_ratio",),
        lambda case: probes.update_ratios(case.seen),
        _ratios,
        nothing="no update changed a weight",
    ),
    _Chart(
        "directions of gradient and update",
        ("gradient_cosine", "update_angle"),
        lambda case: probes.gradient_directions(case.seen),
        _directions,
        preset="standard",
        nothing="they need two observations with a gradient that is not 0",
        positive=False,
    ),
    _Chart(
        "noise of the gradient",
        ("signal_to_noise", "noise_scale"),
        lambda case: probes.gradient_noise(case.seen, case.batch_size),
        _noise,
        preset="standard",
        nothing="it is exact for dense layers only, and needs a batch of two samples or more",
    ),
    _Chart(
        "lengths of the steps",
        ("step_length",),
        lambda case: probes.step_lengths(case.seen),
        _lengths,
        preset="standard",
        nothing="no step led along a parabola with a lowest point",
        positive=False,
    ),
    _Chart(
        "sharpness",
        ("largest_eigenvalue",),
        lambda case: probes.sharpness(case.seen),
        _curvature,
        preset="full",
        nothing="no positive curvature was seen",
    ),
    _Chart(
        "outputs by layer",
        ("output_rms", "output_deviation", "effective_rank"),
        lambda case: probes.outputs_over_time(case.seen),
        _outputs,
        nothing="every output was 0 or not finite",
    ),
    _Chart(
        "gradient and weights by layer",
        ("gradient_norm", "weight_norm", "distance"),
        lambda case: probes.norms_over_time(case.seen),
        _norms,
        nothing="no layer has weights",
    ),
)


def _named(case: _Case, layer: int) -> str:
    """`3: dense 8` as it stands in a sentence: `3 (dense 8)`."""
    number, _, words = case.seen.layers[layer].partition(": ")
    return f"{number} ({words})" if words else number


def _first(values: np.ndarray) -> np.ndarray:
    """The first finite number of each column (n, ...); NaN where there is none."""
    return _last(values[::-1])


def _last(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    place = len(values) - 1 - known[::-1].argmax(axis=0)
    return np.where(known.any(axis=0), np.take_along_axis(values, place[None], axis=0)[0], np.nan)


def _first_and_last(values: np.ndarray) -> tuple[float, float]:
    return float(_first(values)), float(_last(values))


def _share_of_time(where: np.ndarray) -> str:
    """In how many of the observations it is so for any layer, in per cent; nothing where it never is."""
    share = float(np.mean(where.reshape(len(where), -1).any(axis=1)))
    return _percent(share) if share else ""


def _whole_or_layers(observations: Observations, name: str) -> np.ndarray | None:
    """The finite numbers of the whole network; of its layers where there are none; None without any."""
    for kind in (observations.whole, observations.by_layer):
        known = kind[name][np.isfinite(kind[name])] if name in kind else np.array([])
        if known.size:
            return known
    return None


def _number(value: float) -> str:
    """Two digits; whole numbers up to a million in full."""
    short = float(f"{value:.2g}")
    return f"{short:,.0f}" if 10 <= abs(short) < 1e6 else f"{short:.2g}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g}\u202f%" if share < 0.995 else f"{100 * share:.0f}\u202f%"
