"""How an experiment is run: what is finished is read, the rest is tried, all is compared."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..core.errors import InputError
from ..core.progress import ProgressMessage
from ..parts.settings import Light
from ..runs.run_folder import make_room
from ..spec.spec import Spec
from .comparison import Comparison
from .experiment import Experiment, Trial
from .results import TRIALS, TrialResult, keep_trial, read_results, read_trial
from .runner import run_trials
from .shipped import read_experiment

# The folder, beside the finished trials, of those that run.
_RUNNING = ".running-"


def compare(
    spec: Spec | Mapping[str, Any] | str | Path,
    vary: Mapping[str, Any] | None = None,
    seeds: int | Mapping[str, Any] | None = None,
    *,
    measure: str | None = None,
    baseline: str | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Comparison:
    """Try every arm of an experiment with every seed, and compare them, paired by seed.

    spec is a `Spec`, its tables, the path of a file, or a name; `vary`, `seeds`, `measure` and `baseline` are the
    sections [vary], [seeds] and [compare] of an experiment's file, and stand in their place where they are given: paths
    with lists of values, ranges with `random`, or named arms. `jobs` is the number of processes (None: one for each
    core; 1: this one), `cluster` the address of a Dask or Ray cluster. With a folder each trial is a run there, and
    trials that it holds are not run again. Raises InputError before the first trial starts where any of them can not
    be, and KeyboardInterrupt at Ctrl-C.

    >>> network = {"kind": "mlp", "hidden": [4], "activation": "tanh"}
    >>> spec = {"data": {"source": "rings"}, "network": network, "training": {"epochs": 5, "engine": "eager"}}
    >>> found = compare(spec, {"optimizer": ["sgd 0.1", "adam 0.1"]}, seeds=2, jobs=1, progress=False)
    >>> found.best.label, found.table.height
    ('optimizer adam 0.1', 4)
    """
    from ..core.progress import loading, working

    name, tables = _tables(spec)
    tables |= {key: value for key, value in (("vary", vary), ("seeds", seeds)) if value is not None}
    chosen = {key: value for key, value in (("measure", measure), ("baseline", baseline)) if value is not None}
    tables["compare"] = {**tables.get("compare", {}), **chosen}
    experiment = Experiment.of(tables, name)
    with working(not progress) as watch:
        return run_experiment(experiment, Path(folder) if folder else None, jobs, cluster, watch, loading(not progress))


def _tables(spec: Spec | Mapping[str, Any] | str | Path) -> tuple[str, dict[str, Any]]:
    if isinstance(spec, Spec):
        table: dict[str, Any] = spec.describe()
        table["data"]["source"] = spec.data.source
        if spec.probes == Light():
            del table["probes"]
        return "experiment", table
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
    """What `compare` does, for an experiment that is made already; with the comparison written into the folder."""
    if jobs is not None and jobs < 1:
        raise InputError("jobs", f"expected a number of processes of at least 1, received {jobs}")
    trials = experiment.trials(loading)
    if folder is None:
        return _compared(experiment, trials, None, jobs, cluster, watch)
    with held(folder):
        found = _compared(experiment, trials, folder, jobs, cluster, watch)
        watch(ProgressMessage("writing the report"))
        found.save(folder)
        return found


def _compared(
    experiment: Experiment,
    trials: tuple[Trial, ...],
    folder: Path | None,
    jobs: int | None,
    cluster: str | None,
    watch: Callable[[ProgressMessage], None],
) -> Comparison:
    results, failed = tried(trials, folder, jobs, cluster, watch)
    if not results:
        raise next(iter(failed.values()))
    return Comparison(experiment, trials, results, failed, folder)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder of an experiment for one process alone, without the remains of trials that were broken off.

    Raises InputError where another process has it, and where it can not be made or written.
    """
    make_room(folder / TRIALS)
    try:
        lock = FileLock(folder / ".lock").acquire(blocking=False)
    except Timeout as error:
        raise InputError(str(folder), "another process is running an experiment here; wait, or take --out") from error
    with lock:
        for remains in folder.glob(f"{_RUNNING}*"):
            shutil.rmtree(remains, ignore_errors=True)
        yield


def tried(
    trials: Sequence[Trial],
    folder: Path | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    watch: Callable[[ProgressMessage], None] = lambda now: None,
    until: float = math.inf,
) -> tuple[dict[str, TrialResult], dict[str, InputError]]:
    """The results of trials by their keys, and the errors of those that could not run.

    What lies finished in the folder is read, the rest is run and kept there; without a folder the runs are thrown away.
    The other options are those of `run_trials`.
    """
    results = read_results(folder, (trial.key for trial in trials)) if folder else {}
    known, began = len(results), time.monotonic()
    missing = [trial for trial in trials if trial.key not in results]

    def finished(trial: Trial, path: Path) -> None:
        if folder:
            results[trial.key] = read_trial(keep_trial(path, folder))
        else:
            results[trial.key] = read_trial(path)._replace(folder=None)
            shutil.rmtree(path)
        done = len(results)
        each = (time.monotonic() - began) / (done - known)
        left = round(each * (len(trials) - done))
        watch(ProgressMessage(f"trial {done} of {len(trials)}, {left // 60}:{left % 60:02} left", done / len(trials)))

    failed: dict[str, InputError] = {}
    if missing:
        watch(ProgressMessage(f"trial {known} of {len(trials)}: starting", known / len(trials)))
        with tempfile.TemporaryDirectory(prefix=_RUNNING, dir=folder, ignore_cleanup_errors=True) as running:
            failed = run_trials(missing, Path(running), finished, jobs, cluster, until)
    return results, failed
