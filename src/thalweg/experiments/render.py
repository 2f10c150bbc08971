"""A comparison told: what the evidence supports, the charts and tables that show it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from ..core.intervals import Difference, bootstrap
from ..pages.blocks import Block, Chart, Heading, Suggestion, Table, Text
from ..pages.figures import arm_curves, arm_measures, heat_map, paired_differences, parallel_coordinates
from ..pages.numbers import is_share, measure_name
from ..pages.page import Page
from ..spec.toml import to_toml
from .comparison import ENOUGH_SEEDS, ArmResult, Comparison
from .variation import LogUniform

# Curves of more arms than this can not be told apart: the best ones and the baseline are drawn.
_MOST_CURVES = 8
# Rows of the table of arms on a terminal, and on a page; arms that a chart of arms has room for.
_MOST_ROWS, _MOST_LISTED, _MOST_ARMS = 12, 100, 30
# Names of arms that a sentence lists.
_MOST_NAMED = 4
# An axis of numbers that spans more than so many decades is drawn in powers of ten.
_DECADES = 1.5
_MANY_ARMS = 10


def worksheet_of(found: Comparison) -> Page:
    """The comparison as a worksheet."""
    experiment = found.experiment
    blocks: list[Block] = [
        Heading("What the evidence says"),
        Text(evidence_of(found)),
        _arms_table(found, _MOST_LISTED),
    ]
    if found.effects:
        blocks += [Heading("What each axis does"), *_effects(found)]
    if charts := charts_of(found):
        blocks += [Heading("Charts"), *charts]
    if lost := _lost_table(found):
        blocks += [Heading("What did not come to an end"), lost]
    if charts:
        blocks += [Heading(f"The best arm: {found.best.label}"), *_best(found)]
    settings = (
        ("arms", str(len(experiment.arms))),
        ("seeds", ", ".join(map(str, experiment.seeds.numbers))),
        ("trials", f"{len(found.results)} of {len(found.trials)}"),
        ("measure", f"{_words(found)}, {'higher' if found.higher_is_better else 'lower'} is better"),
        ("baseline", experiment.baseline.label),
        *(("axis", f"{axis.name}{f' ({axis.path})' if axis.path else ''}") for axis in experiment.axes),
    )
    return dataclasses.replace(summary_of(found), blocks=tuple(blocks), settings=settings)


def summary_of(found: Comparison) -> Page:
    """The evidence and the best arms: what a terminal shows."""
    experiment, trials = found.experiment, len(found.trials)
    arms, seeds = len(experiment.arms), experiment.seeds.count
    summary = f"{_counted(arms, 'arm')}, {_counted(seeds, 'seed')} each: {_counted(trials, 'trial')}."
    if math.isfinite(found.best.mean):
        summary += f" The best: {found.best.label}."
    blocks = Text(evidence_of(found)), _arms_table(found, _MOST_ROWS)
    return Page(f"Experiment {experiment.name}", blocks, summary)


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _words(found: Comparison) -> str:
    return measure_name(found.measure)


def _value(found: Comparison, value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.2%}" if is_share(found.measure) else f"{value:.4g}"


def _points(found: Comparison, difference: float) -> str:
    """A difference with its sign; of shares in percentage points."""
    return f"{100 * difference:+.2f}" if is_share(found.measure) else f"{difference:+.3g}"


def _span(found: Comparison, interval: tuple[float, float], told: Callable[[Comparison, float], str] = _value) -> str:
    low, high = interval
    return f"{told(found, low).removesuffix('%')} to {told(found, high)}"


def evidence_of(found: Comparison) -> str:
    """What the evidence supports and what it does not, in plain sentences."""
    best, base, seeds = found.best, found.experiment.baseline.label, found.experiment.seeds.count
    if best.diverged == seeds:
        fix = "smaller learning rates are the usual remedy"
        return f"Every trial of every arm diverged or could not run: there is nothing to compare; {fix}."
    sentences = [
        f"Over {_counted(seeds, 'seed')}, `{best.label}` has the best mean {_words(found)}:"
        f" {_value(found, best.mean)}{_interval(found, best.interval)}."
    ]
    equals = [arm for arm in found.arms if (arm.mean, arm.diverged) == (best.mean, best.diverged)]
    if alike := len(equals) - 1:
        sentences.append(f"{alike} more {'has' if alike == 1 else 'have'} the same; its validation loss is the least.")
    if best.difference is not None:
        sentences.append(_against_baseline(found, best, base))
    sentences += ["One pair says nothing of chance."] if seeds == 1 else _against_others(found)
    if seeds < ENOUGH_SEEDS:
        sentences.append(f"That is a hint, no proof: take {ENOUGH_SEEDS} seeds or more.")
    elif seeds < 2 * ENOUGH_SEEDS:
        sentences.append(
            f"Intervals of {seeds} seeds are too narrow: they miss the true value in 10 to 16 of 100 cases, not in 5."
        )
    if len(found.arms) >= _MANY_ARMS:
        sentences.append(
            f"The best of {len(found.arms)} arms is the best partly by luck: on new rows it will do a little worse."
        )
    if diverged := [arm.label for arm in found.arms if arm.diverged]:
        sentences.append(f"Trials of {_listed(diverged)} diverged or could not run.")
    return " ".join(sentences)


def _interval(
    found: Comparison, interval: tuple[float, float], told: Callable[[Comparison, float], str] = _value
) -> str:
    return "" if math.isnan(interval[0]) else f" (95 % interval {_span(found, interval, told)})"


def _against_baseline(found: Comparison, best: ArmResult, base: str) -> str:
    assert best.difference
    mean, *ends = best.difference
    unit = " percentage points" if is_share(found.measure) else ""
    by = f"{_points(found, mean)}{unit}{_interval(found, (ends[0], ends[1]), _points)}"
    told = f"It differs by {by} from the baseline `{base}`, paired by seed"
    if math.isnan(ends[0]):
        return f"{told}." if best.values.size == 1 else f"{told}; one pair says nothing of chance."
    if best.better:
        return f"{told}: better, for the interval leaves out 0."
    return f"{told}: the interval holds 0, so that the evidence supports no difference between the two."


def _against_others(found: Comparison) -> list[str]:
    """What pairs of seeds say of the best arm and the others."""
    sentences = []
    if rivals := found.rivals:
        sentences.append(
            f"The evidence does not tell it from {_listed(rivals)}: their intervals overlap, the paired"
            f" {'difference' if len(rivals) == 1 else 'differences'} to the best may be 0."
        )
    if unsteady := found.unsteady:
        does = "does better where it comes" if len(unsteady) == 1 else "do better where they come"
        sentences.append(f"{_listed(unsteady)} {does} to an end, but not every seed does.")
    others = len(found.arms) - 1
    if others and not rivals and not unsteady:
        which = "Every other arm" if found.comparable == others else "Every other arm that shares seeds with it"
        if found.comparable:
            sentences.append(f"{which} is worse: no interval of a paired difference to the best holds 0.")
    return sentences


def _listed(labels: Sequence[str]) -> str:
    named = [f"`{label}`" for label in labels[:_MOST_NAMED]]
    more = len(labels) - len(named)
    if more:
        return f"{', '.join(named)} and {more} more"
    return f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]


def _arms_table(found: Comparison, most: int) -> Table:
    """The arms, the best first; of more than `most` the best ones and the baseline."""
    baseline = found.experiment.baseline.label
    shown = [arm for place, arm in enumerate(found.ranked) if place < most or arm.label == baseline]
    lost = any(arm.diverged for arm in shown)
    rows = []
    for arm in shown:
        mean = _value(found, arm.mean) + _brackets(found, arm.interval)
        difference = "–"
        if arm.difference is not None:
            _, low, high = arm.difference
            difference = _points(found, arm.difference.mean) + _brackets(found, (low, high), _points)
        row = (arm.label, mean, difference, _verdict(found, arm))
        rows.append((*row, f"{arm.diverged} of {len(arm.values)}" if arm.diverged else "–") if lost else row)
    columns = ("arm", "mean", "minus baseline, points" if is_share(found.measure) else "minus baseline", "evidence")
    words = _words(found)
    some = "" if len(shown) == len(found.arms) else f" ({len(shown)} of {len(found.arms)} arms)"
    intervals = "" if found.experiment.seeds.count == 1 else ", with 95 % intervals"
    caption = f"{words[0].upper()}{words[1:]} at the end, by arm{intervals}; the best first{some}"
    return Table(caption, (*columns, "diverged") if lost else columns, rows)


def _effects(found: Comparison) -> list[Block]:
    """A table of the effects of each axis, and how to read it."""
    rows = []
    for effect in found.effects:
        mean, low, high = effect.difference
        contexts = effect.by_context[np.isfinite(effect.by_context)]
        rows.append(
            (
                effect.axis,
                f"{effect.setting} instead of {effect.against}",
                _points(found, mean) + _brackets(found, (low, high), _points),
                _span(found, (contexts.min(), contexts.max()), _points),
                _said(effect.better, effect.difference, found.experiment.seeds.count),
            )
        )
    unit = ", points" if is_share(found.measure) else ""
    words = _words(found)
    columns = ("axis", "setting", f"difference{unit}", "by combination", "evidence")
    caption = f"{words[0].upper()}{words[1:]}: a setting against that of the baseline, paired by seed"
    told = (
        "The mean over all combinations of the other axes, and the least and the largest among these: where they have"
        " different signs, what helps depends on the other axes."
    )
    return [Text(told), Table(caption, columns, rows)]


def _said(better: bool | None, difference: Difference, pairs: int) -> str:
    if math.isnan(difference.low):
        return "one pair"
    hint = "a hint of " if pairs < ENOUGH_SEEDS else ""
    return {True: f"{hint}better", False: f"{hint}worse", None: "no difference shown"}[better]


def _brackets(
    found: Comparison, interval: tuple[float, float], told: Callable[[Comparison, float], str] = _value
) -> str:
    return "" if math.isnan(interval[0]) else f" ({_span(found, interval, told)})"


def _verdict(found: Comparison, arm: ArmResult) -> str:
    if arm.difference is None:
        return "baseline" if arm.label == found.experiment.baseline.label else "–"
    return _said(arm.better, arm.difference, int(np.isfinite(arm.values).sum()))


def _lost_table(found: Comparison) -> Table | None:
    rows = [
        (trial.arm.label, trial.seed, str(found.failed.get(trial.key) or found.results[trial.key].diverged))
        for trial in found.trials
        if trial.key in found.failed or (trial.key in found.results and found.results[trial.key].diverged)
    ]
    return Table("What diverged, and when", ("arm", "seed", "what happened"), rows) if rows else None


def charts_of(found: Comparison) -> list[Chart]:
    """The charts that apply."""
    there = [arm for arm in found.arms if np.isfinite(arm.values).any()]
    if not there:
        return []
    return [*_plane(found), *_coordinates(found), _measures(found), *_differences(found), *_curves(found)]


def _measures(found: Comparison) -> Chart:
    shown = _shown(found)
    figure = arm_measures(
        {arm.label: arm.values for arm in shown},
        {arm.label: arm.interval for arm in shown},
        found.measure,
        best=found.best.label,
        diverged={arm.label: arm.diverged for arm in shown if arm.diverged},
    )
    means = [arm.mean for arm in found.arms if math.isfinite(arm.mean)]
    span = f"The arms' means go from {_value(found, min(means))} to {_value(found, max(means))}"
    return Chart(figure, f"{span}{_of_many(found, shown)}. A dot is one seed.")


def _differences(found: Comparison) -> list[Chart]:
    compared = [arm for arm in found.arms if arm.difference is not None]
    if not compared:
        return []
    shown = [arm for arm in _shown(found) if arm.difference is not None]
    base = next(arm for arm in found.arms if arm.label == found.experiment.baseline.label)
    figure = paired_differences(
        {arm.label: arm.values - base.values for arm in shown},
        {arm.label: (arm.difference.low, arm.difference.high) for arm in shown if arm.difference},
        found.measure,
        base.label,
        higher_is_better=found.higher_is_better,
    )
    if found.experiment.seeds.count == 1:
        return [Chart(figure, f"One pair of each arm and the baseline{_of_many(found, shown)}.")]
    better, unclear, worse = (sum(arm.better is verdict for arm in compared) for verdict in (True, None, False))
    counts = f"better than the baseline: {better}, worse: {worse}, no difference shown: {unclear}"
    return [Chart(figure, f"Of {_counted(len(compared), 'arm')} {counts}{_of_many(found, shown)}.")]


def _shown(found: Comparison) -> list[ArmResult]:
    """The arms that a chart has room for: the best ones and the baseline, in the order of the experiment."""
    labels = {arm.label for arm in found.ranked[:_MOST_ARMS]} | {found.experiment.baseline.label}
    return [arm for arm in found.arms if arm.label in labels]


def _of_many(found: Comparison, shown: Sequence[ArmResult]) -> str:
    return "" if len(found.arms) <= _MOST_ARMS else f"; drawn are the best {_MOST_ARMS} and the baseline"


def _curves(found: Comparison) -> list[Chart]:
    ended = [arm.label for arm in found.ranked if math.isfinite(arm.mean)]
    shown = {*ended[:_MOST_CURVES], found.experiment.baseline.label}
    charts = []
    for measure in dict.fromkeys((found.measure, "loss")):
        curves = {arm.label: _histories(found, arm.label, measure) for arm in found.arms if arm.label in shown}
        curves = {label: array for label, array in curves.items() if np.isfinite(array).any()}
        if curves:
            less = (
                ""
                if len(shown) == len(found.arms)
                else f", for the best {len(ended[:_MOST_CURVES])} and the baseline of {len(found.arms)} arms"
            )
            rows = "validation rows" if measure.startswith("validation") else "training rows as they were met"
            figure = arm_curves(curves, measure, log=_spans(np.concatenate([a.ravel() for a in curves.values()])))
            over = f"over the {rows}, after each epoch{less}"
            name = measure_name(measure)
            if found.experiment.seeds.count == 1:
                charts.append(Chart(figure, f"The {name} {over}."))
            else:
                band = "the band is one standard deviation"
                charts.append(Chart(figure, f"The mean over the seeds of the {name} {over}; {band}."))
    return charts


def _histories(found: Comparison, label: str, measure: str) -> np.ndarray:
    """The measure after each epoch: (seeds, epochs), NaN where a trial has no such epoch."""
    results = [found.results.get(trial.key) for trial in found.trials_of[label]]
    longest = max((len(result.history) for result in results if result), default=0)
    curves = np.full((len(results), longest), np.nan)
    for curve, result in zip(curves, results, strict=True):
        if result:
            curve[: len(result.history)] = [record.get(measure, math.nan) for record in result.history]
    return curves


def _spans(values: np.ndarray) -> bool:
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and math.log10(values.max() / values.min()) > _DECADES)


def _plane(found: Comparison) -> list[Chart]:
    axes = found.experiment.axes
    if len(axes) != 2 or not all(axis.settings for axis in axes):
        return []
    rows, columns = ([setting.label for setting in axis.settings] for axis in axes)
    values, lost = np.full((2, len(rows), len(columns)), np.nan)
    for arm, came in zip(found.experiment.arms, found.arms, strict=True):
        row, column = (axis.settings.index(s) for axis, s in zip(axes, arm.settings, strict=True))
        values[row, column], lost[row, column] = came.mean, came.diverged
    if np.isnan(lost).any():
        return []
    figure = heat_map(
        values,
        rows,
        columns,
        axes[0].name,
        axes[1].name,
        found.measure,
        higher_is_better=found.higher_is_better,
        diverged=lost > 0,
    )
    return [Chart(figure, f"Each cell is the mean {_words(found)} over the seeds; the best is {found.best.label}.")]


def _coordinates(found: Comparison) -> list[Chart]:
    axes = found.experiment.axes
    if len(axes) < 3 and not any(axis.range for axis in axes):
        return []
    lists = {axis.name: [arm.settings[place].value for arm in found.experiment.arms] for place, axis in enumerate(axes)}
    # A range is drawn as it was drawn from.
    log_axes = [
        axis.name
        for axis in axes
        if not isinstance(lists[axis.name][0], str)
        and (isinstance(axis.range, LogUniform) if axis.range else _spans(np.array(lists[axis.name], float)))
    ]
    figure = parallel_coordinates(
        lists,
        found.measure,
        np.array([arm.mean for arm in found.arms]),
        log_axes=log_axes,
        higher_is_better=found.higher_is_better,
    )
    return [Chart(figure, f"A line is an arm, through its value on each axis to its mean {_words(found)}.")]


def _best(found: Comparison) -> list[Block]:
    blocks: list[Block] = []
    if measures := found.test_measures:
        rows = []
        for name, values in measures.items():
            low, high = bootstrap(values)
            shown = [f"{value:.2%}" if is_share(name) else f"{value:.4g}" for value in (values.mean(), low, high)]
            rows.append(
                (measure_name(name), shown[0], "–" if math.isnan(low) else f"{shown[1]} to {shown[2]}", len(values))
            )
        caption = "Over the test rows, which chose nothing: shown once, for this arm"
        blocks.append(Table(caption, ("measure", "mean", "95 % interval", "seeds"), rows))
    blocks.append(Suggestion("Its spec, ready to copy:", to_toml(found.best_spec)))
    if found.folder is not None:
        trial = found.trials_of[found.best.label][0]
        blocks.append(
            Suggestion(
                "Train it again, with its report and its probes:",
                f"thalweg train {found.folder / 'best.toml'} --probes light",
            )
        )
        blocks.append(Suggestion("See one of its trials:", f"thalweg report {found.folder / 'trials' / trial.key}"))
    return blocks
