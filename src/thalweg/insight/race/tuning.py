"""Tuning of an optimizer before a race, repeated with other trials and other starts, and its result by the budget."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...parts.part import Optimizer
from .trials import RaceResult, RaceTrack, draw_starts, noise_key_for, variant


class Tuning(NamedTuple):
    """One tuning by random search, and the race of each trial that was the best so far.

    Attributes:
        trials: the numbers (k,) of the trials that improved on all before them, counted from 1; the first is 1.
        results: the race of each of them (k,), from starts that no trial was judged on.
    """

    trials: tuple[int, ...]
    results: tuple[RaceResult, ...]

    def after(self, budget: int) -> RaceResult:
        """The race of the best of the first `budget` trials."""
        return self.results[bisect.bisect_right(self.trials, budget) - 1]


@dataclass(frozen=True)
class Contender:
    """An optimizer with its tunings; each repetition has trials and starts of its own, the same for all optimizers.

    Attributes:
        name: the kind of the optimizer.
        tunings: the repetitions.
        budget: the number of trials of each tuning.
    """

    name: str
    tunings: tuple[Tuning, ...]
    budget: int

    @property
    def default(self) -> RaceResult:
        """The race with the given hyper-parameters, which are the first trial, in the first repetition."""
        return self.tunings[0].after(1)

    @property
    def tuned(self) -> RaceResult:
        """The race of the best trial in the first repetition."""
        return self.tunings[0].after(self.budget)

    def races(self, budget: int) -> list[RaceResult]:
        """The races of all repetitions, each tuned with this budget."""
        return [tuning.after(budget) for tuning in self.tunings]

    def arrived(self, budget: int) -> np.ndarray:
        """The fraction of starts from which it arrives, by repetition (repeats,)."""
        return np.array([race.arrived / len(race.steps) for race in self.races(budget)])

    def costs(self, budget: int) -> np.ndarray:
        """The mean number of steps until arrival, by repetition (repeats,); twice the steps of a path for never."""
        return np.array([race.cost[0] for race in self.races(budget)])

    def rank(self, budget: int) -> tuple[float, float]:
        """What contenders are ordered by, the smallest first: mean cost, then mean final height."""
        return float(self.costs(budget).mean()), float(np.mean([race.cost[1] for race in self.races(budget)]))

    def pooled(self, budget: int) -> RaceResult:
        """All starts of all repetitions as one race; optimizer and path are those of the first one."""
        races = self.races(budget)
        return RaceResult(
            optimizer=races[0].optimizer,
            steps=np.concatenate([race.steps for race in races]),
            final_heights=np.concatenate([race.final_heights for race in races]),
            path=races[0].path,
            max_steps=races[0].max_steps,
        )


def tune(
    rule: Optimizer,
    track: RaceTrack,
    starts: int,
    budget: int,
    seeds: Sequence[int],
    target: float,
    watch: Callable[[int, int], None],
) -> Contender:
    """Tune an optimizer once for each seed.

    Args:
        rule: the optimizer as it is given, which is the first trial of each tuning.
        track: runs the trials.
        starts: the number of starts of a trial, and of a race.
        budget: trials of each tuning.
        seeds: a seed for each repetition; it draws the trials, the starts and the noise.
        target: the height above the minimum that counts as arrived.
        watch: is called with the numbers of repetition and trial before each trial, counted from 0.
    """
    tunings = []
    for repeat, seed in enumerate(seeds):
        practice, judged = (draw_starts(track.landscape, starts, seed, purpose) for purpose in ("practice", "race"))
        best = (np.inf, np.inf)
        improved: list[tuple[int, Optimizer]] = []
        for trial in range(budget):
            watch(repeat, trial)
            candidate = variant(rule, seed, trial) if trial else rule
            cost = track.run(candidate, practice, noise_key_for(seed, "practice"), target).cost
            if cost < best or not improved:
                best = cost
                improved.append((trial + 1, candidate))
        results = (track.run(each, judged, noise_key_for(seed, "race"), target) for _, each in improved)
        tunings.append(Tuning(tuple(number for number, _ in improved), tuple(results)))
    return Contender(rule.kind, tuple(tunings), budget)
