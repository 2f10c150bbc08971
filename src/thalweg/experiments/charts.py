"""Charts of a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from ..pages.blocks import Chart
from ..pages.figures import (
    LevelCurve,
    arm_curves,
    arm_measures,
    arm_panels,
    heat_map,
    level_curves,
    paired_differences,
    parallel_coordinates,
)
from ..pages.numbers import count_noun, interval, measure_name, number
from ..parts.metrics import larger_is_better
from .experiment import Experiment
from .ranking import ArmResult, Ranking
from .results import TrialResult
from .variation import Arm, Axis, LogUniformRange, Variation, contenders_of

# Curves of more arms than this cannot be distinguished in one chart: each arm has a chart of its own then.
_MOST_CURVES = 20
# Levels of an axis that make a curve.
_FEWEST_LEVELS = 3
# Arms that a chart by arm has room for.
_MOST_ARMS = 30
# An axis of positive numbers that spans more than this many powers of ten is logarithmic.
_LINEAR_DECADES = 1.5

ResultsByArm: TypeAlias = Mapping[str, Sequence[TrialResult | None]]
"""The results of each arm by seed, None where a trial could not run."""


def charts_of(experiment: Experiment, ranking: Ranking, results: ResultsByArm) -> list[Chart]:
    """The charts that suit the experiment; none where no trial has finished."""
    if not any(np.isfinite(arm.values).any() for arm in ranking.arms):
        return []
    return [
        *_heat_map(experiment, ranking),
        *_parallel_coordinates(experiment, ranking),
        *_levels(experiment, ranking),
        _measures(ranking),
        *_differences(ranking),
        *_curves(ranking, results),
    ]


def _measures(ranking: Ranking) -> Chart:
    shown = _shown(ranking)
    figure = arm_measures(
        {arm.label: arm.values for arm in shown},
        {arm.label: arm.interval for arm in shown},
        ranking.measure,
        best=ranking.best.label,
        diverged={arm.label: arm.diverged for arm in shown if arm.diverged},
    )
    means = [arm.mean for arm in ranking.arms if math.isfinite(arm.mean)]
    ends = interval(ranking.measure, min(means), max(means))
    return Chart(figure, f"The means of the arms range from {ends}{_selection(ranking)}. Each dot is one seed.")


def _differences(ranking: Ranking) -> list[Chart]:
    compared = [arm for arm in ranking.arms if arm.difference is not None]
    if not compared:
        return []
    base = next(arm for arm in ranking.arms if arm.label == ranking.baseline)
    differences = {arm.label: arm.difference for arm in _shown(ranking) if arm.difference is not None}
    values = {arm.label: arm.values - base.values for arm in ranking.arms}
    figure = paired_differences(
        {label: values[label] for label in differences},
        {label: (found.low, found.high) for label, found in differences.items()},
        ranking.measure,
        base.label,
        higher_is_better=larger_is_better(ranking.measure),
    )
    if ranking.seeds == 1:
        return [Chart(figure, f"Each arm and the baseline make one pair{_selection(ranking)}.")]
    better, unclear, worse = (sum(arm.better is verdict for arm in compared) for verdict in (True, None, False))
    counts = f"better than the baseline: {better}, worse: {worse}, not decided: {unclear}"
    return [Chart(figure, f"Of {count_noun(len(compared), 'arm')} {counts}{_selection(ranking)}.")]


def _shown(ranking: Ranking) -> list[ArmResult]:
    """The arms that a chart has room for: the best ones and the baseline, in the order of the experiment."""
    labels = {arm.label for arm in ranking.ranked[:_MOST_ARMS]} | {ranking.baseline}
    return [arm for arm in ranking.arms if arm.label in labels]


def _selection(ranking: Ranking) -> str:
    if len(ranking.arms) <= _MOST_ARMS:
        return ""
    return f"; the chart shows the best {_MOST_ARMS} and the baseline"


def _curves(ranking: Ranking, results: ResultsByArm) -> list[Chart]:
    labels = [arm.label for arm in _shown(ranking)]
    charts = []
    for measure in dict.fromkeys((ranking.measure, "loss")):
        curves = {label: _histories(results[label], measure) for label in labels}
        curves = {label: curve for label, curve in curves.items() if np.isfinite(curve).any()}
        if not curves:
            continue
        log = _spans_decades(np.concatenate([curve.ravel() for curve in curves.values()]))
        rows = "validation rows" if measure.startswith("validation") else "training rows as they were processed"
        over = f"{measure_name(measure)} over the {rows}, after each epoch{_selection(ranking)}"
        caption = f"The {over}." if ranking.seeds == 1 else f"The mean over the seeds of the {over}."
        if len(curves) > _MOST_CURVES:
            charts.append(Chart(arm_panels(curves, measure, ranking.baseline, log=log), caption))
        else:
            charts.append(Chart(arm_curves(curves, measure, log=log), caption))
    return charts


def _levels(experiment: Experiment, ranking: Ranking) -> list[Chart]:
    """The measure over the levels of each numerical axis, where every combination of settings was tried."""
    if not all(axis.settings for axis in experiment.axes):
        return []
    charts = []
    for axis in experiment.axes:
        lines = _level_lines(experiment, axis, ranking)
        if len(axis.settings) < _FEWEST_LEVELS or not 0 < len(lines) <= _MOST_CURVES:
            continue
        figure = level_curves(lines, axis.name, ranking.measure)
        seeds = f"mean over {count_noun(ranking.seeds, 'seed')} of the " if ranking.seeds > 1 else ""
        others = ", a line for each combination of the other settings" if len(experiment.axes) > 1 else ""
        charts.append(Chart(figure, f"The {seeds}{measure_name(ranking.measure)} by {axis.name}{others}."))
    return charts


def _level_lines(experiment: Experiment, axis: Axis, ranking: Ranking) -> dict[str, LevelCurve]:
    """The measure over the levels of an axis, a line for each combination of the other settings.

    Empty where a level is a word.
    """
    place = experiment.axes.index(axis)
    values = {arm.label: arm.values for arm in ranking.arms}
    lines = {}
    for label, arms in contenders_of(Variation(experiment.axes, experiment.arms), axis).items():
        levels = {arm.label: arm.settings[place].value for arm in arms}
        numbers = {arm: value for arm, value in levels.items() if not isinstance(value, str)}
        if len(numbers) < len(levels):
            return {}
        ascending = sorted(numbers, key=lambda arm: numbers[arm])
        line = np.array([numbers[arm] for arm in ascending]), np.stack([values[arm] for arm in ascending])
        lines[label or measure_name(ranking.measure)] = LevelCurve(*line, chosen=None)
    return lines


def level_charts(experiment: Experiment, axis: Axis, ranking: Ranking, chosen: Mapping[str, Arm]) -> list[Chart]:
    """The measure over the levels of an axis, one line a contender; none for levels that are words.

    Args:
        experiment: the experiment.
        axis: the axis.
        ranking: all arms, over the seeds that the levels were chosen with.
        chosen: the arm with the best level of each contender that has one.
    """
    place = experiment.axes.index(axis)
    ranks = {arm.label: rank for rank, arm in enumerate(ranking.ranked)}
    every = _level_lines(experiment, axis, ranking)
    contenders = sorted(every, key=lambda label: ranks[chosen[label].label] if label in chosen else len(ranks))
    if not contenders:
        return []
    lines = {
        label: every[label]._replace(chosen=float(chosen[label].settings[place].value))
        if label in chosen
        else every[label]
        for label in contenders[:_MOST_CURVES]
    }
    selection = "" if len(lines) == len(contenders) else f" The best {len(lines)} of {len(contenders)} arms are shown."
    best = "; ".join(f"{label} at {number(line.chosen)}" for label, line in lines.items() if line.chosen is not None)
    caption = f"The mean over the {count_noun(ranking.seeds, 'seed')} of the choice. Chosen: {best}.{selection}"
    return [Chart(level_curves(lines, axis.name, ranking.measure), caption)]


def _histories(results: Sequence[TrialResult | None], measure: str) -> np.ndarray:
    """The measure after each epoch: (seeds, epochs), NaN where a trial has no such epoch."""
    longest = max((len(result.history) for result in results if result), default=0)
    curves = np.full((len(results), longest), np.nan)
    for curve, result in zip(curves, results, strict=True):
        if result:
            curve[: len(result.history)] = [record.get(measure, math.nan) for record in result.history]
    return curves


def _spans_decades(values: np.ndarray) -> bool:
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and math.log10(values.max() / values.min()) > _LINEAR_DECADES)


def _heat_map(experiment: Experiment, ranking: Ranking) -> list[Chart]:
    """The measure over two axes, where each combination of them was tried."""
    axes = experiment.axes
    if len(axes) != 2 or not all(axis.settings for axis in axes):
        return []
    rows, columns = ([setting.label for setting in axis.settings] for axis in axes)
    values = np.full((len(rows), len(columns)), np.nan)
    diverged = np.full((len(rows), len(columns)), np.nan)
    for arm, result in zip(experiment.arms, ranking.arms, strict=True):
        cell = tuple(axis.settings.index(setting) for axis, setting in zip(axes, arm.settings, strict=True))
        values[cell] = result.mean
        diverged[cell] = result.diverged
    if np.isnan(diverged).any():
        return []
    figure = heat_map(
        values,
        rows,
        columns,
        axes[0].name,
        axes[1].name,
        ranking.measure,
        higher_is_better=larger_is_better(ranking.measure),
        diverged=diverged > 0,
    )
    measure = measure_name(ranking.measure)
    return [Chart(figure, f"Each cell is the mean {measure} over the seeds; the best arm is {ranking.best.label}.")]


def _parallel_coordinates(experiment: Experiment, ranking: Ranking) -> list[Chart]:
    """The measure over three or more axes, or over axes that values were drawn from."""
    axes = experiment.axes
    if len(axes) < 3 and not any(axis.range for axis in axes):
        return []
    values = {axis.name: [arm.settings[place].value for arm in experiment.arms] for place, axis in enumerate(axes)}
    # A range has the scale that values were drawn on.
    log_axes = [
        axis.name
        for axis in axes
        if not isinstance(values[axis.name][0], str)
        and (
            isinstance(axis.range, LogUniformRange)
            if axis.range
            else _spans_decades(np.array(values[axis.name], float))
        )
    ]
    figure = parallel_coordinates(
        values,
        ranking.measure,
        np.array([arm.mean for arm in ranking.arms]),
        log_axes=log_axes,
        higher_is_better=larger_is_better(ranking.measure),
    )
    measure = measure_name(ranking.measure)
    return [Chart(figure, f"Each line is an arm: its value on every axis, and at the end its mean {measure}.")]
