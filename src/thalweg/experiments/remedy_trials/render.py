"""A proof told: what the trials support and what they do not, the chart and the tables that show it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from ...core.intervals import Difference
from ...pages.blocks import Block, Chart, Heading, Suggestion, Table, Text
from ...pages.figures import paired_effects
from ...pages.numbers import is_share, measure_name
from ...pages.page import Page
from ...spec.toml import to_toml
from ..comparison import ENOUGH_SEEDS
from .random_control import SPACE
from .result import MARGIN, ArmTried, Combination, Effect, Proof

_Told = Callable[[Proof, float], str]


def worksheet_of(proof: Proof) -> Page:
    """The proof as a worksheet."""
    blocks: list[Block] = [Heading("What the trials say"), *(Text(told) for told in _paragraphs(proof))]
    blocks += [*charts_of(proof), _remedies_table(proof)]
    if proof.combinations:
        blocks += [Heading("Remedies together"), _combinations_table(proof)]
    if proof.repair and proof.repaired:
        changed = [(path, str(value)) for path, value in proof.repair.arm.changes]
        blocks += [Heading("The repaired spec"), Table("What is changed", ("place", "new value"), changed)]
        blocks.append(Suggestion("Ready to copy:", to_toml(proof.repaired)))
        if proof.folder:
            blocks.append(Suggestion("Train it:", f"thalweg train {proof.folder / 'repaired.toml'}"))
    blocks += [Heading("How it was measured"), *(Text(told) for told in _method(proof))]
    blocks += [_scores_table(proof)]
    if proof.remarks:
        blocks += [Heading("Remarks"), *(Text(remark) for remark in proof.remarks)]
    settings = (
        ("remedies", str(len(proof.effects))),
        ("seeds", ", ".join(map(str, proof.seeds))),
        ("score", f"{_words(proof)} on {proof.score.row_count:,} {proof.score.rows} rows"),
        ("time", f"{proof.seconds:.0f} s"),
    )
    return dataclasses.replace(summary_of(proof), blocks=tuple(blocks), settings=settings)


def summary_of(proof: Proof) -> Page:
    """The evidence and the remedies: what a terminal shows."""
    if proof.repair and proof.repair.difference:
        gain = _points(proof, proof.repair.difference.mean) + _unit(proof)
        outcome = f"Repaired by {' + '.join(proof.chosen)}: {gain} {_words(proof)}."
    else:
        outcome = "No remedy was shown to help."
    told, remarks = ([Text(text) for text in texts] for texts in (_paragraphs(proof), proof.remarks))
    return Page("Remedies, tried", (*told, _remedies_table(proof), *remarks), outcome)


def evidence_of(proof: Proof) -> list[str]:
    """What the trials support and what they do not, sentence by sentence."""
    return [sentence for paragraph in _sentences(proof) for sentence in paragraph]


def charts_of(proof: Proof) -> list[Chart]:
    """The effects of the remedies beside those of random changes; nothing where no trial has come to its end."""
    effects = {effect.arm.label: effect for effect in proof.effects if effect.difference}
    if not effects:
        return []
    if proof.repair and len(proof.chosen) > 1:
        effects[proof.repair.arm.label] = proof.repair
    with_control = {label: effect for label, effect in effects.items() if effect.control and effect.chance}
    figure = paired_effects(
        {label: effect.arm.values - effect.unchanged.values for label, effect in effects.items()},
        {label: _ends(effect.difference) for label, effect in effects.items()},
        {label: _control_values(effect) for label, effect in with_control.items()},
        {label: _ends(effect.chance) for label, effect in with_control.items()},
        proof.score.measure,
        notes={label: effect.verdict for label, effect in effects.items()},
        strong=proof.repair.arm.label if proof.repair else None,
    )
    helps, nothing, harms = (
        sum(effect.verdict == verdict for effect in proof.effects) for verdict in ("helps", "no evidence", "harms")
    )
    caption = f"Remedies that help: {helps}; without evidence: {nothing}; that harm: {harms}."
    return [Chart(figure, caption)]


def _control_values(effect: Effect) -> np.ndarray:
    assert effect.control
    return effect.control.values - effect.unchanged.values


def _ends(difference: Difference | None) -> tuple[float, float]:
    return (difference.low, difference.high) if difference else (math.nan, math.nan)


# Sentences ------------------------------------------------------------------------------------------------------------


def _paragraphs(proof: Proof) -> list[str]:
    return [" ".join(sentences) for sentences in _sentences(proof) if sentences]


def _sentences(proof: Proof) -> list[list[str]]:
    if not proof.unchanged.tried:
        return [["No trial of the unchanged spec has come to its end: nothing can be said."]]
    return [[_outset(proof)], _remedies(proof), _repair(proof), _limits(proof)]


def _outset(proof: Proof) -> str:
    arm, seeds = proof.unchanged, _counted(proof.unchanged.tried, "seed", "seeds")
    told = f"Over {seeds} the unchanged spec reaches {_reached(proof, arm)} {_words(proof)}"
    told += f" on the {proof.score.rows} rows; the best constant answer reaches {_value(proof, proof.score.constant)}"
    return f"{told}{f', and {arm.diverged} of them diverged' if arm.diverged else ''}."


def _remedies(proof: Proof) -> list[str]:
    """What is shown of each remedy; those that move nothing are told together."""
    told = [_about(proof, effect) for effect in proof.effects if not _is_still(effect)]
    still = [effect for effect in proof.effects if _is_still(effect)]
    if still:
        names, they = [f"`{effect.arm.label}`" for effect in still], "they do" if len(still) > 1 else "it does"
        listed = " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        told.append(f"No seed changes with {listed}: there is no evidence that {they} anything.")
    return told


def _is_still(effect: Effect) -> bool:
    return effect.difference is not None and effect.difference.low == effect.difference.high == 0


def _about(proof: Proof, effect: Effect) -> str:
    """What is shown of a remedy, and what is not."""
    label, by = f"`{effect.arm.label}`", _by(proof, effect.difference)
    if effect.verdict == "not tried":
        return f"{label} was not tried{f': {effect.arm.problem}' if effect.arm.problem else ''}."
    hint = f", by {effect.pairs} seeds" if effect.hint else ""
    if effect.verdict == "harms":
        return f"{label} harms{hint}: {by}."
    if effect.verdict == "no evidence":
        assert effect.difference
        if math.isnan(effect.difference.low):
            return f"{label}: {by}; one pair says nothing of chance."
        return f"There is no evidence that {label} does anything: {by}."
    return f"{label} helps{hint}: {by}{_beyond(proof, effect)}."


def _beyond(proof: Proof, effect: Effect) -> str:
    """How a change that helps does beside a random one."""
    if effect.control is None or effect.beyond is None:
        return ""
    control = f"a random change of the same budget (`{effect.control.label}`)"
    if effect.against_chance == "not told apart":
        return f"; but {control} is not told from it, so that this gain is no proof of insight"
    return f", and does {effect.against_chance} than {control}: {_by(proof, effect.beyond)}"


def _repair(proof: Proof) -> list[str]:
    effect = proof.repair
    if effect is None:
        tried = ", nor together" if proof.combinations else ""
        nothing = f"No remedy was shown to help alone{tried}: there is no repaired spec."
        return [nothing, *_most_promising(proof)]
    sentences = []
    if len(proof.chosen) > 1:
        names = " and ".join(f"`{name}`" for name in proof.chosen)
        sentences.append(f"Together {names} reach {_reached(proof, effect.arm)}: {_by(proof, effect.difference)}")
        sentences[-1] += f"{_beyond(proof, effect)}."
    else:
        sentences.append(f"The repaired spec has `{proof.chosen[0]}` alone: {_reached(proof, effect.arm)}.")
    arms = len(proof.effects) + len(proof.combinations)
    if arms > 1:
        sentences.append(f"It is the best of {arms} that were tried, partly by luck: on new rows it may gain less.")
    return sentences


def _most_promising(proof: Proof) -> list[str]:
    """What more seeds might show, where these few show nothing."""
    gains = {effect.arm.label: effect.difference for effect in proof.effects if effect.difference}
    label = max(gains, key=lambda label: gains[label].mean, default=None)
    if label is None or gains[label].mean < MARGIN:
        return []
    more = f"with {2 * len(proof.seeds)} seeds instead of {len(proof.seeds)} it may be told from chance"
    return [f"The largest gain is that of `{label}`, {_by(proof, gains[label])}: {more}."]


def _limits(proof: Proof) -> list[str]:
    seeds = proof.unchanged.tried
    sentences = []
    if seeds < ENOUGH_SEEDS:
        sentences.append(f"That is a hint, no proof: take {ENOUGH_SEEDS} seeds or more.")
    elif seeds < 2 * ENOUGH_SEEDS:
        sentences.append(
            f"Intervals of {seeds} seeds are too narrow: they miss the true value in 10 to 16 of 100 cases, not in 5."
        )
    if proof.score.rows == "training":
        sentences.append(
            "There are too few validation rows to be scored on: this is how well the training rows are learnt, and says"
            " nothing of unseen ones."
        )
    return sentences


def _method(proof: Proof) -> list[str]:
    score, words = proof.score, _words(proof)
    why = "whatever loss it trains with" if score.measure == "accuracy" else "whichever way its targets are scaled"
    return [
        f"Every arm is trained with the same seeds, which decide split, initial weights and order, so that arms of"
        f" the same seed are pairs. An arm is scored by its {words} on the {score.row_count:,} {score.rows} rows at the"
        f" end, {why}. What diverged, and what answers worse than the best constant answer"
        f" ({_value(proof, score.constant)}), counts as that answer.",
        "A remedy helps where the 95 % interval of its paired difference to the unchanged spec lies above 0, and harms"
        " where it lies below. Intervals are bootstrapped over the seeds.",
        "Remedies together are tried with all seeds where two show a gain. One is added to others where the interval of"
        " what it gains lies above 0, or where it harms no seed and gains a hundredth. Of two that change the same"
        " place the earlier has it.",
        "A random change has as many changed settings as the remedy and plans no more updates. It is drawn from:"
        f" {SPACE}.",
    ]


# Tables ---------------------------------------------------------------------------------------------------------------


def _remedies_table(proof: Proof) -> Table:
    rows = [
        (
            effect.arm.label,
            f"hint: {effect.verdict}" if effect.hint else effect.verdict,
            _mean_and_ends(proof, effect.difference),
            effect.control.label if effect.control else "–",
            _mean_and_ends(proof, effect.chance),
            effect.against_chance,
        )
        for effect in proof.effects
    ]
    unit = ", points" if is_share(proof.score.measure) else ""
    columns = ("remedy", "verdict", f"effect{unit}", "random change", f"its effect{unit}", "against it")
    words = _words(proof)
    return Table(f"{words[0].upper()}{words[1:]} minus that of the unchanged spec, with 95 % intervals", columns, rows)


def _combinations_table(proof: Proof) -> Table:
    rows = [
        (
            " + ".join(found.remedies),
            _mean_and_ends(proof, found.effect.difference),
            " + ".join(found.base) or "unchanged",
            _mean_and_ends(proof, found.gain),
            _kept(found),
        )
        for found in proof.combinations
    ]
    unit = ", points" if is_share(proof.score.measure) else ""
    columns = ("together", f"effect{unit}", "the best before", f"gain over it{unit}", "kept")
    return Table("In the order in which they were tried", columns, rows)


def _kept(found: Combination) -> str:
    return "not tried" if found.gain is None else "yes" if found.kept else "no"


def _scores_table(proof: Proof) -> Table:
    """The score of every arm."""
    arms: list[tuple[str, ArmTried]] = [("unchanged", proof.unchanged)]
    for effect in proof.effects:
        arms += [("remedy", effect.arm), *([("random", effect.control)] if effect.control else [])]
    arms += [("together", found.effect.arm) for found in proof.combinations]
    if proof.repair and proof.repair.control and len(proof.chosen) > 1:
        arms.append(("random", proof.repair.control))
    rows = [
        (
            arm.label,
            role,
            _reached(proof, arm),
            " ".join(_value(proof, value) for value in arm.values),
            arm.diverged,
            arm.updates,
        )
        for role, arm in arms
    ]
    columns = ("arm", "what it is", "mean", "by seed", "diverged", "updates")
    words = _words(proof)
    return Table(f"{words[0].upper()}{words[1:]} at the end", columns, rows)


# Numbers --------------------------------------------------------------------------------------------------------------


def _words(proof: Proof) -> str:
    return measure_name(proof.score.measure)


def _unit(proof: Proof) -> str:
    return " percentage points of" if is_share(proof.score.measure) else ""


def _value(proof: Proof, value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.1%}" if is_share(proof.score.measure) else f"{value:.3f}"


def _points(proof: Proof, difference: float) -> str:
    return f"{100 * difference:+.1f}" if is_share(proof.score.measure) else f"{difference:+.3f}"


def _span(proof: Proof, low: float, high: float, told: _Told) -> str:
    return "" if math.isnan(low) else f" ({told(proof, low).removesuffix('%')} to {told(proof, high)})"


def _reached(proof: Proof, arm: ArmTried) -> str:
    return _value(proof, arm.mean) + _span(proof, *arm.interval, _value)


def _mean_and_ends(proof: Proof, difference: Difference | None) -> str:
    if difference is None:
        return "–"
    return _points(proof, difference.mean) + _span(proof, difference.low, difference.high, _points)


def _by(proof: Proof, difference: Difference | None) -> str:
    """A difference with its interval, in a sentence."""
    if difference is None:
        return "no pairs"
    unit = " percentage points" if is_share(proof.score.measure) else f" {_words(proof)}"
    interval = _span(proof, difference.low, difference.high, _points).strip(" ()")
    return f"{_points(proof, difference.mean)}{unit}{f' (95 % interval {interval})' if interval else ''}"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
