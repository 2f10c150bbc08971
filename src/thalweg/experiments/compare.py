"""Run an experiment: read the finished trials, run the missing ones, compare the arms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ..core.errors import InputError
from ..core.progress import ProgressMessage
from ..parts.settings import Light
from ..spec.spec import Spec
from ..spec.toml import read_spec_table
from .choices import choices_of, fresh_experiment
from .comparison import Comparison
from .experiment import CheckedArm, Compare, Experiment, Trial
from .results import EXPERIMENT_FILE, TrialResult, locked_folder, read_results
from .runner import run_missing
from .shipped import read_experiment
from .tuned import TunedComparison, rows_in_words, unseen_measure

_Results: TypeAlias = tuple[dict[str, TrialResult], dict[str, InputError]]
"""The results of trials by key, and what is wrong with those that have none."""


def compare(
    spec: Spec | Mapping[str, object] | str | Path,
    vary: Mapping[str, object] | None = None,
    seeds: int | Mapping[str, object] | None = None,
    *,
    measure: str | None = None,
    baseline: str | None = None,
    best_over: str | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Comparison:
    """Try every arm of an experiment with every seed, and compare the arms, paired by seed.

    Args:
        spec: a `Spec`, its tables, the path of a file, or a name.
        vary: what varies, instead of the spec's [vary]: paths with lists of values, ranges with `random`, or named
            arms.
        seeds: number of seeds, or the [seeds] section, instead of the spec's.
        measure: the measure to compare by, as "validation_loss".
        baseline: label of the arm that the others are compared with; by default the first one that learned.
        best_over: an axis, as "optimizer.learning_rate". For each combination of the other axes its best level is
            chosen on validation rows, and these are compared on fresh seeds (`TunedComparison`).
        jobs: number of processes. None: one for each core; 1: this process.
        cluster: address of a Dask or Ray cluster to run on instead, as "dask://10.0.0.1:8786".
        folder: keeps each trial as a run; trials that it holds are not run again.
        progress: whether to show the progress on stderr.

    Raises:
        InputError: with every problem, before the first trial starts.
        KeyboardInterrupt: at Ctrl-C.

    >>> network = {"kind": "mlp", "hidden": [4], "activation": "tanh"}
    >>> spec = {"data": {"source": "rings"}, "network": network, "training": {"epochs": 5, "engine": "eager"}}
    >>> comparison = compare(spec, {"optimizer": ["sgd 0.1", "adam 0.1"]}, seeds=2, jobs=1, progress=False)
    >>> comparison.best.label, comparison.table.height
    ('optimizer adam 0.1', 4)
    """
    from ..core.progress import loading, working

    name, tables = _tables(spec)
    if vary is not None:
        tables["vary"] = vary
    if seeds is not None:
        tables["seeds"] = seeds
    given = {"measure": measure, "baseline": baseline, "best_over": best_over}
    chosen = {key: value for key, value in given.items() if value is not None}
    section = tables.get("compare", {})
    table = section.describe() if isinstance(section, Compare) else section
    if isinstance(table, Mapping):
        tables["compare"] = {**table, **chosen}
    experiment = Experiment.of(tables, name)
    with working(not progress) as watch:
        return run_experiment(experiment, Path(folder) if folder else None, jobs, cluster, watch, loading(not progress))


def _tables(spec: Spec | Mapping[str, object] | str | Path) -> tuple[str, dict[str, object]]:
    if isinstance(spec, Spec):
        tables: dict[str, object] = {**spec.describe()}
        if spec.probes == Light():
            # The default of a spec, and not a wish of the user: trials run without probes then.
            del tables["probes"]
        tables["data"] = {**spec.data.describe(), "source": spec.data.source}
        return "experiment", tables
    if isinstance(spec, Mapping):
        return "experiment", dict(spec)
    return Path(spec).stem, read_experiment(str(spec))


def run_experiment(
    experiment: Experiment,
    folder: Path | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    watch: Callable[[ProgressMessage], None] = lambda now: None,
    loading: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """`compare` for an experiment that is made already; the comparison is saved in the folder.

    Args:
        experiment: the experiment.
        folder: as in `compare`.
        jobs: as in `compare`.
        cluster: as in `compare`.
        watch: is called with the progress.
        loading: is called with the number of rows prepared and their total, while data are loaded.
    """
    if jobs is not None and jobs < 1:
        raise InputError("jobs", f"expected a number of processes of at least 1, received {jobs}")
    arms = experiment.checked_arms(loading)
    run = Stages(experiment, arms, folder, partial(run_missing, folder=folder, jobs=jobs, cluster=cluster), watch)
    if folder is None:
        return run.compared()
    with locked_folder(folder):
        comparison = run.compared()
        watch(ProgressMessage("writing the report"))
        comparison.save(folder)
        return comparison


def load_comparison(folder: str | Path, loading: Callable[[int, int], None] = lambda done, total: None) -> Comparison:
    """The comparison of an experiment's folder, from its finished trials; nothing is trained.

    Args:
        folder: the folder of an experiment.
        loading: is called with the number of rows prepared and their total, while data are loaded.

    Raises:
        InputError: this is not the folder of an experiment, its data are missing, or none of its trials has finished.
    """
    folder = Path(folder)
    file = folder / EXPERIMENT_FILE
    if not file.is_file():
        raise InputError(str(folder), f"not the folder of an experiment: {EXPERIMENT_FILE} is missing")
    experiment = Experiment.of(read_spec_table(str(file)), folder.name)
    finish = f"it has not run; `thalweg experiment {file} --out {folder}` runs it"

    def finished(trials: Sequence[Trial], watch: Callable[[ProgressMessage], None]) -> _Results:
        results = read_results(folder, (trial.key for trial in trials))
        return results, {t.key: InputError(t.arm.label, finish) for t in trials if t.key not in results}

    return Stages(experiment, experiment.checked_arms(loading), folder, finished, lambda now: None).compared()


@dataclass(frozen=True)
class Stages:
    """The stages of an experiment: one, or with `compare.best_over` two.

    Attributes:
        experiment: the experiment.
        arms: its arms, checked.
        folder: as in `compare`.
        results_of: the results of trials.
        watch: is called with the progress.
    """

    experiment: Experiment
    arms: tuple[CheckedArm, ...]
    folder: Path | None
    results_of: Callable[..., _Results]
    watch: Callable[[ProgressMessage], None]

    def compared(self) -> Comparison:
        """The comparison of the arms; with `compare.best_over` of those with the best levels, over the fresh seeds."""
        axis = self.experiment.nuisance
        if axis is None:
            return self._run(self.experiment)
        tuning = self._run(self.experiment, f"tuning {axis.name}: ")
        choices = choices_of(self.experiment, axis, tuning.ranking)
        if not any(choice.best for choice in choices):
            return tuning
        fresh = self._run(fresh_experiment(self.experiment, choices), "fresh seeds: ")
        measure = unseen_measure(fresh.measure, fresh.results.values())
        compare = replace(fresh.experiment.compare, measure=measure)
        return TunedComparison(
            experiment=replace(fresh.experiment, compare=compare),
            trials=fresh.trials,
            results=fresh.results,
            failed=fresh.failed,
            folder=fresh.folder,
            constants=fresh.constants,
            tuning=tuning,
            choices=choices,
            rows=rows_in_words(measure, fresh.trials[0].spec.data),
        )

    def _run(self, experiment: Experiment, stage: str = "") -> Comparison:
        """The comparison of the arms of an experiment: all of this one, or some of them with other seeds."""

        def watch(now: ProgressMessage) -> None:
            self.watch(ProgressMessage(f"{stage}{now.text}", now.fraction))

        labels = {arm.label for arm in experiment.arms}
        arms = [arm for arm in self.arms if arm.arm.label in labels]
        trials = tuple(arm.trial(seed) for seed in experiment.seeds.numbers for arm in arms)
        results, failed = self.results_of(trials, watch=watch)
        if not results:
            raise next(iter(failed.values()))
        constants = {arm.arm.label: arm.constant for arm in arms}
        return Comparison(experiment, trials, results, failed, self.folder, constants)
