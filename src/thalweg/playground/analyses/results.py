"""A lab's training as a run: what the doctor says of it, the loss around it."""

from __future__ import annotations

import dataclasses

import numpy as np

from ...core.progress import Watch
from ...data import Split
from ...doctor.diagnosis import Diagnosis
from ...doctor.examination import diagnose
from ...doctor.measure_run import measurements_of
from ...engine.step import inference_state
from ...insight.loss_landscape import LossLandscape, landscape, path_landscape
from ...insight.training_path import PathStates
from ...runs.recording import RunBuilder
from ...runs.run import Run
from ...training.fit import Fit
from ...training.session import Session
from .path_probes import PathProbes
from .snapshot import LabSnapshot

# Places along each axis of a landscape: a second of work for a small network.
_PLACES = 31
_MOST_PATH = 60


def run_of_lab(snapshot: LabSnapshot, rows: Split, probes: PathProbes | None = None, *, eager: bool) -> Run:
    """The training on its rows as a run of the epochs that it had, with what probes measure where they are given.

    `eager`: nothing of it is compiled.
    """
    training = dataclasses.replace(snapshot.complete.training, epochs=max(1, round(snapshot.epochs)))
    if eager:
        training = dataclasses.replace(training, engine="eager", precision=training.number_type, device=None)
    session = Session(dataclasses.replace(snapshot.complete, training=training), rows)
    fitted = Fit(inference_state(snapshot.state), [*snapshot.records], per_epoch=session.batches.per_epoch)
    records = probes.records(session, snapshot.path) if probes else ()
    run = RunBuilder(session, records=records).run(fitted, snapshot.seconds)
    # Nobody drew frames for it.
    return dataclasses.replace(run, boundary_frames=None)


def diagnosis_of_lab(snapshot: LabSnapshot, rows: Split, probes: PathProbes) -> Diagnosis:
    """What the doctor says of it now; before the first step, of what is known without a training."""
    if int(snapshot.state.step):
        return run_of_lab(snapshot, rows, probes, eager=True).diagnose()
    session = Session(snapshot.complete, rows)
    return diagnose(measurements_of(snapshot.complete, rows, session.batches.per_epoch))


def landscape_of_lab(snapshot: LabSnapshot, rows: Split, watch: Watch) -> LossLandscape:
    """The loss on the plane of the path so far, with the path on it; around the state where there is no path."""
    states = [*(kept.checkpoint.state for kept in snapshot.path), snapshot.state]
    run = run_of_lab(snapshot, rows, eager=True)
    if len(states) < 3:
        return landscape(run, points=_PLACES, watch=watch)
    shown = np.unique(np.linspace(0, len(states) - 1, _MOST_PATH).round().astype(int))
    path = PathStates(np.array([int(states[k].step) for k in shown]), [states[k] for k in shown])
    return path_landscape(run, path, points=_PLACES, watch=watch)
