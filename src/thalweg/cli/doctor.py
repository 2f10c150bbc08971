"""The command that finds out why a network does not learn."""

from __future__ import annotations

import dataclasses
import itertools
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .shared import (
    EXIT_INTERRUPTED,
    EXIT_WRONG,
    DataDir,
    DataFile,
    DeviceName,
    EngineName,
    Json,
    Quiet,
    Seed,
    Settings,
    SpecOrRun,
    Target,
    changes_of,
    print_json,
    run_or_spec,
    spec_and_name,
)


def doctor(
    spec: SpecOrRun = None,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="How often all training rows are seen.")] = None,
    seed: Seed = None,
    engine: EngineName = None,
    device: DeviceName = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Keep what is trained here as a run in this folder.", show_default=False),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", help="Write to this file; its suffix names the form: .html, .md, .json, .txt."),
    ] = None,
    prove: Annotated[
        bool, typer.Option("--prove", help="Try the remedies in paired trials, and write the repaired spec.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="With --prove: seeds of each trial [default: 5].")
    ] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help="With --prove: the time for all trials.")] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", help="With --prove: processes [default: one for each core].")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say why a network does not learn, with the evidence and what to do; a healthy one gets a clean bill.

    A spec is trained first; a run is examined as it is. The exit code is 0 for a healthy network, and 1 where something
    was found that keeps it from learning. With --prove the remedies are tried, each with several seeds against the
    unchanged network and against a random change; what helps goes into NAME-repaired.toml.

    \b
    thalweg doctor deep-plain
    thalweg doctor deep-plain --prove --seeds 3 --minutes 10
    thalweg doctor examples/rings.toml --set optimizer.learning_rate=10
    thalweg doctor runs/digits-20260102-101500 --page diagnosis.html
    """
    from ..core.files import commit
    from ..pages.page import form_of
    from ..spec.spec import data_name

    form = form_of(page)
    _check_options(prove, seeds, minutes, jobs)
    changes = changes_of(data, target, data_dir, epochs, seed, engine, device)
    source = run_or_spec("doctor", spec, data, changes, settings or [])
    run = _examined(source, out, prove, quiet)
    found = run.diagnose()
    name = Path(spec).name if spec else data_name(run.spec)
    command = _command(source, spec, data, changes, settings or [], found.remedies)
    sheet = found.page(f"Diagnosis of {name}", command)
    result = {"folder": run.folder and str(run.folder), **found.describe()}
    shown = not json and page is None
    if shown:
        sheet.show()
    if prove and found.healthy:
        print("thalweg: it is healthy: there is nothing to prove", file=sys.stderr)
    elif prove:
        folder = out / "proof" if out and run.folder == out else out
        proof = _proof(run, found.remedies, seeds, minutes, jobs, folder, quiet)
        repaired = _written(proof, Path(name).stem)
        result |= {"proof": proof.describe(), "repaired": repaired and str(repaired)}
        sheet = dataclasses.replace(sheet, blocks=(*sheet.blocks, *proof.page().blocks))
        if shown:
            print()
            proof.summary().show()
        if repaired and not json:
            print(f"repaired spec: {repaired}")
    if page is not None:
        commit(page, sheet.render(form).encode())
    if json:
        print_json(result)
    elif page is not None:
        print(page)
    if not found.healthy:
        sys.exit(EXIT_WRONG)


def _check_options(prove: bool, seeds: int | None, minutes: float | None, jobs: int | None) -> None:
    """What is wrong with them is told before anything is trained."""
    from ..core.errors import InputError
    from ..experiments.remedy_trials.search import check_bounds

    options = {"--seeds": seeds, "--minutes": minutes, "--jobs": jobs}
    given = [name for name, value in options.items() if value is not None]
    if given and not prove:
        raise InputError("doctor", f"takes {', '.join(given)} with --prove alone; add it, or leave them out")
    check_bounds(seeds, minutes, jobs)


def _examined(source: Any, out: Path | None, prove: bool, quiet: bool) -> Any:
    """The run of a folder as it is, or what a spec is trained to, seen by probes; with `out` it is kept there."""
    from ..core.errors import InputError
    from ..core.progress import loading
    from ..runs.display import shown
    from ..runs.load import load
    from ..runs.train import run_session
    from ..training.session import Session

    if isinstance(source, str):
        if out is not None and not prove:
            raise InputError("doctor", f"examines a run as it is, and has nothing to keep in {out}; leave --out out")
        return load(source)
    with shown(quiet) as display:
        run = run_session(Session.load(_probed(source), loading(quiet)), out, [display])
    if run.interrupted:
        print(f"thalweg: {run.outcome} There is no diagnosis of half a training.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    return run


def _proof(
    run: Any,
    remedies: Any,
    seeds: int | None,
    minutes: float | None,
    jobs: int | None,
    folder: Path | None,
    quiet: bool,
) -> Any:
    """The remedies of a run, tried; its trials are kept in the folder, where there is one."""
    from ..core.progress import loading, working
    from ..experiments.remedy_trials.search import prove

    with working(quiet) as watch:
        return prove(
            run.spec,
            remedies,
            seeds=5 if seeds is None else seeds,
            seed=run.spec.training.seed,
            jobs=jobs,
            minutes=minutes,
            folder=folder,
            watch=watch,
            loading=loading(quiet),
        )


def _written(proof: Any, name: str) -> Path | None:
    """The file of the repaired spec, in this folder, beside all files that are there; None where nothing helps."""
    from ..core.files import commit
    from ..spec.toml import to_toml

    if proof.repaired is None:
        return None
    names = (f"{name}-repaired{f'-{number}' if number > 1 else ''}.toml" for number in itertools.count(1))
    path = next(Path(name) for name in names if not Path(name).exists())
    commit(path, to_toml(proof.repaired).encode())
    return path


def _probed(spec: Any) -> Any:
    """The spec with probes that see no less than the standard ones, as often as it asks for."""
    from ..parts.settings import Light, Standard

    if isinstance(spec.probes, Standard):
        return spec
    every = spec.probes.every if isinstance(spec.probes, Light) else None
    return dataclasses.replace(spec, probes=Standard(every))


def _command(
    source: Any,
    spec: str | None,
    data: str | None,
    changes: list[tuple[str, Any]],
    settings: list[str],
    remedies: Any,
) -> str:
    """The command that trains what was examined, for remedies to be added to it.

    Nothing where it can not be: remedies change the completed spec, and may name what the given one leaves open.
    """
    from ..core.errors import InputError
    from ..spec.values import shell_text

    trained = str(Path(source) / "spec.toml") if isinstance(source, str) else spec
    given = [*(f"{path}={shell_text(value)}" for path, value in changes), *settings]
    try:
        for remedy in remedies:
            added = (f"{path}={shell_text(value)}" for path, value in remedy.changes)
            spec_and_name("train", trained, data, [], [*given, *added])
    except InputError:
        return ""
    words = ["thalweg", "train", *([trained] if trained else [])]
    return shlex.join([*words, *(word for text in given for word in ("--set", text))])
