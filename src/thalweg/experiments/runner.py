"""Run trials: in this process, in processes of this machine, or on a cluster."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

from ..core.errors import InputError
from ..core.machine import available_cores
from ..core.progress import ProgressMessage
from ..engine.choice import ends_sooner_together, group_size
from .clusters import cluster_workers
from .experiment import Trial
from .processes import local_workers
from .results import RUNNING, TrialResult, keep_trial, read_results, read_trial
from .workers import TrialOutcome, forget_rows, run_group

# A worker may die of a cause other than its trial: each trial that was running is retried alone, this many times.
_ATTEMPTS_ALONE = 2
# After this many rounds in which workers die and no trial finishes, the trials are not the cause.
_FRUITLESS_ROUNDS = 3

_Group: TypeAlias = Sequence[Trial[object]]
"""Trials that one process runs as one program; most often a single trial."""
_Runner: TypeAlias = Callable[[Sequence[_Group]], Iterator[TrialOutcome]]


def run_missing(
    trials: Sequence[Trial[object]],
    folder: Path | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    watch: Callable[[ProgressMessage], None] = lambda now: None,
    until: float = math.inf,
    give_up: float = math.inf,
) -> tuple[dict[str, TrialResult], dict[str, InputError]]:
    """The results of trials by key, and the errors of those that could not run; only missing trials are run.

    Args:
        trials: the trials.
        folder: the experiment's folder. Trials that it holds are read, new ones are added. None: no run is kept.
        jobs: as in `run_trials`.
        cluster: as in `run_trials`.
        watch: is called with the progress.
        until: as in `run_trials`.
        give_up: as in `run_trials`.
    """
    results = read_results(folder, (trial.key for trial in trials)) if folder else {}
    known = len(results)
    missing = [trial for trial in trials if trial.key not in results]
    # The first trials of each process also import and compile, so that they tell nothing of the others.
    width = jobs or len(available_cores())
    starting = 2 * width * max((len(group) for group in _groups(missing, width, cluster)), default=1)
    finishes: list[float] = []

    def finished(trial: Trial[object], path: Path) -> None:
        if folder:
            results[trial.key] = read_trial(keep_trial(path, folder))
        else:
            results[trial.key] = read_trial(path)._replace(folder=None)
            shutil.rmtree(path)
        done = len(results)
        finishes.append(time.monotonic())
        text = f"trial {done} of {len(trials)}"
        if len(finishes) > starting:
            since = finishes[starting - 1]
            left = round((finishes[-1] - since) / (len(finishes) - starting) * (len(trials) - done))
            text += f", {left // 60}:{left % 60:02} left"
        watch(ProgressMessage(text, done / len(trials)))

    failed: dict[str, InputError] = {}
    if missing:
        watch(ProgressMessage(f"trial {known} of {len(trials)}: starting", known / len(trials)))
        with tempfile.TemporaryDirectory(prefix=RUNNING, dir=folder, ignore_cleanup_errors=True) as running:
            failed = run_trials(missing, Path(running), finished, jobs, cluster, until, give_up)
    return results, failed


def run_trials(
    trials: Sequence[Trial[object]],
    folder: Path,
    finished: Callable[[Trial[object], Path], None],
    jobs: int | None = None,
    cluster: str | None = None,
    until: float = math.inf,
    give_up: float = math.inf,
) -> dict[str, InputError]:
    """Run trials, and hand over the folder of each finished run once. Returns the errors of those that could not run.

    When a worker dies, the trials that were running are retried one by one. A trial whose workers die again could not
    run.

    Args:
        trials: the trials.
        folder: the folder below which the folders of the runs are made.
        finished: is called in this process with each finished trial and the folder of its run, and takes that folder
            over.
        jobs: number of processes. None: one for each core; 1: this process.
        cluster: address of a Dask or Ray cluster to run on instead.
        until: the time, as of `time.monotonic`, after which no further trial is waited for.
        give_up: the time at which a trial that is running on this machine is given up.

    Raises:
        InputError: no such cluster answers, a run cannot be written, or workers die again and again without finishing
            a trial.
        KeyboardInterrupt: at Ctrl-C.
    """
    queue = _TrialQueue(trials, folder, finished, until)
    jobs = min(jobs or len(available_cores()), len(trials))
    fruitless = 0
    with _workers(trials, folder, cluster, jobs, give_up) as (run, width):
        while queue.missing and fruitless < _FRUITLESS_ROUNDS and not queue.out_of_time:
            before = queue.finished_count
            groups = _groups(list(queue.missing.values()), jobs, cluster)
            try:
                queue.collect(run, groups)
            except _WorkerLostError:
                # Groups start in order: those that were running are the first of the missing ones.
                left = [[trial for trial in group if trial.key in queue.missing] for group in groups]
                for trial in [trial for group in list(filter(None, left))[:width] for trial in group]:
                    if not queue.out_of_time:
                        queue.run_alone(run, trial)
                fruitless = fruitless + 1 if queue.finished_count == before else 0
    if queue.missing and not queue.out_of_time:
        reason = list(queue.failed.values())[-1]
        raise InputError("experiment", f"workers die with every trial; {len(queue.missing)} are left. {reason}")
    return queue.failed


def _groups(trials: _Group, workers: int, cluster: str | None) -> list[_Group]:
    """The trials in groups, each for one worker, in the order of their first trials; on a cluster each by itself."""
    alike: dict[Hashable, list[int]] = {}
    for number, trial in enumerate(trials):
        together = trial.joint is not None and cluster is None
        alike.setdefault(trial.joint.structure if trial.joint and together else trial.key, []).append(number)
    largest = group_size(len(trials), workers) if trials else 1
    groups: list[list[int]] = []
    for numbers in alike.values():
        joint = trials[numbers[0]].joint
        joins = joint is not None and ends_sooner_together(len(numbers) / workers, largest, joint.saving)
        count = -(-len(numbers) // largest) if joins else len(numbers)
        groups += [
            numbers[index * len(numbers) // count : (index + 1) * len(numbers) // count] for index in range(count)
        ]
    return [[trials[number] for number in group] for group in sorted(groups)]


class _WorkerLostError(Exception):
    """A worker or the connection to it died; the message says what is known of the reason."""


class _TrialQueue:
    """The trials of one call: which are missing, and which could not run.

    Attributes:
        missing: trials without an outcome, by key, in the order in which they start.
        failed: errors of the trials that could not run, by key.
        finished_count: number of trials that were handed over.
    """

    def __init__(
        self,
        trials: Sequence[Trial[object]],
        folder: Path,
        finished: Callable[[Trial[object], Path], None],
        until: float,
    ) -> None:
        self.missing = {trial.key: trial for trial in trials}
        self.failed: dict[str, InputError] = {}
        self.finished_count = 0
        self._folder = folder
        self._finished = finished
        self._until = until
        self._given_up = False

    @property
    def out_of_time(self) -> bool:
        """Whether the time is up, by the clock of this process or by that of a trial."""
        return self._given_up or time.monotonic() >= self._until

    def collect(self, run: _Runner, groups: Sequence[_Group]) -> None:
        """Run groups of trials until they have ended or the time is up. Raises _WorkerLostError where a worker dies."""
        with closing(_outcomes(run, groups)) as outcomes:
            for outcome in outcomes:
                trial = self.missing.pop(outcome.key, None)
                if trial is None:
                    continue
                self._record(trial, outcome)
                if self.out_of_time:
                    return

    def _record(self, trial: Trial[object], outcome: TrialOutcome) -> None:
        if outcome.write_error:
            raise InputError(str(self._folder), f"the run of a trial cannot be written: {outcome.write_error}")
        if outcome.out_of_time:
            self.missing[trial.key] = trial
            self._given_up = True
        elif isinstance(outcome.error, InputError):
            self.failed[trial.key] = outcome.error
        elif outcome.error:
            raise outcome.error
        else:
            self._finished(trial, self._folder / trial.key)
            self.finished_count += 1

    def run_alone(self, run: _Runner, trial: Trial[object]) -> None:
        """Run one trial that was running when a worker died; it has failed where its workers die again."""
        for attempt in range(_ATTEMPTS_ALONE):
            try:
                self.collect(run, [[trial]])
                return
            except _WorkerLostError as lost:
                if attempt + 1 == _ATTEMPTS_ALONE:
                    self.failed[trial.key] = _worker_error(self.missing.pop(trial.key), lost)


def _outcomes(run: _Runner, groups: Sequence[_Group]) -> Generator[TrialOutcome]:
    try:
        yield from run(groups)
    except InputError:
        # The disk of this machine.
        raise
    except Exception as error:
        # Exceptions of a trial are returned, so this is the end of a worker; each kind of cluster raises its own type.
        raise _WorkerLostError(f"{type(error).__name__}: {error}".splitlines()[0]) from error


def _worker_error(trial: Trial[object], lost: _WorkerLostError) -> InputError:
    fix = "check the memory that it needs, and run it alone (--jobs 1); on a cluster thalweg must be installed"
    return InputError(f"{trial.arm.label}, seed {trial.seed}", f"every worker that ran it died ({lost}); {fix}")


def _run_here(group: _Group, folder: Path, give_up: float) -> list[TrialOutcome]:
    return run_group([(trial.key, trial.spec) for trial in group], folder, give_up)


@contextmanager
def _workers(
    trials: Sequence[Trial[object]], folder: Path, cluster: str | None, jobs: int, give_up: float
) -> Iterator[tuple[_Runner, int]]:
    """A function that runs trials and yields their outcomes, and how many trials run at a time."""
    if cluster is not None:
        with cluster_workers(cluster, folder) as workers:
            yield workers
    elif jobs > 1:
        with local_workers(trials, jobs, folder, give_up) as run:
            yield run, jobs
    else:
        try:
            yield lambda groups: (outcome for group in groups for outcome in _run_here(group, folder, give_up)), 1
        finally:
            forget_rows()
