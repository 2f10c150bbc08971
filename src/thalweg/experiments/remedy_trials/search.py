"""The search for a repair: each remedy alone, then remedies in combination."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple

import numpy as np

from ...core.errors import InputError
from ...core.intervals import Difference, differences
from ...doctor.findings import Remedy
from ...pages.numbers import count_noun
from ..variation import Setting
from .arms import merged, setting_of
from .effects import MARGIN, ArmScores, Combination, RemedyEffect
from .trials import TrialLog
from .tried_arm import A, ArmMaker

# Every arm is tried with this many seeds first; arms without a gain are completed last.
_FIRST_SEEDS = 2
# Pairs of remedies are screened with this many seeds, which judge nothing else.
_SCREENING_SEEDS = 2
# Places of a remedy that a remark lists; further ones are counted.
_LISTED_PLACES = 3
_NO_SPEC = "it makes no spec that suits the data"


class Pair(NamedTuple, Generic[A]):
    """A remedy and its control.

    Attributes:
        remedy: the remedy.
        arm: its arm; None where it makes no spec.
        control: the arm of a random change of equal cost; None where there is none.
    """

    remedy: Remedy
    arm: A | None
    control: A | None


class Incumbent(NamedTuple, Generic[A]):
    """The best arm so far, with its scores."""

    candidate: A
    scores: ArmScores

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings of the arm, one for each remedy."""
        return self.candidate.arm.settings

    @property
    def names(self) -> tuple[str, ...]:
        """The labels of its remedies."""
        return tuple(setting.label for setting in self.settings)


class Repair(NamedTuple, Generic[A]):
    """What the search has found.

    Attributes:
        combinations: the combinations that were tried, in order.
        best: the best arm; None where nothing helps.
        effect: its effect; None where nothing helps.
    """

    combinations: list[Combination]
    best: Incumbent[A] | None
    effect: RemedyEffect | None


class Search(Generic[A]):
    """Tries remedies alone and in combination.

    Attributes:
        factory: makes the arms.
        log: runs the trials.
        score: what arms are scored by.
        pairs: the remedies with their controls.
    """

    def __init__(self, factory: ArmMaker[A], log: TrialLog) -> None:
        self.factory = factory
        self.log = log
        self.score = factory.score
        self.pairs: list[Pair[A]] = []
        self._tried: list[A | None] = []
        self._not_combined: list[str] = []
        self._remarks: list[str] = []

    def run(self, remedies: Sequence[Remedy]) -> Repair[A]:
        """Try all remedies, and find the best combination of them."""
        self._prepare(remedies)
        self._try_individually()
        combinations, best = self._combine()
        if best:
            # The control of the repair matters more than the trials that are left.
            self._effect_of(best)
        self._complete()
        if best is None and any(effect.gains for effect in self.effects):
            # All seeds show a gain that the first seeds did not.
            combinations, best = self._combine()
        effect = self._effect_of(best) if best else None
        if best and effect and effect.gains and not effect.repairs:
            names = " + ".join(best.names)
            self._remarks.append(f"`{names}` gains, but is no better than the best constant answer: it is no repair.")
        if effect is None or not effect.repairs:
            return Repair(combinations, None, None)
        return Repair(combinations, best, effect)

    @property
    def unchanged(self) -> ArmScores:
        """The scores of the unchanged spec."""
        return self._result_of(self.factory.unchanged)

    @property
    def effects(self) -> tuple[RemedyEffect, ...]:
        """The effect of each remedy, as far as it was tried."""
        return tuple(
            self._effect(
                self._result_of(pair.arm) if pair.arm else self._untried(pair.remedy),
                self._result_of(pair.control) if pair.control else None,
            )
            for pair in self.pairs
        )

    def _effect(self, arm: ArmScores, control: ArmScores | None = None) -> RemedyEffect:
        return RemedyEffect(arm, self.unchanged, control, self.comparisons, self.score.constant)

    @property
    def comparisons(self) -> int:
        """Number of comparisons with the unchanged spec whose intervals hold together.

        One for each of r remedies, and r - 1 for combinations: no more of them are tried with all seeds.
        """
        tried = sum(pair.arm is not None for pair in self.pairs)
        return max(1, tried + self._most_combinations)

    @property
    def _most_combinations(self) -> int:
        """Number of combinations that are tried with the seeds of every arm, at most."""
        return max(0, sum(pair.arm is not None for pair in self.pairs) - 1)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What could not be tried, and why."""
        remarks = list(dict.fromkeys(self._remarks))
        if not_run := self.log.not_run:
            remarks.insert(0, f"Time is up: {not_run} of {count_noun(len(self.log.requested), 'trial')} were not run.")
        if self._not_combined:
            names = ", ".join(dict.fromkeys(self._not_combined))
            remarks.append(f"Not combined with others, because they change the same places: {names}.")
        return tuple(remarks)

    def _result_of(self, arm: A) -> ArmScores:
        return self.log.scores_of(arm, self.score)

    def _untried(self, remedy: Remedy) -> ArmScores:
        values = np.full(len(self.log.seeds), math.nan)
        return ArmScores(remedy.label, remedy.changes, values, problem=_NO_SPEC)

    def _prepare(self, remedies: Sequence[Remedy]) -> None:
        """Make the arm of each remedy and its control."""
        self._tried = [self._candidate(remedy.label, [setting_of(remedy)]) for remedy in remedies]
        for remedy, arm in zip(remedies, self._tried, strict=True):
            self.pairs.append(Pair(remedy, arm, self._control(arm) if arm else None))

    @property
    def _arms(self) -> list[A]:
        """The unchanged spec, the remedies, and their controls."""
        arms = [*(pair.arm for pair in self.pairs), *(pair.control for pair in self.pairs)]
        return [self.factory.unchanged, *(arm for arm in arms if arm)]

    def _candidate(self, label: str, settings: Sequence[Setting]) -> A | None:
        """The arm with these settings; None, with a remark, where they make no spec."""
        try:
            candidate = self.factory.candidate(label, settings)
        except InputError as error:
            problems = [problem if problem.place else problem.below(error.subject) for problem in error.problems]
            self._remarks.append(f"`{label}` cannot be tried: {'; '.join(map(str, problems))}.")
            return None
        if not candidate.selects_same_rows(self.factory.unchanged):
            self._remarks.append(f"`{label}` selects other rows than the unchanged spec, and is scored on these.")
        return candidate

    def _control(self, arm: A) -> A | None:
        control = self.factory.control(arm, self.log.seeds[0], [each for each in self._tried if each])
        if control is None:
            self._remarks.append(f"No random change with the cost of `{arm.arm.label}` was found.")
        return control

    def _try_individually(self) -> None:
        """Try every remedy with the first seeds, then those with a gain with all seeds, the best one first."""
        now = time.monotonic()
        until = self.log.until
        unchanged = self.factory.unchanged
        first_seeds = self.log.seeds[:_FIRST_SEEDS]
        arms = [unchanged, *(pair.arm for pair in self.pairs if pair.arm)]
        if self.log.jobs is None:
            # The first training compiles its program, the second shows how long one takes.
            self.log.run([(unchanged, seed) for seed in first_seeds], until, "unchanged", jobs=1)
        self.log.run([(arm, seed) for seed in first_seeds for arm in arms], now + (until - now) / 3, "first seeds")
        pairs = [trial for pair in self._with_gain() for trial in self._trials_of(pair)]
        self.log.run(pairs, now + (until - now) * 2 / 3, "single remedies")

    def _with_gain(self) -> list[Pair[A]]:
        """The remedies with a gain so far, the largest first."""
        gains = [effect.difference.mean if effect.difference else -math.inf for effect in self.effects]
        ranked = sorted(range(len(gains)), key=lambda place: -gains[place])
        return [self.pairs[place] for place in ranked if gains[place] >= MARGIN]

    def _trials_of(self, pair: Pair[A]) -> Iterator[tuple[A, int]]:
        """The trials that judge a remedy: with all seeds beside the unchanged spec, then those of its control."""
        for arms in ((self.factory.unchanged, pair.arm), (pair.control,)):
            for seed in self.log.seeds:
                yield from ((arm, seed) for arm in arms if arm)

    def _complete(self) -> None:
        """Try what is left of the remedies and their controls, one seed after another."""
        trials = [(arm, seed) for seed in self.log.seeds for arm in self._arms]
        self.log.run(trials, self.log.until, "single remedies")

    def _combine(self) -> tuple[list[Combination], Incumbent[A] | None]:
        """The combinations that were tried, and the best arm of all; None where nothing gains."""
        effects = self.effects
        plausible = [pair for pair, effect in zip(self.pairs, effects, strict=True) if _plausible(effect)]
        gaining = [effect for effect in effects if effect.gains]
        repairing = [effect for effect in gaining if effect.repairs]
        tried: list[Combination] = []
        best = None if repairing else self._first_that_repairs([pair.remedy for pair in plausible], tried)
        if best is None and gaining:
            labels = {effect.arm.label for effect in repairing or gaining}
            best = preferred(
                [self._incumbent(pair.arm) for pair in plausible if pair.arm and pair.remedy.label in labels]
            )
        if best is None:
            return tried, None
        others = [pair.remedy for pair in plausible if pair.remedy.label not in best.names]
        return tried, self._extended(best, others, tried)

    def _extended(self, best: Incumbent[A], remedies: Sequence[Remedy], tried: list[Combination]) -> Incumbent[A]:
        """The best arm with each of the remedies added that improves it."""
        for remedy in remedies:
            if self._tried_enough(tried) or self._leaves_nothing_to_gain(best):
                break
            if added := self._with(best.settings, remedy):
                challenger, combination = self._compare(best, added)
                tried.append(combination)
                best = challenger if combination.kept else best
            elif not merged(best.settings, remedy).setting.changes:
                self._not_combined.append(f"`{remedy.label}`")
        return best

    def _tried_enough(self, tried: Sequence[Combination]) -> bool:
        """Whether no further combination is tried."""
        return self.log.out_of_time or len(tried) >= self._most_combinations

    def _first_that_repairs(self, remedies: Sequence[Remedy], tried: list[Combination]) -> Incumbent[A] | None:
        """The first combination that repairs where no single remedy does: of the best pairs, then of more remedies."""
        unchanged = self._incumbent(self.factory.unchanged)
        for added in itertools.chain(self._best_pairs(remedies), self._first_combinations(remedies)):
            if self._tried_enough(tried):
                break
            if added.arm.label in (combination.effect.arm.label for combination in tried):
                continue
            challenger, combination = self._compare(unchanged, added)
            repairs = combination.effect.repairs
            tried.append(combination._replace(kept=repairs))
            if repairs:
                return challenger
        return None

    def _best_pairs(self, remedies: Sequence[Remedy]) -> list[A]:
        """The pairs of remedies that gain with the screening seeds, the largest gain first.

        Two faults may hide each other, so that neither remedy helps alone. Pairs are ordered by how likely their
        remedies are, so that the least likely ones are missing where the time is short.
        """
        places = sorted(itertools.combinations(range(len(remedies)), 2), key=sum)
        pairs = [pair for one, other in places if (pair := self._pair(remedies[one], remedies[other]))]
        if len(pairs) < 2:
            return pairs
        first = max(self.log.seeds) + 1
        seeds = range(first, first + _SCREENING_SEEDS)
        now = time.monotonic()
        trials = [(arm, seed) for seed in seeds for arm in (self.factory.unchanged, *pairs)]
        self.log.run(trials, now + (self.log.until - now) / 2, "pairs of remedies")
        unchanged = self.log.scores_of(self.factory.unchanged, self.score, seeds)
        gains = [
            differences(self.log.scores_of(pair, self.score, seeds).values, unchanged.values, self.comparisons)[0]
            for pair in pairs
        ]
        ranked = sorted(zip(gains, pairs, strict=True), key=lambda each: -each[0].mean if each[0] else math.inf)
        return [pair for gain, pair in ranked if gain and gain.mean >= MARGIN]

    def _pair(self, one: Remedy, other: Remedy) -> A | None:
        """Two remedies together; None where they change the same places."""
        left, given_up = merged([setting_of(one)], other)
        return None if given_up or left.changes != other.changes else self._with([setting_of(one)], other)

    def _first_combinations(self, remedies: Sequence[Remedy]) -> Iterator[A]:
        """The first two remedies, the first three, ...; then the first with each that changes a taken place."""
        settings: tuple[Setting, ...] = ()
        alternatives = []
        for remedy in remedies:
            added = self._with(settings, remedy)
            if added is None:
                alternatives.append(remedy)
                continue
            settings = added.arm.settings
            if len(settings) > 1:
                yield added
        for remedy in alternatives:
            if added := self._with(settings[:1], remedy):
                yield added

    def _with(self, settings: Sequence[Setting], remedy: Remedy) -> A | None:
        """The arm with a remedy added to settings; None where it adds nothing or makes no spec."""
        setting, given_up = merged(settings, remedy)
        if not setting.changes:
            return None
        if given_up:
            more = f" and {len(given_up) - _LISTED_PLACES} more" if len(given_up) > _LISTED_PLACES else ""
            places = ", ".join(given_up[:_LISTED_PLACES]) + more
            self._remarks.append(f"An earlier remedy changes {places}: only the rest of `{remedy.label}` is tried.")
        extended = [*settings, setting]
        return self._candidate(" + ".join(setting.label for setting in extended), extended)

    def _compare(self, base: Incumbent[A], added: A) -> tuple[Incumbent[A], Combination]:
        """Try an arm against the best one so far: with all seeds where the first ones show a gain."""
        stage = f"combination of {len(added.arm.settings)} remedies"
        for seeds in (self.log.seeds[:_FIRST_SEEDS], self.log.seeds):
            arms = (self.factory.unchanged, base.candidate, added)
            self.log.run([(arm, seed) for seed in seeds for arm in arms], self.log.until, stage)
            base = self._incumbent(base.candidate)
            challenger = self._incumbent(added)
            gain = differences(challenger.scores.values, base.scores.values, self.comparisons)[0]
            if gain is None or gain.mean <= 0:
                break
        combination = Combination(
            remedies=challenger.names,
            effect=self._effect(challenger.scores),
            base=base.names,
            gain=gain,
            kept=improves(base.scores, challenger.scores, gain),
        )
        return challenger, combination

    def _leaves_nothing_to_gain(self, best: Incumbent[A]) -> bool:
        if 1 - best.scores.mean >= MARGIN:
            return False
        names = " + ".join(best.names)
        self._remarks.append(f"`{names}` is within {MARGIN:g} of the highest score: no further remedy was added.")
        return True

    def _effect_of(self, best: Incumbent[A]) -> RemedyEffect:
        """The effect of the best arm; a combination gets its own control."""
        single = [effect for effect in self.effects if best.names == (effect.arm.label,)]
        if single:
            return single[0]
        control = self._control(best.candidate)
        if control:
            self.log.run([(control, seed) for seed in self.log.seeds], self.log.until, "control of the repair")
        return self._effect(best.scores, self._result_of(control) if control else None)

    def _incumbent(self, arm: A) -> Incumbent[A]:
        return Incumbent(arm, self._result_of(arm))


def _plausible(effect: RemedyEffect) -> bool:
    """Whether a remedy may help in combination with others."""
    return not effect.arm.problem and effect.verdict != "harms"


def preferred(incumbents: Sequence[Incumbent[A]]) -> Incumbent[A]:
    """The best arm; of those that it does not improve on, that with the fewest updates, then the fewest changes.

    Of arms that are equal in these too, the first one: remedies are ordered by how likely they are.
    """
    best = max(incumbents, key=lambda each: each.scores.mean)

    def is_as_good(other: Incumbent[A]) -> bool:
        gain = differences(best.scores.values, other.scores.values, comparisons=1)[0]
        return gain is not None and not improves(other.scores, best.scores, gain)

    return min(
        (each for each in incumbents if each is best or is_as_good(each)),
        key=lambda each: (each.candidate.updates, each.candidate.changed_settings),
    )


def improves(base: ArmScores, challenger: ArmScores, gain: Difference | None) -> bool:
    """Whether an addition is kept: its gain lies above 0, or it harms no seed and gains at least MARGIN on average.

    Only some seeds may need the addition. One that diverges more often is not kept.

    >>> base, challenger = (ArmScores("", (), np.array(values)) for values in ([0.5, 0.5, 0.9], [0.5, 0.8, 0.9]))
    >>> gain = differences(challenger.values, base.values)[0]
    >>> gain.verdict, improves(base, challenger, gain), improves(challenger, base, gain)
    ('undecided', True, False)
    """
    if gain is None or challenger.diverges_more_often_than(base):
        return False
    harmed = bool((challenger.values < base.values).any())
    return gain.verdict == "higher" or (not harmed and gain.mean >= MARGIN)
