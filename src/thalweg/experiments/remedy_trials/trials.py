"""The trials of remedy trials: which were run, and what each arm scores."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...core.progress import ProgressMessage
from ..results import TrialResult
from ..runner import run_missing
from .effects import ArmScores
from .score import Score
from .tried_arm import TriedArm

# Processes take seconds to start: trials that this process can run in this time are run here.
_WORTH_PROCESSES = 20.0


class TrialLog:
    """Runs trials, each of them once, and keeps their results.

    Attributes:
        seeds: the seeds of every arm.
        jobs: number of processes; None: one for each core, where there is enough to do.
        until: the time, as of `time.monotonic`, after which no trial is waited for.
        results: results by the key of the trial.
        failed: errors of the trials that could not run, by key.
        requested: keys of all trials that were asked for.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        jobs: int | None,
        folder: Path | None,
        until: float,
        watch: Callable[[ProgressMessage], None],
    ) -> None:
        self.seeds = seeds
        self.jobs = jobs
        self.until = until
        self.results: dict[str, TrialResult] = {}
        self.failed: dict[str, InputError] = {}
        self.requested: set[str] = set()
        self._folder = folder
        self._watch = watch

    @property
    def out_of_time(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.until

    @property
    def not_run(self) -> int:
        """Number of trials that were asked for and not run."""
        return len(self.requested - self.results.keys() - self.failed.keys())

    def run(self, pairs: Iterable[tuple[TriedArm, int]], until: float, stage: str, jobs: int | None = None) -> None:
        """Run the trials of arms and seeds that have no result yet, in this order.

        Args:
            pairs: arms with seeds.
            until: the time after which no further trial is waited for.
            stage: what is being tried, for the progress.
            jobs: number of processes, instead of the usual one.
        """
        trials = {trial.key: trial for trial in (arm.trial(seed) for arm, seed in pairs)}
        missing = [trial for key, trial in trials.items() if key not in self.results and key not in self.failed]

        def watch(now: ProgressMessage) -> None:
            self._watch(ProgressMessage(f"{stage}: {now.text}", now.fraction))

        jobs = jobs or self.processes(len(missing))
        results, failed = run_missing(missing, self._folder, jobs, None, watch, until, self.until)
        self.requested |= trials.keys()
        self.results |= results
        self.failed |= failed

    def processes(self, trials: int) -> int | None:
        """The number of processes that suits a number of trials; None: one for each core."""
        if self.jobs:
            return self.jobs
        fastest = min((result.seconds for result in self.results.values()), default=math.inf)
        return 1 if fastest * trials < _WORTH_PROCESSES else None

    def scores_of(self, arm: TriedArm, score: Score, seeds: range | None = None) -> ArmScores:
        """The scores of an arm, as far as it was tried: with the seeds of every arm, or with other ones."""
        trials = [arm.trial(seed) for seed in seeds or self.seeds]
        results = [self.results.get(trial.key) for trial in trials]
        values = np.array([score.of(result) if result else math.nan for result in results])
        lost = np.isnan(values) & np.array([result is not None for result in results])
        if not np.isfinite(values).any():
            # No answer is right with any seed.
            values[lost] = score.least
        errors = [str(self.failed[trial.key]) for trial in trials if trial.key in self.failed]
        return ArmScores(
            label=arm.arm.label,
            changes=arm.arm.changes,
            values=values,
            lost=tuple(lost.tolist()),
            least=score.least,
            updates=arm.updates,
            problem=errors[0] if errors else "",
        )
