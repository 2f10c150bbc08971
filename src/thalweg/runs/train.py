"""How a run is made: `train`, and the same for specs and sessions."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core.progress import ProgressMessage, loading, print_line
from ..doctor.findings import Finding
from ..doctor.render import finding_in_words
from ..models.linear_units import LinearUnit
from ..models.mlp import Architecture
from ..models.network import Network
from ..parts.clipping import Clipping
from ..parts.metrics import Metric
from ..parts.part import Layer, Loss, Optimizer
from ..parts.regularization import Regularization
from ..parts.settings import Checkpoints, Device, EngineChoice, Off, Precision, Probes, Stopping
from ..spec.spec import Spec
from ..spec.toml import read_spec
from ..training.callbacks import Callback, ProgressMessages
from ..training.checkpoints import Checkpoint
from ..training.fit import fit, fit_together
from ..training.holdouts import with_chosen_length
from ..training.session import Session
from .converted import network_from
from .display import shown
from .load import load
from .recording import FolderRecorder, LiveDoctor, RunBuilder, linear_training_of
from .run import Run
from .run_folder import new_run_folder, write_spec

if TYPE_CHECKING:
    from torch import nn

Warn = Callable[[Finding], None]
"""Hears of each severe finding of the doctor once, when it first holds."""
PartTable = dict[str, Any]
"""A part as the tables of a spec describe it."""


def train(
    network: Network
    | Architecture
    | LinearUnit
    | Sequence[Layer | str | PartTable]
    | nn.Module
    | str
    | PartTable
    | None,
    data: Any,
    *,
    loss: Loss | str | PartTable | None = None,
    optimizer: Optimizer | str | PartTable | None = None,
    regularization: Regularization | PartTable = Regularization(),
    stopping: Stopping | PartTable = Stopping(),
    checkpoints: Checkpoints | PartTable = Checkpoints(),
    epochs: int | Literal["auto"] = "auto",
    batch_size: int | str | None = None,
    seed: int = 0,
    engine: EngineChoice = "auto",
    precision: Precision | None = None,
    device: Device | None = None,
    devices: int | None = None,
    accumulate: int = 1,
    clip: Clipping | str | PartTable | None = None,
    average: float | None = None,
    probes: Probes | str | PartTable = "light",
    folder: str | Path | None = None,
    progress: bool = True,
    target: str | None = None,
    callbacks: Sequence[Callback] = (),
    metrics: Sequence[Metric | str | PartTable] = (),
) -> Run:
    """Train a network on data and return the run.

    Every part may be given as an object, as its name with options ("adam 0.01"), or as a table. What is not given suits
    the data.

    Args:
        network: a `Network`, its layers, a linear unit ("perceptron"), or nn.Sequential of PyTorch or keras.Sequential,
            which `from_torch` or `from_keras` converts (and new weights are drawn); None for one that suits the data.
        data: a `Data`, or what its `source` may be: a name ("digits"), the path of a table, or (x, y).
        loss: the loss; by default the one that belongs to the last layer and the task.
        optimizer: the optimizer; Adam by default.
        regularization: penalties, decay and bounds of the weights.
        stopping: when to stop before the last epoch, and with which weights.
        checkpoints: when a training with a folder saves its state.
        epochs: number of passes through the training rows; "auto": as many as they need (early stopping or holdouts).
        batch_size: rows of a batch, or "full"; 32 by default, 128 of the network for tables.
        seed: decides weights, splits, the order of rows, and all noise.
        engine: "compiled" (XLA), "eager" (NumPy), or "auto": NumPy for what it ends before XLA has started.
        precision: "float32" or "float64"; by default float32 compiled, float64 eager.
        device: "cpu" or "gpu"; by default what the machine has.
        devices: how many devices share the rows of each batch; one by default.
        accumulate: batches that make one update.
        clip: how gradients are bounded.
        average: weight that each update leaves to a running average of the parameters.
        probes: how much is recorded beside the loss, as `run.observations`: "off", "light", "standard" or "full".
        folder: where the run is written while it trains; `resume` continues from there.
        progress: whether progress and severe findings are shown on stderr.
        target: the column to predict, where `data` is a table or a frame.
        callbacks: see the state between steps, and may stop the training; see `Callback`.
        metrics: measures beside the loss and those of the task, in the history and in `run.measures`; see
            `thalweg.metrics`.

    Raises:
        InputError: something does not fit together; all problems are named at once.

    >>> layers = ["dense 8", "tanh", "dense 2", "softmax"]
    >>> run = train(layers, "xor", optimizer="adam 0.1", epochs=100, engine="eager", progress=False)
    >>> run.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).tolist()
    [0, 1, 1, 0]
    """
    training = {
        "epochs": epochs,
        "batch_size": batch_size,
        "seed": seed,
        "engine": engine,
        "precision": precision,
        "device": device,
        "devices": devices,
        "accumulate": accumulate,
        "clip": clip,
        "average": average,
        "metrics": tuple(metrics) or None,
    }
    spec = Spec.of(
        {
            "data": data if target is None else {"source": data, "target": target},
            "network": network_from(network, print_line if progress else lambda line: None),
            "loss": loss,
            "optimizer": optimizer,
            "training": training,
            "regularization": regularization,
            "stopping": stopping,
            "checkpoints": checkpoints,
            "probes": probes,
        }
    )
    with shown(quiet=not progress) as display:
        session = Session.load(spec, loading(quiet=not progress))
        folder_path = Path(folder) if folder else None
        warned = warn if progress else None
        return run_session(session, folder_path, [display, *callbacks], warned, _print_notes(progress))


def _print_notes(shown: bool) -> Callable[[Session], None]:
    """A callback before the first step that shows the notes on the data on stderr."""

    def on_session(session: Session) -> None:
        for note in session.split.notes if shown else ():
            print_line(f"note: {note}")

    return on_session


def warn(finding: Finding) -> None:
    """Show a finding on stderr, above the progress bar where there is one."""
    print_line(f"thalweg: {finding_in_words(finding)}")


def run_spec(
    spec: Spec,
    folder: Path | None = None,
    callbacks: Sequence[Callback] = (),
    warn: Warn | None = None,
) -> Run:
    """Load the rows of a spec and train it; see `run_session`."""
    return run_session(Session.load(spec), folder, callbacks, warn)


def run_session(
    session: Session,
    folder: Path | None = None,
    callbacks: Sequence[Callback] = (),
    warn: Warn | None = None,
    on_session: Callable[[Session], None] = lambda session: None,
) -> Run:
    """Train a session from its start and measure it; write the folder of the run if one is given.

    Everything that can be wrong with the spec, the rows or the folder is found before the folder is made.

    Args:
        session: the spec with its rows.
        folder: a new or empty folder.
        callbacks: see the training beside its probes.
        warn: hears of severe findings while the training runs.
        on_session: hears of the session, with all notes on its rows, before the training starts.

    Raises:
        InputError: spec, rows or folder do not fit, or another process writes to the folder.
    """
    session.check()
    # A device that this machine lacks is an error before the folder is made.
    _ = session.engine
    session = with_chosen_length(_with_linear_notes(session))
    on_session(session)
    if folder is None:
        return record_training(session, RunBuilder(session), None, callbacks, warn)
    with new_run_folder(folder):
        write_spec(folder, session.spec)
        return record_training(session, RunBuilder(session), folder, callbacks, warn)


def run_together(sessions: Sequence[Session], callbacks: Sequence[Sequence[Callback]]) -> list[Run]:
    """The runs of sessions that train as one program; see `fit_together`. The time of each is its part of the whole.

    Args:
        sessions: trainings without probes, checked, whose `Session.structure` is the same.
        callbacks: see each training.
    """
    began = time.perf_counter()
    sessions = [_with_linear_notes(session) for session in sessions]
    fits = fit_together(sessions, callbacks)
    seconds = (time.perf_counter() - began) / len(sessions)
    return [RunBuilder(session).run(fitted, seconds) for session, fitted in zip(sessions, fits, strict=True)]


def _with_linear_notes(session: Session) -> Session:
    """The session with what can be said of a linear unit before its training."""
    linear = linear_training_of(session)
    if linear is None:
        return session
    notes = (*session.split.notes, *linear.before())
    return Session(session.spec, dataclasses.replace(session.split, notes=notes))


def record_training(
    session: Session,
    builder: RunBuilder,
    folder: Path | None,
    callbacks: Sequence[Callback],
    warn: Warn | None,
    resumed: Checkpoint | None = None,
) -> Run:
    """Train a session whose folder is ready and locked, from its start or from a checkpoint, and write its run."""
    began = time.perf_counter()
    recorder = FolderRecorder(builder, folder, resumed) if folder else None
    live = [LiveDoctor(builder, warn)] if warn else []
    everyone = [*([recorder] if recorder else []), *callbacks, *live, *builder.callbacks]
    fitted = fit(session, everyone, saver=recorder, resume=resumed)
    run = builder.run(fitted, time.perf_counter() - began, folder)
    if folder is not None:
        run.write(folder)
        run.write_report(folder)
    return run


def run_to_end(spec: Spec, callbacks: Sequence[Callback] = ()) -> Run:
    """The run of a spec without probes, for what is of use only when trained to its end.

    Raises KeyboardInterrupt at Ctrl-C.
    """
    run = run_spec(dataclasses.replace(spec, probes=Off()), callbacks=callbacks)
    if run.interrupted:
        raise KeyboardInterrupt
    return run


def session_of(source: Run | Spec | Mapping[str, Any] | str | Path) -> Session:
    """The training that a source stands for.

    Args:
        source: a run, whose rows are used as they are; its folder; or a spec (a file, a name, its tables).

    Raises:
        InputError: the source is none of these, or its rows cannot be loaded.

    >>> session_of("xor").spec.data == session_of({"data": "xor"}).spec.data
    True
    """
    if isinstance(source, Run):
        return Session(source.spec, source.rows())
    if isinstance(source, str | Path):
        of_run = os.path.join(source, "spec.toml")
        source = read_spec(of_run if os.path.isfile(of_run) else str(source))
    return Session.load(Spec.of(source))


def run_of(
    source: Run | Spec | Mapping[str, Any] | str | Path,
    watch: Callable[[ProgressMessage], None],
    callbacks: Callable[[Session], Sequence[Callback]] = lambda session: (),
) -> Run:
    """The run that a source stands for.

    Args:
        source: a run, its folder, or a spec (a file, a name, its tables), which is trained to its end.
        watch: hears of the progress of a training.
        callbacks: gives the callbacks of a training from its session.

    Raises:
        InputError: the source is none of these, or cannot be read.
    """
    if isinstance(source, Run):
        return source
    if isinstance(source, str | Path):
        if os.path.isfile(os.path.join(source, "spec.toml")):
            return load(source)
        source = read_spec(str(source))
    session = Session.load(dataclasses.replace(Spec.of(source), probes=Off()))
    run = run_session(session, callbacks=[ProgressMessages(watch), *callbacks(session)])
    if run.interrupted:
        raise KeyboardInterrupt
    return run
