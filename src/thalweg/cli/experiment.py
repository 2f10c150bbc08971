"""The command that runs a controlled experiment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .shared import EXIT_INPUT, DataDir, DataFile, Json, Quiet, Settings, Target, changes_of, print_json


def experiment(
    spec: Annotated[
        str | None,
        typer.Argument(help="A TOML file with [vary], or the name of a shipped experiment.", show_default=False),
    ] = None,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    seeds: Annotated[int | None, typer.Option("--seeds", help="How many seeds each arm is tried with.")] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", help="Processes [default: one for each core]; 1: this process.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="A cluster to run on: dask://HOST:PORT or ray://HOST:PORT.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the experiment [default: experiments/NAME].")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Check every trial and list the arms; run nothing.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Try every arm of an experiment with every seed, and say what the evidence supports; alone, list those shipped.

    Run again in the same folder it goes on: what is finished is kept, and of a changed spec only what is new is run.

    \b
    thalweg experiment
    thalweg experiment momentum-and-rate --seeds 3
    thalweg experiment my-sweep.toml --jobs 8 --out sweeps/first
    thalweg experiment my-sweep.toml --cluster dask://10.0.0.1:8786
    """
    from ..core.errors import InputError
    from ..core.progress import loading, working
    from ..experiments.compare import run_experiment
    from ..experiments.experiment import Experiment
    from ..spec.edit import assign, set_value

    if spec is None:
        _list_shipped()
        return
    from ..experiments.shipped import read_experiment

    table = read_experiment(spec)
    for path, value in changes_of(data, target, data_dir, None, None, None, None):
        set_value(table, path, value)
    if seeds is not None:
        given = table.get("seeds")
        table["seeds"] = {**(given if isinstance(given, dict) else {}), "count": seeds}
    for assignment in settings or []:
        assign(table, assignment)
    chosen = Experiment.of(table, Path(spec).stem)
    if check:
        _list_arms(chosen, chosen.trials(loading(quiet)), json)
        return
    folder = out or Path("experiments") / chosen.name
    before = _finished(folder)
    try:
        with working(quiet) as watch:
            found = run_experiment(chosen, folder, jobs, cluster, watch, loading(quiet))
    except KeyboardInterrupt:
        print(f"thalweg: stopped; what is finished is in {folder}, and the same command goes on", file=sys.stderr)
        raise
    except InputError:
        if _finished(folder) > before:
            print(f"thalweg: what is finished is in {folder}, and the same command goes on", file=sys.stderr)
        raise
    _tell(found, folder, json)
    if found.failed:
        key, failure = next(iter(found.failed.items()))
        trial = next(trial for trial in found.trials if trial.key == key)
        print(
            f"thalweg: {len(found.failed)} of {len(found.trials)} trials could not run, the first of them"
            f" {trial.arm.label}, seed {trial.seed}: {failure}",
            file=sys.stderr,
        )
        sys.exit(EXIT_INPUT)


def _finished(folder: Path) -> int:
    """How many trials lie finished in the folder of an experiment."""
    return len(list((folder / "trials").glob("*/result.json")))


def _tell(found: Any, folder: Path, json: bool) -> None:
    if json:
        print_json(
            {
                "folder": str(folder),
                "evidence": found.evidence,
                "measure": found.measure,
                "best": found.best.label,
                "arms": [_arm(arm) for arm in found.arms],
                "test": {name: values.tolist() for name, values in found.test_measures.items()},
                "failed": {key: str(error) for key, error in found.failed.items()},
            }
        )
        return
    found.summary().show()
    print(f"report: {folder / 'report.html'}")


def _arm(arm: Any) -> dict[str, Any]:
    """An arm in plain numbers; what is not a number is null."""
    import math

    def plain(value: float) -> float | None:
        return float(value) if math.isfinite(value) else None

    difference = arm.difference and dict(zip(("mean", "low", "high"), map(plain, arm.difference), strict=True))
    return {
        "arm": arm.label,
        "values": [plain(value) for value in arm.values],
        "mean": plain(arm.mean),
        "interval": [plain(end) for end in arm.interval],
        "diverged": arm.diverged,
        "difference": difference,
        "better": arm.better,
    }


def _list_arms(chosen: Any, trials: Any, json: bool) -> None:
    labels = [arm.label for arm in chosen.arms]
    if json:
        print_json({"arms": labels, "seeds": list(chosen.seeds.numbers), "trials": len(trials)})
        return
    print(f"{len(labels)} arms, {chosen.seeds.count} seeds each: {len(trials)} trials, every one of them checked")
    for label in labels:
        print(f"  {label}")


def _list_shipped() -> None:
    from ..experiments.shipped import shipped

    for name, words in shipped().items():
        print(f"{name:32} {words}")
