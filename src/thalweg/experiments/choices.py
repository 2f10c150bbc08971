"""The best level of an axis for each contender: the arms that differ in that axis alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from ..pages.blocks import Table
from ..pages.numbers import count_noun, measure_name
from .experiment import Compare, Experiment, Seeds
from .prose import capitalized, mean_cell
from .ranking import ArmResult, Ranking
from .variation import Arm, Axis, Setting

Edge = Literal["", "smallest", "largest"]


class Level(NamedTuple):
    """One arm of a contender.

    Attributes:
        arm: the arm.
        setting: its setting of the axis.
        result: its result over the seeds that the choice is made with.
    """

    arm: Arm
    setting: Setting
    result: ArmResult


class Choice(NamedTuple):
    """The level that was chosen for a contender.

    Attributes:
        contender: label of the contender.
        levels: its levels, best first: by fewest diverged trials, then by mean, then by validation loss.
    """

    contender: str
    levels: tuple[Level, ...]

    @property
    def best(self) -> Level | None:
        """The best level; None where every trial of every level diverged or could not run."""
        return self.levels[0] if math.isfinite(self.levels[0].result.mean) else None

    @property
    def diverged(self) -> int:
        """Number of trials, of all levels, that diverged or could not run."""
        return sum(level.result.diverged for level in self.levels)

    @property
    def edge(self) -> Edge:
        """At which end of the numbers that were tried the best level is; empty in between, and for words."""
        numbers = [level.setting.value for level in self.levels if not isinstance(level.setting.value, str)]
        if not self.best or len(numbers) < len(self.levels):
            return ""
        return "largest" if numbers[0] == max(numbers) else "smallest" if numbers[0] == min(numbers) else ""

    @property
    def tied(self) -> tuple[str, ...]:
        """The other levels with the same mean and as many diverged trials; the validation loss decided."""
        best = self.levels[0].result
        return tuple(
            level.setting.label
            for level in self.levels[1:]
            if (level.result.mean, level.result.diverged) == (best.mean, best.diverged)
        )


def choices_of(experiment: Experiment, axis: Axis, ranking: Ranking) -> tuple[Choice, ...]:
    """The choice of each contender.

    Args:
        experiment: the experiment.
        axis: the axis whose levels are chosen from.
        ranking: all arms, over validation rows.
    """
    place = experiment.axes.index(axis)
    results = {arm.label: arm for arm in ranking.arms}
    ranks = {arm.label: rank for rank, arm in enumerate(ranking.ranked)}
    return tuple(
        Choice(
            contender,
            tuple(
                Level(arm, arm.settings[place], results[arm.label])
                for arm in sorted(arms, key=lambda arm: ranks[arm.label])
            ),
        )
        for contender, arms in experiment.contenders.items()
    )


def fresh_experiment(experiment: Experiment, choices: Sequence[Choice]) -> Experiment:
    """The experiment of the arms with the best levels, over the fresh seeds."""
    fresh = experiment.seeds.fresh_numbers
    chosen = {choice.contender: choice.best.arm for choice in choices if choice.best}
    named = chosen.get(experiment.compare.baseline or "")
    return dataclasses.replace(
        experiment,
        arms=tuple(chosen.values()),
        seeds=Seeds(len(fresh), fresh.start),
        compare=Compare(experiment.compare.measure, named.label if named else None),
    )


def question_in_words(experiment: Experiment, choices: Sequence[Choice], axis: str) -> str:
    """What was chosen and compared, with the budget of each contender."""
    seeds = experiment.seeds
    sizes = sorted({len(choice.levels) for choice in choices})
    levels = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    trials = [size * seeds.count for size in sizes]
    each = str(trials[0]) if len(trials) == 1 else f"{trials[0]} to {trials[-1]}"
    total = sum(len(choice.levels) for choice in choices) * seeds.count
    return (
        f"Each arm is compared at its best {axis}. Tuning budget: {levels} levels with"
        f" {count_noun(seeds.count, 'seed')} ({_ends(seeds.numbers)}), {each} trials for each arm, {total} in all. The"
        f" best level on validation rows was then trained with {len(seeds.fresh_numbers)} fresh seeds"
        f" ({_ends(seeds.fresh_numbers)}), which no level was chosen with."
    )


def _ends(numbers: range) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def choice_notes(choices: Sequence[Choice], axis: str) -> list[str]:
    """What is to be said of the choices: levels at an end of the range, ties, contenders without a level."""
    notes = []
    for choice in choices:
        if choice.best is None:
            notes.append(
                f"`{choice.contender}` is not compared: every trial diverged or could not run, at each of"
                f" {len(choice.levels)} levels."
            )
            continue
        label = choice.best.setting.label
        if choice.edge:
            notes.append(
                f"The best {axis} of `{choice.contender}` is the {choice.edge} tried, {label}: extend the range."
            )
        if choice.tied:
            notes.append(
                f"{capitalized(axis)} {label} and {', '.join(choice.tied)} are tied for `{choice.contender}`; the"
                " validation loss decides."
            )
    return notes


def choices_table(
    choices: Sequence[Choice], axis: str, tuning: Ranking, fresh: Mapping[str, ArmResult], measure: str
) -> Table:
    """The best level of each contender, with its score when it was chosen and over the fresh seeds.

    Args:
        choices: the choices.
        axis: name of the axis.
        tuning: all arms, over the seeds that the levels were chosen with.
        fresh: the results over the fresh seeds, by label of the arm.
        measure: what the fresh seeds are compared by.
    """
    rows = []
    for choice in choices:
        trials = len(choice.levels) * tuning.seeds
        lost = f"{choice.diverged} of {trials}" if choice.diverged else "–"
        if choice.best is None:
            rows.append((choice.contender, "none finished", "–", "–", lost))
            continue
        then, now = choice.best.result, fresh[choice.best.arm.label]
        rows.append(
            (
                choice.contender,
                choice.best.setting.label + (f" (the {choice.edge} tried)" if choice.edge else ""),
                mean_cell(tuning.measure, then.mean, then.interval),
                mean_cell(measure, now.mean, now.interval),
                lost,
            )
        )
    columns = ("arm", f"best {axis}", "when chosen", "fresh seeds", "diverged in tuning")
    caption = (
        f"The best {axis} of each arm: {measure_name(tuning.measure)} over the"
        f" {count_noun(tuning.seeds, 'seed')} that it was chosen with, and {measure_name(measure)} over the fresh seeds"
    )
    return Table(caption, columns, rows)


def levels_table(choices: Sequence[Choice], axis: str, tuning: Ranking) -> Table:
    """Every level of every contender, in the order of the levels."""
    rows = []
    for choice in choices:
        for level in sorted(choice.levels, key=_level_order):
            result = level.result
            lost = f"{result.diverged} of {len(result.values)}" if result.diverged else "–"
            chosen = "chosen" if choice.best and level is choice.best else ""
            score = mean_cell(tuning.measure, result.mean, result.interval)
            rows.append((choice.contender, level.setting.label, score, lost, chosen))
    caption = f"{capitalized(measure_name(tuning.measure))} by {axis}, over the seeds that the levels were chosen with"
    return Table(caption, ("arm", axis, "mean", "diverged", ""), rows)


def _level_order(level: Level) -> tuple[float, str]:
    value = level.setting.value
    return (0.0, value) if isinstance(value, str) else (float(value), "")
