"""Text and tables of a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..core.intervals import Difference
from ..pages.blocks import Block, Table, Text
from ..pages.numbers import count_noun, difference, interval, measure_name, measure_value
from .prose import (
    capitalized,
    difference_cell,
    difference_in_words,
    joined,
    listed,
    mean_cell,
    mean_in_words,
    on_pairs,
    simultaneous,
    undecided,
)
from .ranking import ArmPair, ArmResult, AxisEffect, Ranking, mean_interval_of

# Best arms that are compared with each other.
_PAIRED_ARMS = 5
# From this many arms on, the best one owes part of its lead to chance.
_MANY_ARMS = 10


def evidence(ranking: Ranking) -> str:
    """What the evidence supports and what it does not, in sentences."""
    best = ranking.best
    if best.diverged == ranking.seeds:
        fix = "smaller learning rates are the usual remedy"
        return f"Every trial of every arm diverged or could not run: there is nothing to compare; {fix}."
    sentences = [
        f"`{best.label}` has the best mean {measure_name(ranking.measure)} over {count_noun(ranking.seeds, 'seed')}:"
        f" {mean_in_words(ranking.measure, best.mean, best.interval)}."
    ]
    equal = [arm for arm in ranking.arms if (arm.mean, arm.diverged) == (best.mean, best.diverged)]
    if others := len(equal) - 1:
        verb = "has" if others == 1 else "have"
        sentences.append(
            f"{count_noun(others, 'other arm')} {verb} the same mean; `{best.label}` has the lowest validation loss."
        )
    sentences += _against_baseline(ranking)
    if ranking.seeds == 1:
        sentences.append("One seed cannot show whether a difference is due to chance.")
    else:
        sentences += _against_others(ranking)
    if len(ranking.arms) >= _MANY_ARMS:
        sentences.append(
            f"The best of {count_noun(len(ranking.arms), 'arm')} is the best partly by luck: expect a little less"
            " on new rows."
        )
    if diverged := [arm for arm in ranking.arms if arm.diverged]:
        rates = joined([f"{arm.diverged} of {ranking.seeds} trials of `{arm.label}`" for arm in diverged])
        sentences.append(f"Diverged or could not run: {rates}; means and differences are those of the other trials.")
    return " ".join(sentences)


def _against_baseline(ranking: Ranking) -> list[str]:
    """The difference of the best arm from the baseline."""
    best = ranking.best
    if best.difference is None:
        return []
    by = difference_in_words(ranking.measure, best.difference) + on_pairs(best.difference, ranking.seeds)
    sentences = [f"Paired by seed, it differs from the baseline `{ranking.baseline}` by {by}."]
    if best.better is not None:
        on_these = "" if best.better else " on the seeds that both finished"
        sentences.append(f"It is {'better' if best.better else 'worse'}{on_these}: the interval excludes 0.")
    elif ranking.seeds > 1:
        sentences.append(f"Which of the two is better {undecided([best.difference])}.")
    if best.difference.comparisons > 1:
        sentences.append(
            f"The intervals of all {best.difference.comparisons} differences from the baseline hold together with a"
            " probability of 95 %."
        )
    return sentences


def _against_others(ranking: Ranking) -> list[str]:
    """The paired differences between the best arm and the others, where they say more than that from the baseline."""
    sentences = []
    found = ranking.against_best
    rivals = [label for label in ranking.rivals if label != ranking.baseline]
    unsteady = ranking.unsteady
    if rivals:
        which = undecided([found[label] for label in rivals])
        sentences.append(f"Whether it is better than {listed(rivals, 'or')} {which}.")
    if unsteady:
        one = len(unsteady) == 1
        sentences.append(
            f"{listed(unsteady)} {'does' if one else 'do'} better on the seeds that finish, but"
            f" {'has' if one else 'have'} more trials that diverged or could not run."
        )
    others = len(ranking.arms) - 1
    if found and not ranking.rivals and not unsteady:
        which = "Every other arm" if len(found) == others else "Every other arm that shares seeds with it"
        sentences.append(
            f"{which} is worse: no interval of a paired difference from the best includes 0{_together(found)}."
        )
    return sentences


def _together(found: Mapping[str, Difference]) -> str:
    pairs = max(each.comparisons for each in found.values())
    return f" (simultaneous over {count_noun(pairs, 'pair')} of arms)" if pairs > 1 else ""


def arms_table(ranking: Ranking, most: int) -> Table:
    """The arms, best first; of more than `most` only the best ones and the baseline."""
    shown = [arm for place, arm in enumerate(ranking.ranked) if place < most or arm.label == ranking.baseline]
    any_diverged = any(arm.diverged for arm in shown)
    rows = []
    for arm in shown:
        row = (
            arm.label,
            mean_cell(ranking.measure, arm.mean, arm.interval),
            difference_cell(ranking.measure, arm.difference),
            _arm_verdict(ranking, arm),
        )
        diverged = f"{arm.diverged} of {len(arm.values)}" if arm.diverged else "–"
        rows.append((*row, diverged) if any_diverged else row)
    columns = ("arm", "mean", "minus baseline", "evidence")
    part = "" if len(shown) == len(ranking.arms) else f" ({len(shown)} of {count_noun(len(ranking.arms), 'arm')})"
    intervals = f", with {simultaneous(ranking.comparisons, ' of the differences')}" if ranking.seeds > 1 else ""
    measure = capitalized(measure_name(ranking.measure))
    caption = f"{measure} at the end of training, by arm; best first{part}{intervals}"
    return Table(caption, (*columns, "diverged") if any_diverged else columns, rows)


def _arm_verdict(ranking: Ranking, arm: ArmResult) -> str:
    if arm.difference is None:
        return "baseline" if arm.label == ranking.baseline else "–"
    return _verdict(arm.better, arm.difference) + on_pairs(arm.difference, ranking.seeds)


def _verdict(better: bool | None, found: Difference) -> str:
    return undecided([found]) if better is None else "better" if better else "worse"


def effects_blocks(effects: Sequence[AxisEffect], measure: str, seeds: int) -> list[Block]:
    """How to read the effects of the axes, and their table."""
    rows = []
    for effect in effects:
        contexts = effect.by_context[np.isfinite(effect.by_context)]
        rows.append(
            (
                effect.axis,
                f"{effect.setting} instead of {effect.against}",
                difference_cell(measure, effect.difference),
                interval(measure, contexts.min(), contexts.max(), write=difference),
                _verdict(effect.better, effect.difference) + on_pairs(effect.difference, seeds),
            )
        )
    columns = ("axis", "setting", "difference", "by combination", "evidence")
    intervals = f", with {simultaneous(len(effects))}" if seeds > 1 else ""
    what = "each setting minus that of the baseline, paired by seed"
    caption = f"{capitalized(measure_name(measure))}: {what}{intervals}"
    explanation = (
        "The difference is the mean over all combinations of the other axes. The column `by combination` has the"
        " smallest and the largest difference among them: where their signs differ, the effect depends on the other"
        " axes."
    )
    return [Text(explanation), Table(caption, columns, rows)]


def pairs_blocks(ranking: Ranking) -> list[Block]:
    """The paired differences among the best arms; nothing for one arm or one seed."""
    best = {arm.label for arm in ranking.ranked[:_PAIRED_ARMS]}
    shown = [pair for pair in ranking.pairs if {pair.first, pair.second} <= best]
    if not shown or ranking.seeds < 2:
        return []
    rows = [
        (pair.first, pair.second, difference_cell(ranking.measure, pair.difference), _pair_verdict(pair, ranking.seeds))
        for pair in shown
    ]
    pairs = len(ranking.pairs)
    part = "" if len(shown) == pairs else f" ({len(shown)} of {pairs} pairs, those of the best arms)"
    caption = (
        f"{capitalized(measure_name(ranking.measure))}: first minus second, paired by seed{part}, with"
        f" {simultaneous(pairs)}"
    )
    return [Table(caption, ("first", "second", "difference", "evidence"), rows)]


def _pair_verdict(pair: ArmPair, seeds: int) -> str:
    if pair.difference is None:
        return "–"
    if pair.better is None:
        return undecided([pair.difference])
    return f"the {'first' if pair.better else 'second'} is better{on_pairs(pair.difference, seeds)}"


def failures_table(failures: Sequence[tuple[str, int, str]]) -> Table:
    """The trials that diverged or could not run: arm, seed and reason."""
    return Table("Trials that diverged or could not run", ("arm", "seed", "what happened"), failures)


def held_out_table(measures: Mapping[str, np.ndarray]) -> Table:
    """The measures of the best arm over the test rows."""
    rows = []
    for name, values in measures.items():
        ends = mean_interval_of(name, values)
        in_words = "–" if math.isnan(ends[0]) else interval(name, *ends)
        rows.append((measure_name(name), measure_value(name, float(values.mean())), in_words, len(values)))
    caption = "Over the test rows, which played no part in the choice: shown once, for this arm"
    return Table(caption, ("measure", "mean", "95 % interval", "seeds"), rows)
