"""`thalweg experiment`: run a controlled experiment."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import DataDir, DataFile, ImageForm, Images, Json, Quiet, Settings, Target
from ..output import EXIT_INPUT, images_to, print_json
from ..registry import command
from ..source import GivenSource, source_of

if TYPE_CHECKING:
    from ...core.files import JsonObject
    from ...experiments.comparison import Comparison
    from ...experiments.experiment import Experiment, Trial

ExperimentName = Annotated[
    str | None,
    typer.Argument(help="A TOML file with [vary], or the name of a shipped experiment.", show_default=False),
]
Seeds = Annotated[int | None, typer.Option("--seeds", help="Number of seeds for each arm.")]
BestOver = Annotated[
    str | None,
    typer.Option(
        "--best-over",
        help="An axis, as optimizer.learning_rate: choose its best level for each arm, then compare on fresh seeds.",
    ),
]
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
    best_over: BestOver = None,
    jobs: Jobs = None,
    cluster: Cluster = None,
    out: Folder = None,
    images: Images = None,
    image_format: ImageForm = "png",
    check: Check = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment, and compare its arms.

    Every arm is trained with every seed.
    The report says what the evidence supports. Without a name, list the shipped experiments. The same command in the
    same folder resumes an experiment: finished trials are kept, and after a change of the spec only new trials run.

    \b
    thalweg experiment
    thalweg experiment momentum-and-rate --seeds 3
    thalweg experiment my-sweep.toml --jobs 8 --out sweeps/first
    thalweg experiment my-sweep.toml --best-over optimizer.learning_rate
    thalweg experiment my-sweep.toml --cluster dask://10.0.0.1:8786
    """
    from ...core.progress import loading

    if spec is None:
        _list_shipped()
        return
    source = source_of("experiment", spec, settings=settings, data=data, target=target, data_dir=data_dir)
    chosen = _experiment_of(source, spec, seeds, best_over)
    if check:
        _list_arms(chosen, chosen.trials(loading(quiet)), json)
        return
    draw = images_to(images, image_format, quiet)
    folder = out or Path("experiments") / chosen.name
    comparison = _run(chosen, folder, jobs, cluster, quiet)
    if json:
        print_json(comparison.describe())
    else:
        comparison.summary().show()
        print(f"report: {folder / 'report.html'}")
    draw(comparison.figures())
    failures = [(stage, key) for stage in comparison.stages for key in stage.failed]
    if failures:
        _report_failures(comparison, failures)
        sys.exit(EXIT_INPUT)


def _experiment_of(source: GivenSource, spec: str, seeds: int | None, best_over: str | None) -> Experiment:
    from ...experiments.experiment import Experiment
    from ...experiments.shipped import read_experiment
    from ...spec.edit import assign, set_value

    table = read_experiment(spec)
    for path, value in source.changes:
        set_value(table, path, value)
    if seeds is not None:
        given = table.get("seeds")
        table["seeds"] = {**(given if isinstance(given, dict) else {}), "count": seeds}
    if best_over is not None:
        set_value(table, "compare.best_over", best_over)
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


def _report_failures(comparison: Comparison, failures: Sequence[tuple[Comparison, str]]) -> None:
    from ...pages.numbers import count_noun

    stage, key = failures[0]
    trial = next(trial for trial in stage.trials if trial.key == key)
    trials = sum(len(stage.trials) for stage in comparison.stages)
    print(
        f"thalweg: {len(failures)} of {count_noun(trials, 'trial')} could not run."
        f" The first one is {trial.arm.label}, seed {trial.seed}: {stage.failed[key]}",
        file=sys.stderr,
    )


def _list_arms(chosen: Experiment, trials: Sequence[Trial], json: bool) -> None:
    from ...pages.numbers import count_noun

    labels = [arm.label for arm in chosen.arms]
    seeds = chosen.seeds
    # Each contender is trained with the fresh seeds once more.
    fresh = len(chosen.contenders) * len(seeds.fresh_numbers)
    if json:
        facts: JsonObject = {"arms": [*labels], "seeds": list(seeds.numbers), "trials": len(trials) + fresh}
        if fresh:
            facts |= {"compared": list(chosen.contenders), "fresh_seeds": list(seeds.fresh_numbers)}
        print_json(facts)
        return
    arms = count_noun(len(labels), "arm")
    print(f"{arms}, {count_noun(seeds.count, 'seed')} each: {count_noun(len(trials), 'trial')}, all checked")
    if fresh:
        compared = count_noun(len(chosen.contenders), "arm")
        print(
            f"then {compared} with the best {chosen.compare.best_over}, {len(seeds.fresh_numbers)} fresh seeds each:"
            f" {count_noun(fresh, 'trial')}; {len(trials) + fresh} trials in all"
        )
    for label in labels:
        print(f"  {label}")


def _list_shipped() -> None:
    from ...experiments.shipped import shipped

    for name, description in shipped().items():
        print(f"{name:32} {description}")
