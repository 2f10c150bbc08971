"""Runs read from their folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..core.noise import noise_key
from ..data import Preprocessing
from ..engine.step import State, inference_state
from ..probes.boundary_frames import BoundaryFrames
from ..spec.spec import CompleteSpec
from ..spec.toml import read_spec
from ..training.saved_state import load_state, read_manifest
from .run import STATE, Run
from .run_folder import RESULT, read_records, read_result


def spec_in(folder: Path, settings: Sequence[str] = (), changes: Sequence[tuple[str, Any]] = ()) -> CompleteSpec:
    """The spec of a run's folder, with some values set anew. Raises InputError where it is no run, or lacks a part."""
    if not (folder / "spec.toml").is_file():
        raise InputError(str(folder), "is no run: it holds no spec.toml; `thalweg runs` lists the runs of a folder")
    spec = read_spec(str(folder / "spec.toml"), settings, changes)
    try:
        return CompleteSpec.of(spec.describe())
    except InputError as error:
        raise InputError(str(folder / "spec.toml"), error.problems) from error


def load(folder: str | Path) -> Run:
    """The run of a directory. Raises InputError where it is none, or a file of it is missing or damaged."""
    path = Path(folder)
    spec = spec_in(path)
    if not (path / STATE).is_file():
        fix = f"`thalweg train --resume {path}` goes on with it"
        raise InputError(str(path), f"holds no trained state: its training did not come to an end; {fix}")
    preprocessing = Preprocessing.of(read_manifest(path / STATE)["preprocessing"])
    start = spec.network.initialize(0, (preprocessing.features,))
    template = inference_state(State(start.params, start.states, (), np.array(0), noise_key(0)))
    result = read_result(path)
    return Run(
        spec=spec,
        state=load_state(path / STATE, template),
        history=read_records(path / "metrics.jsonl"),
        records=tuple(read_records(path / "probes.jsonl")),
        boundary_frames=BoundaryFrames.load(path),
        preprocessing=preprocessing,
        folder=path,
        **{name: result[name] for name in RESULT}
        | {"notes": tuple(result["notes"]), "remarks": tuple(result["remarks"])},
    )
