"""Text, tables and the chart of remedy trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...core.intervals import Difference
from ...pages.blocks import Bullets, Chart, Table, Text
from ...pages.figures import paired_effects
from ...pages.numbers import count_noun, measure_name, measure_value
from ..prose import (
    capitalized,
    difference_cell,
    difference_in_words,
    listed,
    mean_cell,
    mean_in_words,
    on_pairs,
    simultaneous,
    undecided,
)
from .effects import MARGIN, ArmScores, Combination, RemedyEffect
from .score import Score


class Outcome(NamedTuple):
    """The outcome of a remedy trial.

    Attributes:
        score: what arms are scored by.
        seeds: number of seeds that were asked for.
        unchanged: the unchanged spec.
        effects: the effect of each remedy.
        combinations: the combinations that were tried.
        chosen: labels of the remedies in the repaired spec.
        repair: effect of the repaired spec; None where nothing helps.
        subject: what the remedies change, in a word.
    """

    score: Score
    seeds: int
    unchanged: ArmScores
    effects: tuple[RemedyEffect, ...]
    combinations: tuple[Combination, ...]
    chosen: tuple[str, ...]
    repair: RemedyEffect | None
    subject: str = "spec"


def evidence_blocks(outcome: Outcome) -> list[Text | Bullets]:
    """What the trials support and what they do not: the unchanged spec, each remedy, the repair, the limits."""
    if not outcome.unchanged.tried:
        return [Text(f"No trial of the unchanged {outcome.subject} has finished: nothing can be decided.")]
    remedies = _remedies(outcome)
    paragraphs = [[_unchanged(outcome)], _repair(outcome), _limits(outcome)]
    before, *after = [Text(" ".join(sentences)) for sentences in paragraphs if sentences]
    return [before, *([Bullets(tuple(remedies))] if remedies else []), *after]


def _unchanged(outcome: Outcome) -> str:
    score = outcome.score
    arm = outcome.unchanged
    sentence = (
        f"Over {count_noun(arm.tried, 'seed')} the unchanged {outcome.subject} reaches {_mean(score, arm)}"
        f" {measure_name(score.measure)} on the {score.rows} rows; the best constant answer reaches"
        f" {measure_value(score.measure, score.constant)}"
    )
    return f"{sentence}, and {_diverged(arm)}." if arm.diverged else f"{sentence}."


def _diverged(arm: ArmScores) -> str:
    return f"{arm.diverged} of {count_noun(arm.tried, 'trial')} diverged"


def _remedies(outcome: Outcome) -> list[str]:
    """A sentence for each remedy; those that change no score share one."""
    sentences = [_remedy(outcome, effect) for effect in outcome.effects if not _changes_nothing(effect)]
    without_change = [effect.arm.label for effect in outcome.effects if _changes_nothing(effect)]
    if without_change:
        verb = "have" if len(without_change) > 1 else "has"
        sentences.append(
            f"No score changes with {listed(without_change, 'or')}: that"
            f" {'they' if len(without_change) > 1 else 'it'} {verb} any effect cannot be decided."
        )
    return sentences


def _changes_nothing(effect: RemedyEffect) -> bool:
    found = effect.difference
    return found is not None and found.all_equal and found.mean == 0


def _remedy(outcome: Outcome, effect: RemedyEffect) -> str:
    label = f"`{effect.arm.label}`"
    measure = outcome.score.measure
    if effect.verdict == "not tried":
        return f"{label} was not tried: {effect.arm.problem}." if effect.arm.problem else f"{label} was not tried."
    lost = f"; {_diverged(effect.arm)}" if effect.arm.diverged else ""
    if effect.difference is None:
        return f"Whether {label} helps cannot be decided: no seed finished with and without it{lost}."
    by = difference_in_words(measure, effect.difference) + on_pairs(effect.difference, outcome.unchanged.tried) + lost
    if effect.verdict == "harms":
        return f"{label} harms: {by}."
    if effect.verdict == "helps":
        return f"{label} helps: {by}{_beyond_control(measure, effect)}."
    return f"Whether {label} helps {_undecided(effect)}: {by}."


def _undecided(effect: RemedyEffect) -> str:
    """Why it cannot be decided whether a remedy helps."""
    if effect.difference is None:
        return "cannot be decided"
    if effect.difference.verdict == "higher":
        return "cannot be decided, because it diverges more often"
    return undecided([effect.difference])


def _beyond_control(measure: str, effect: RemedyEffect) -> str:
    """How a remedy that helps compares with its random change."""
    if effect.control is None or effect.beyond_control is None:
        return ""
    control = f"a random change of equal cost (`{effect.control.label}`)"
    if effect.against_control == "not told apart":
        return f"; but {control} does about as well, so the gain may not come from this remedy"
    by = difference_in_words(measure, effect.beyond_control)
    return f", and does {effect.against_control} than {control}: {by}"


def _repair(outcome: Outcome) -> list[str]:
    effect = outcome.repair
    if effect is None:
        together = ", nor any combination" if outcome.combinations else ""
        return [
            f"No single remedy was shown to help{together}: there is no repaired {outcome.subject}.",
            *_largest_gain(outcome),
        ]
    score = outcome.score
    reached = _mean(score, effect.arm)
    if len(outcome.chosen) > 1 and effect.difference:
        by = difference_in_words(score.measure, effect.difference)
        names = listed(outcome.chosen)
        sentences = [f"Together {names} reach {reached}: {by}{_beyond_control(score.measure, effect)}."]
    else:
        sentences = [f"The repaired {outcome.subject} has only `{outcome.chosen[0]}`: {reached}."]
    if effect.verdict != "helps":
        sentences.append("It gains the same with every seed: whether other seeds gain as much is not known.")
    arms = len(outcome.effects) + len(outcome.combinations)
    if arms > 1:
        sentences.append(f"It is the best of {count_noun(arms, 'arm')}, partly by luck: on new rows it may gain less.")
    return sentences


def _largest_gain(outcome: Outcome) -> list[str]:
    """The remedy that more seeds might show to help."""
    gains = {effect.arm.label: effect.difference for effect in outcome.effects if effect.difference}
    label = max(gains, key=lambda label: gains[label].mean, default=None)
    if label is None or gains[label].mean < MARGIN:
        return []
    by = difference_in_words(outcome.score.measure, gains[label])
    needed = gains[label].seeds_needed
    more = f": about {count_noun(needed, 'seed')} would show that it is not due to chance" if needed else ""
    return [f"The largest gain is that of `{label}`, {by}{more}."]


def _limits(outcome: Outcome) -> list[str]:
    comparisons = max((effect.comparisons for effect in outcome.effects), default=1)
    sentences = []
    if comparisons > 1 and outcome.unchanged.tried > 1:
        sentences.append(f"The intervals of {comparisons} comparisons hold together with a probability of 95 %.")
    if outcome.score.rows == "training":
        sentences.append(
            "There are too few rows to hold some out: the score says how well the training rows are learned, and"
            " nothing about unseen rows."
        )
    elif outcome.score.held_out:
        sentences.append(
            f"In all trials {count_noun(outcome.score.held_out, 'training row')} of the {outcome.subject} were held out"
            " for the score, because its validation rows cannot score."
        )
    return sentences


_MEANINGS = {
    "r2": "independent of the scale of the targets; an R² below 0 is replaced by R² / (1 - R²), which lies between -1"
    " and 0 and keeps the order",
    "balanced_accuracy": "the mean of the fractions of each class that are predicted correctly, independent of the loss"
    " and of how frequent a class is",
    "accuracy": "the fraction of rows that are predicted correctly",
}


def method_paragraphs(outcome: Outcome, space: str) -> list[str]:
    """How remedies are tried and judged; `space` says what random changes are drawn from."""
    score = outcome.score
    constant = measure_value(score.measure, score.constant)
    meaning = _MEANINGS.get(score.measure, "what the function of the recipe returns")
    return [
        "Every arm is trained with the same seeds, which decide initial weights, order and, in a spec, the split: arms"
        f" with the same seed are pairs. The score of an arm is its {measure_name(score.measure)} on the"
        f" {count_noun(score.row_count, f'{score.rows} row')} at the end of training: {meaning}. A trial that diverges"
        " is counted and has no score: differences are those of the seeds that finish in both arms. An arm that"
        f" diverges with every seed has the lowest score, {measure_value(score.measure, score.least)}.",
        f"A remedy helps where the 95 % interval of its paired difference from the unchanged {outcome.subject} lies"
        " above 0 and it does not diverge more often, and harms where the interval lies below 0. Otherwise it cannot be"
        " decided, as where all differences are equal. The repair is an arm that helps, or that gains the same with"
        f" each of five seeds or more, and that scores at least {MARGIN:g} more than the best constant answer"
        f" ({constant}). Of arms that the best one does not improve on, the one with the fewest updates is preferred,"
        " then the one that changes the fewest settings. Intervals are those of Student's t, and hold together for all"
        " effects: those of r remedies, and r - 1 of combinations.",
        "Where no single remedy repairs, all pairs of remedies are screened with two further seeds, and those with a"
        " gain are tried with the seeds of the other arms, the largest gain first.",
        "A combination is tried with all seeds where two of them show a gain. A remedy is added where the interval of"
        " its gain lies above 0, or where it harms no seed and gains at least 0.01. Of two remedies that change the"
        " same place the earlier one is used.",
        "A random change has as many changed settings as the remedy, and plans no more updates. It is drawn from:"
        f" {space}.",
    ]


def effects_chart(outcome: Outcome) -> Chart | None:
    """The effects of remedies and of their random changes; None where no trial has finished."""
    effects = {effect.arm.label: effect for effect in outcome.effects if effect.difference}
    if not effects:
        return None
    if outcome.repair and len(outcome.chosen) > 1:
        effects[outcome.repair.arm.label] = outcome.repair
    controls = {label: effect.control for label, effect in effects.items() if effect.control}
    figure = paired_effects(
        {label: effect.arm.values - effect.unchanged.values for label, effect in effects.items()},
        {label: _ends(effect.difference) for label, effect in effects.items()},
        {
            label: control.values - effects[label].unchanged.values
            for label, control in controls.items()
            if effects[label].control_difference
        },
        {label: _ends(effects[label].control_difference) for label in controls if effects[label].control_difference},
        outcome.score.measure,
        notes={label: effect.verdict for label, effect in effects.items()},
        strong=outcome.repair.arm.label if outcome.repair else None,
    )
    verdicts = [effect.verdict for effect in outcome.effects]
    counts = (
        f"Remedies that help: {verdicts.count('helps')}; undecided: {verdicts.count('undecided')};"
        f" that harm: {verdicts.count('harms')}."
    )
    return Chart(figure, counts)


def _ends(difference: Difference | None) -> tuple[float, float]:
    return (difference.low, difference.high) if difference else (math.nan, math.nan)


def remedies_table(outcome: Outcome) -> Table:
    """The verdict and the effect of each remedy, beside those of its random change."""
    measure = outcome.score.measure
    rows = [
        (
            effect.arm.label,
            _undecided(effect) if effect.verdict == "undecided" else effect.verdict,
            difference_cell(measure, effect.difference),
            effect.control.label if effect.control else "–",
            difference_cell(measure, effect.control_difference),
            effect.against_control,
        )
        for effect in outcome.effects
    ]
    columns = ("remedy", "verdict", "effect", "random change", "its effect", "remedy against it")
    comparisons = max((effect.comparisons for effect in outcome.effects), default=1)
    base = f"that of the unchanged {outcome.subject}"
    caption = f"{capitalized(measure_name(measure))} minus {base}, with {simultaneous(comparisons)}"
    return Table(caption, columns, rows)


def combinations_table(combinations: Sequence[Combination], measure: str) -> Table:
    """The combinations in the order in which they were tried."""
    rows = [
        (
            " + ".join(combination.remedies),
            difference_cell(measure, combination.effect.difference),
            " + ".join(combination.base) or "unchanged",
            difference_cell(measure, combination.gain),
            _kept(combination),
        )
        for combination in combinations
    ]
    columns = ("together", "effect", "the best before", "gain over it", "kept")
    return Table("In the order in which they were tried", columns, rows)


def _kept(combination: Combination) -> str:
    if combination.gain is None:
        return "not tried"
    return "yes" if combination.kept else "no"


def scores_table(outcome: Outcome) -> Table:
    """The scores of every arm."""
    arms = [("unchanged", outcome.unchanged)]
    for effect in outcome.effects:
        arms.append(("remedy", effect.arm))
        if effect.control:
            arms.append(("random", effect.control))
    arms += [("together", combination.effect.arm) for combination in outcome.combinations]
    if outcome.repair and outcome.repair.control and len(outcome.chosen) > 1:
        arms.append(("random", outcome.repair.control))
    measure = outcome.score.measure
    rows = [
        (
            arm.label,
            role,
            mean_cell(measure, arm.mean, arm.interval),
            " ".join(measure_value(measure, value) for value in np.asarray(arm.values)),
            arm.diverged,
            arm.updates,
        )
        for role, arm in arms
    ]
    columns = ("arm", "role", "mean", "by seed", "diverged", "updates")
    return Table(f"{capitalized(measure_name(measure))} at the end of training", columns, rows)


def _mean(score: Score, arm: ArmScores) -> str:
    return mean_in_words(score.measure, arm.mean, arm.interval)
