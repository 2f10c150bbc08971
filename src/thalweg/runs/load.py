"""Runs read from their folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from ..core.errors import InputError
from ..core.files import JsonObject
from ..core.noise import noise_key
from ..data import Preprocessing
from ..engine.step import State, inference_state
from ..probes.boundary_frames import BoundaryFrames
from ..probes.records import Record
from ..spec.spec import CompleteSpec
from ..spec.toml import read_spec
from ..training.saved_state import load_state, read_manifest
from .run import STATE, Run
from .run_folder import REPORT_FILE, RESULT_FILE, check_format, read_records, read_result, writing


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
    if not (path / STATE).is_file() or not (path / RESULT_FILE).exists():
        fix = f"resume it with `thalweg train --resume {path}`"
        raise InputError(str(path), f"the training has not ended; {fix}")
    preprocessing = Preprocessing.of(cast(JsonObject, read_manifest(path / STATE)["preprocessing"]))
    start = spec.network.initialize(0, (preprocessing.features,))
    template = inference_state(State(start.params, start.states, (), np.array(0), noise_key(0)))
    result = read_result(path)
    return Run(
        spec=spec,
        state=load_state(path / STATE, template),
        history=read_records(path / "metrics.jsonl"),
        records=tuple(cast(list[Record], read_records(path / "probes.jsonl"))),
        boundary_frames=BoundaryFrames.load(path),
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


def write_report_again(folder: Path) -> Path:
    """Write the report of the run in a folder again, and return its path.

    Raises:
        InputError: this is not the folder of a run that has ended, or another process writes there.
    """
    check_format(folder)
    with writing(folder):
        load(folder).write_report(folder)
    return folder / REPORT_FILE
