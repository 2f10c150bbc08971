"""Runs read from their folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.errors import InputError, Problem
from ..core.noise import noise_key
from ..data import Preprocessing
from ..engine.step import State, inference_state
from ..models.linear_units import tunes
from ..probes.boundary_frames import BoundaryFrames
from ..spec.spec import CompleteSpec
from ..spec.toml import read_spec
from ..training.evaluate import measures_of
from ..training.saved_state import load_state, read_manifest
from ..training.session import check_fit
from .run import STATE, Run
from .run_folder import (
    REPORT_FILE,
    RESULT_FILE,
    Result,
    check_format,
    read_history,
    read_observations,
    read_result,
    writing,
)


def spec_in(folder: Path, settings: Sequence[str] = (), changes: Sequence[tuple[str, object]] = ()) -> CompleteSpec:
    """The spec of a run's folder.

    Args:
        folder: the folder of the run.
        settings: changes of the spec as text.
        changes: places of the spec with their new values.

    Raises:
        InputError: this is not a run folder, or its spec lacks a part.
    """
    check_format(folder)
    path = folder / "spec.toml"
    spec = read_spec(str(path), settings, changes)
    try:
        return CompleteSpec.of(spec.describe())
    except InputError as error:
        raise InputError(str(path), error.problems) from error


def load(folder: str | Path) -> Run:
    """The run of a folder. Raises InputError where it is another folder, or a file is missing or damaged."""
    path = Path(folder)
    spec = spec_in(path)
    if not os.path.lexists(path / STATE) or not os.path.lexists(path / RESULT_FILE):
        fix = f"resume it with `thalweg train --resume {path}`"
        raise InputError(str(path), f"the training has not ended; {fix}")
    preprocessing = _preprocessing(path)
    check_fit(spec.network, preprocessing, spec.loss.members)
    start = spec.network.layout((preprocessing.features,))
    template = inference_state(State(start.params, start.states, (), np.array(0), noise_key(0)))
    frames = BoundaryFrames.load(path)
    if frames:
        frames.check_fit(preprocessing.features, start.shapes[-1][0] // spec.loss.members)
    result = read_result(path)
    names = measures_of(preprocessing.task, spec.training.metrics or ())
    _check_result(path / "result.json", result, names, preprocessing, tunes(spec.loss))
    return Run(
        spec=spec,
        state=load_state(path / STATE, template),
        history=read_history(path),
        records=read_observations(path),
        boundary_frames=frames,
        preprocessing=preprocessing,
        folder=path,
        outcome=result["outcome"],
        seconds=result["seconds"],
        remarks=tuple(result["remarks"]),
        interrupted=result["interrupted"],
        diverged=result["diverged"],
        threshold=result["threshold"],
        measures=result["measures"],
        confusion=result["confusion"],
        facts=result["facts"],
        notes=tuple(result["notes"]),
        per_epoch=result["per_epoch"],
    )


def write_report_again(folder: Path, library: Path | None = None) -> Path:
    """Write the report of the run in a folder again, and return its path; see `Run.report` for a shared library.

    Raises:
        InputError: this is not the folder of a run that has ended, or another process writes there.
    """
    check_format(folder)
    with writing(folder):
        load(folder).write_report(folder, library)
    return folder / REPORT_FILE


def _preprocessing(folder: Path) -> Preprocessing:
    """The preprocessing in the manifest of the trained state."""
    manifest = read_manifest(folder / STATE)
    try:
        return Preprocessing.of(manifest.get("preprocessing"))
    except InputError as error:
        problems = [problem.below("preprocessing") for problem in error.problems]
        raise InputError(str(folder / STATE.with_suffix(".json")), problems) from error


def _check_result(path: Path, result: Result, names: Sequence[str], preprocessing: Preprocessing, tuned: bool) -> None:
    """Raise InputError where the measures, the confusion or the threshold are not those of the training."""
    problems = [
        Problem(f"measures.{rows}.{name}", "is missing")
        for rows, measures in result["measures"].items()
        for name in names
        if name not in measures
    ]
    classes = preprocessing.outputs
    confusion = result["confusion"]
    if confusion is not None and [len(row) for row in confusion] != [classes] * classes:
        problems.append(Problem("confusion", f"expected {classes} rows of {classes} counts"))
    if result["threshold"] is not None and not tuned:
        problems.append(Problem("threshold", "expected none: the loss in spec.toml has no tuned threshold"))
    if problems:
        raise InputError(str(path), problems)
