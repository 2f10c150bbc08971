"""`thalweg experiment`: run a controlled experiment."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import DataDir, DataFile, Json, Quiet, Settings, Target
from ..output import EXIT_INPUT, print_json
from ..registry import command
from ..source import GivenSource, source_of

if TYPE_CHECKING:
    from ...experiments.comparison import Comparison
    from ...experiments.experiment import Experiment, Trial
    from ...experiments.ranking import ArmResult

ExperimentName = Annotated[
    str | None,
    typer.Argument(help="A TOML file with [vary], or the name of a shipped experiment.", show_default=False),
]
Seeds = Annotated[int | None, typer.Option("--seeds", help="Number of seeds for each arm.")]
Jobs = Annotated[int | None, typer.Option("--jobs", help="Processes [default: one for each core]; 1: this process.")]
Cluster = Annotated[
    str | None, typer.Option("--cluster", help="A cluster to run on: dask://HOST:PORT or ray://HOST:PORT.")
]
Folder = Annotated[Path | None, typer.Option("--out", help="Folder of the experiment [default: experiments/NAME].")]
Check = Annotated[bool, typer.Option("--check", help="Check every trial and list the arms; run nothing.")]


@command(position=70)
def experiment(
    spec: ExperimentName = None,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    seeds: Seeds = None,
    jobs: Jobs = None,
    cluster: Cluster = None,
    out: Folder = None,
    check: Check = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train every arm of an experiment with every seed, and compare.

    The report says what the evidence supports. Without a name, list the shipped experiments. The same command in the
    same folder resumes an experiment: finished trials are kept, and after a change of the spec only new trials run.

    \b
    thalweg experiment
    thalweg experiment momentum-and-rate --seeds 3
    thalweg experiment my-sweep.toml --jobs 8 --out sweeps/first
    thalweg experiment my-sweep.toml --cluster dask://10.0.0.1:8786
    """
    from ...core.progress import loading

    if spec is None:
        _list_shipped()
        return
    source = source_of("experiment", spec, settings=settings, data=data, target=target, data_dir=data_dir)
    chosen = _experiment_of(source, spec, seeds)
    if check:
        _list_arms(chosen, chosen.trials(loading(quiet)), json)
        return
    folder = out or Path("experiments") / chosen.name
    comparison = _run(chosen, folder, jobs, cluster, quiet)
    if json:
        print_json(_described(comparison, folder))
    else:
        comparison.summary().show()
        print(f"report: {folder / 'report.html'}")
    if comparison.failed:
        _report_failures(comparison)
        sys.exit(EXIT_INPUT)


def _experiment_of(source: GivenSource, spec: str, seeds: int | None) -> Experiment:
    from ...experiments.experiment import Experiment
    from ...experiments.shipped import read_experiment
    from ...spec.edit import assign, set_value

    table = read_experiment(spec)
    for path, value in source.changes:
        set_value(table, path, value)
    if seeds is not None:
        given = table.get("seeds")
        table["seeds"] = {**(given if isinstance(given, dict) else {}), "count": seeds}
    for assignment in source.settings:
        assign(table, assignment)
    return Experiment.of(table, Path(spec).stem)


def _run(chosen: Experiment, folder: Path, jobs: int | None, cluster: str | None, quiet: bool) -> Comparison:
    """Run the missing trials; if it is interrupted or fails, say that finished trials are kept."""
    from ...core.errors import InputError
    from ...core.progress import loading, working
    from ...experiments.compare import run_experiment

    finished_before = _count_finished(folder)
    try:
        with working(quiet) as watch:
            return run_experiment(chosen, folder, jobs, cluster, watch, loading(quiet))
    except KeyboardInterrupt:
        print(
            f"thalweg: interrupted; finished trials are in {folder}, and the same command resumes the experiment",
            file=sys.stderr,
        )
        raise
    except InputError:
        if _count_finished(folder) > finished_before:
            print(
                f"thalweg: finished trials are in {folder}, and the same command resumes the experiment",
                file=sys.stderr,
            )
        raise


def _count_finished(folder: Path) -> int:
    return len(list((folder / "trials").glob("*/result.json")))


def _report_failures(comparison: Comparison) -> None:
    from ...pages.numbers import count_noun

    key, failure = next(iter(comparison.failed.items()))
    trial = next(trial for trial in comparison.trials if trial.key == key)
    print(
        f"thalweg: {len(comparison.failed)} of {count_noun(len(comparison.trials), 'trial')} could not run."
        f" The first one is {trial.arm.label}, seed {trial.seed}: {failure}",
        file=sys.stderr,
    )


def _described(comparison: Comparison, folder: Path) -> dict[str, object]:
    return {
        "folder": str(folder),
        "evidence": comparison.evidence,
        "measure": comparison.measure,
        "best": comparison.best.label,
        "arms": [_described_arm(arm) for arm in comparison.arms],
        "test": {name: values.tolist() for name, values in comparison.test_measures.items()},
        "failed": {key: str(error) for key, error in comparison.failed.items()},
    }


def _described_arm(arm: ArmResult) -> dict[str, object]:
    """An arm as JSON; a number that is not finite is null."""
    return {
        "arm": arm.label,
        "values": [_finite_or_none(value) for value in arm.values],
        "mean": _finite_or_none(arm.mean),
        "interval": [_finite_or_none(end) for end in arm.interval],
        "diverged": arm.diverged,
        "difference": arm.difference and arm.difference.describe(),
        "better": arm.better,
    }


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _list_arms(chosen: Experiment, trials: Sequence[Trial], json: bool) -> None:
    labels = [arm.label for arm in chosen.arms]
    if json:
        print_json({"arms": labels, "seeds": list(chosen.seeds.numbers), "trials": len(trials)})
        return
    from ...pages.numbers import count_noun

    arms = count_noun(len(labels), "arm")
    print(f"{arms}, {count_noun(chosen.seeds.count, 'seed')} each: {count_noun(len(trials), 'trial')}, all checked")
    for label in labels:
        print(f"  {label}")


def _list_shipped() -> None:
    from ...experiments.shipped import shipped

    for name, description in shipped().items():
        print(f"{name:32} {description}")
