"""Which settings explain the difference of two outcomes: each is tried in paired trials, in both directions."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from ...core.errors import InputError
from ...core.progress import Watch
from ...data import Split
from ...doctor.measurements import LEARNED
from ...spec.differences import Change
from ...spec.spec import CompleteSpec
from ..remedy_trials.arms import ArmFactory, Candidate
from ..remedy_trials.score import Score, can_score, score_for
from ..remedy_trials.trials import TrialLog
from ..variation import Setting
from .record import RunRecord

MOST_ALONE = 8
"""More settings than this are tried in groups, which are halved where they have an effect."""
SEED = "training.seed"
# Options of the data that name parts of the source: a source without them cannot be read.
_WITH_SOURCE = ("data.source", "data.target", "data.task")
_EPOCHS = "training.epochs"

Verdict = Literal["explains", "explains part", "no effect", "not tried"]


class Effect(NamedTuple):
    """What a setting contributes to the difference of two outcomes.

    Attributes:
        changes: the settings that were tried together, from the worse run's value to the better one's.
        restored: gain of the worse run with the better one's values, a mean over the seeds; NaN where not tried.
        removed: loss of the better run with the worse one's values, a mean over the seeds; NaN where not tried.
        share: mean of both, divided by the difference of the outcomes; NaN where not tried.
        verdict: "explains" for two thirds of the difference or more, "explains part", "no effect" or "not tried".
        remark: why it was not tried, or how it was tried.
    """

    changes: tuple[Change, ...]
    restored: float
    removed: float
    share: float
    verdict: Verdict
    remark: str = ""

    @property
    def label(self) -> str:
        """The places of the settings."""
        return ", ".join(change.path for change in self.changes)


class Explanation(NamedTuple):
    """Which settings explain the difference of two outcomes.

    Attributes:
        score: what the trials are scored by; None where nothing was tried.
        seeds: the seeds of the trials.
        epochs: epochs of a trial of the worse and of the better spec.
        scores: score of the worse and of the better spec in the trials, means over the seeds.
        gap: the difference to explain.
        effects: the settings, those that explain most first.
        remark: why nothing was tried, or what limits the result.
    """

    score: Score | None
    seeds: tuple[int, ...]
    epochs: tuple[int, int]
    scores: tuple[float, float]
    gap: float
    effects: tuple[Effect, ...]
    remark: str = ""


def not_tried(changes: Sequence[Change], remark: str) -> Explanation:
    """The explanation where nothing was tried."""
    nan = math.nan
    effects = tuple(Effect((change,), nan, nan, nan, "not tried", remark) for change in changes)
    return Explanation(None, (), (0, 0), (nan, nan), nan, effects, remark)


def score_of_both(one: Split, other: Split) -> Score:
    """The score of two runs: on validation rows, where those of both can score, else on training rows."""
    held_out = all(split.validation is not None and can_score(split.validation) for split in (one, other))
    return score_for(one if held_out else dataclasses.replace(one, validation=None))


def explain_outcome(
    worse: RunRecord,
    better: RunRecord,
    changes: Sequence[Change],
    *,
    seeds: int,
    seconds: float,
    watch: Watch,
) -> Explanation:
    """Put each setting of the better run into the worse one, and take it away from the better one.

    All trials have the same seeds: those of both runs first. A training that takes longer than its share of the time
    is shortened, in all trials alike.

    Args:
        worse: the run with the lower score.
        better: the run with the higher score.
        changes: the settings that differ, from the worse run's value to the better one's.
        seeds: number of seeds.
        seconds: the time after which no further trial begins.
        watch: hears of the progress.
    """
    assert worse.split and better.split
    specs = _shortened((worse, better), len(changes), seeds, seconds)
    own = [record.run.spec.training.seed for record in (worse, better)]
    numbers = tuple(dict.fromkeys([*own, *range(own[0], own[0] + seeds)]))[: max(seeds, len(set(own)))]
    try:
        factories = ArmFactory(specs[0]), ArmFactory(specs[1])
    except InputError as error:
        return not_tried(changes, str(error))
    log = TrialLog(numbers, None, None, time.monotonic() + seconds, watch)
    trials = _Trials(factories, score_of_both(worse.split, better.split), log, own)
    return trials.explanation(changes, (specs[0].training.epochs, specs[1].training.epochs))


def _shortened(
    records: tuple[RunRecord, RunRecord], changes: int, seeds: int, seconds: float
) -> tuple[CompleteSpec, CompleteSpec]:
    """Both specs, with the same fraction of their epochs that lets all trials end in time."""
    trials = (1 + changes) * seeds
    needed = trials * sum(record.run.seconds for record in records)
    fraction = min(1.0, seconds / max(needed, 1e-9))

    def shortened(spec: CompleteSpec) -> CompleteSpec:
        epochs = max(1, math.ceil(spec.training.epochs * fraction))
        return dataclasses.replace(spec, training=dataclasses.replace(spec.training, epochs=epochs))

    one, other = (shortened(record.run.spec) for record in records)
    return one, other


class _Trials:
    """The paired trials of two specs and of what lies between them."""

    def __init__(
        self, factories: tuple[ArmFactory, ArmFactory], score: Score, log: TrialLog, own_seeds: Sequence[int]
    ) -> None:
        self.factories = factories
        self.score = score
        self.log = log
        self.own_seeds = own_seeds
        self.base = [self._scores(factory.unchanged, jobs=1) for factory in factories]
        # A single row of the score: nothing below it can be seen.
        self.smallest = 1 / score.row_count

    def explanation(self, changes: Sequence[Change], epochs: tuple[int, int]) -> Explanation:
        """Try the changes: each alone, or in groups that are halved."""
        settings = [change for change in changes if change.path != SEED]
        reseeded = [change for change in changes if change.path == SEED]
        gaps = self.base[1] - self.base[0]
        seeds = list(self.log.seeds)
        gap = float(np.mean(gaps))
        if reseeded:
            gap = float(self.base[1][seeds.index(self.own_seeds[1])] - self.base[0][seeds.index(self.own_seeds[0])])
        remark = ""
        effects: list[Effect] = []
        if not math.isfinite(gap):
            remark = "the time did not suffice for both specs with all seeds"
        elif not gap > self._noise(gaps if not reseeded else gaps[:1]):
            remark = "the difference of the outcomes does not show in the paired trials"
        if remark:
            effects = list(not_tried(changes, remark).effects)
        else:
            effects = [self._seed_effect(change, gap) for change in reseeded] + self._in_groups(settings, gap)
        shares = [-math.inf if math.isnan(effect.share) else effect.share for effect in effects]
        order = sorted(range(len(effects)), key=lambda index: -shares[index])
        means = (float(np.mean(self.base[0])), float(np.mean(self.base[1])))
        return Explanation(
            self.score, tuple(seeds), epochs, means, gap, tuple(effects[index] for index in order), remark
        )

    def _in_groups(self, changes: Sequence[Change], gap: float) -> list[Effect]:
        together = [
            tuple(change for change in changes if change.path.startswith(_WITH_SOURCE)),
            tuple(change for change in changes if self._is_of_output(change)),
        ]
        alone = [(change,) for change in changes if not any(change in unit for unit in together)]
        units = [*filter(None, together), *alone]
        if len(units) <= MOST_ALONE:
            return [self._effect(unit, gap) for unit in units]
        return self._halved(units, gap)

    def _is_of_output(self, change: Change) -> bool:
        """Whether it changes the last weights, what follows them, or the loss: these suit each other in a spec."""
        section, _, rest = change.path.partition("network.layers.")
        if section or not rest:
            return change.path.partition(".")[0] == "loss"
        layers = self.factories[0].spec.network.layers
        last = max((index for index, layer in enumerate(layers) if layer.has_weights or layer.inner), default=0)
        return int(rest.partition(".")[0]) >= last

    def _halved(self, units: Sequence[tuple[Change, ...]], gap: float) -> list[Effect]:
        """The effects of many settings: half of them together, and further only where that has an effect."""
        if len(units) == 1:
            return [self._effect(units[0], gap)]
        found: list[Effect] = []
        for half in (units[: len(units) // 2], units[len(units) // 2 :]):
            together = self._effect(tuple(change for unit in half for change in unit), gap)
            if together.verdict == "no effect":
                remark = f"tried together with {len(half) - 1} others" if len(half) > 1 else ""
                found += [together._replace(changes=unit, remark=remark) for unit in half]
            else:
                found += self._halved(half, gap) if len(half) > 1 else [together]
        return found

    def _effect(self, changes: tuple[Change, ...], gap: float) -> Effect:
        nan = math.nan
        if self.log.out_of_time:
            return Effect(changes, nan, nan, nan, "not tried", "the time is over")
        gains = []
        problems = []
        for factory, base, sign in zip(self.factories, self.base, (1, -1), strict=True):
            settings = [
                Setting(change.path, change.path, ((change.path, self._value(change, sign)),)) for change in changes
            ]
            try:
                candidate = factory.candidate(", ".join(change.path for change in changes), settings)
            except InputError as error:
                problems.append(str(error))
                gains.append(np.full(len(base), nan))
                continue
            gains.append(sign * (self._scores(candidate) - base))
        return self._judged(changes, np.array(gains), gap, problems[0] if problems else "")

    def _value(self, change: Change, sign: int) -> object:
        """The value of the better run, or of the worse one; epochs are those of the trials."""
        if change.path == _EPOCHS:
            return self.factories[1 if sign > 0 else 0].spec.training.epochs
        return change.after if sign > 0 else change.before

    def _judged(self, changes: tuple[Change, ...], gains: np.ndarray, gap: float, problem: str) -> Effect:
        """The effect from the gains of both directions and all seeds (2, seeds)."""
        known = gains[np.isfinite(gains).all(axis=1)]
        restored, removed = (float(np.mean(row)) for row in gains)
        if not len(known):
            return Effect(changes, restored, removed, math.nan, "not tried", problem or "the time is over")
        by_seed = known.mean(axis=0)
        effect = float(by_seed.mean())
        share = effect / gap
        verdict: Verdict = "explains" if share >= LEARNED else "explains part"
        remark = f"tried in one direction: {problem}" if problem else ""
        if abs(effect) <= self._noise(by_seed):
            verdict = "no effect"
        elif effect < 0:
            verdict = "no effect"
            remark = "it works in the other direction"
        return Effect(changes, restored, removed, share, verdict, remark)

    def _seed_effect(self, change: Change, gap: float) -> Effect:
        """The effect of the seed: both specs are tried with both seeds already."""
        seeds = list(self.log.seeds)
        worse, better = (seeds.index(seed) for seed in self.own_seeds)
        gains = np.array([[scores[better] - scores[worse]] for scores in self.base])
        return self._judged((change,), gains, gap, "")

    def _noise(self, values: np.ndarray) -> float:
        """The largest mean of these paired differences that may be chance: one row, or two standard errors."""
        error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        return max(self.smallest, 2 * error)

    def _scores(self, candidate: Candidate, jobs: int | None = None) -> np.ndarray:
        """The score of an arm with each seed; a training that diverged has learned nothing."""
        pairs = [(candidate, seed) for seed in self.log.seeds]
        self.log.run(pairs, self.log.until, candidate.arm.label, jobs)
        found = self.log.scores_of(candidate, self.score)
        lost = np.array(found.lost, dtype=bool)
        return np.where(lost & np.isnan(found.values), self.score.constant, found.values)
