"""What is recorded of a training while it runs, and the run that is made of it when it is over."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from ..core.arrays import Params, arrays_of
from ..core.errors import InputError
from ..core.files import JsonObject
from ..core.machine import __version__, libraries_in_words, machine_in_words
from ..doctor.findings import Finding
from ..doctor.live import LiveChecks, severe_at_once
from ..doctor.measure_run import measurements_of, probed_layers
from ..engine.step import State
from ..models.linear_theory import best_threshold
from ..models.linear_units import LinearTraining, linear_training, tunes, with_threshold
from ..pages.numbers import count_noun, number, percent
from ..parts.settings import Light
from ..parts.task_metrics import confusion_matrix
from ..probes.boundary_frames import FRAMES_SO_FAR, BoundaryCallback, BoundaryFrames
from ..probes.recorder import ProbeCallback
from ..probes.records import Record
from ..training.callbacks import Callback, Progress
from ..training.checkpoints import Checkpoint, CheckpointFacts, fingerprints, save_checkpoint
from ..training.evaluate import evaluate
from ..training.fit import Fit
from ..training.session import Session
from .run import Run
from .run_folder import Journal, read_records

_MOST_UNITS = 3


class RunBuilder:
    """The probes of a training, and the run that is made of them and of the training when it is over.

    Args:
        session: the training.
        start: the parameters that it begins with, as NumPy arrays, where they are not those of the spec's seed.
        records: what the probes recorded before the training was resumed.
        frames: frames of the boundary from before the training was resumed.
    """

    def __init__(
        self,
        session: Session,
        start: Params | None = None,
        records: Sequence[Record] = (),
        frames: BoundaryFrames | None = None,
    ) -> None:
        self.session = session
        self.probes: ProbeCallback | None = None
        self.boundary: BoundaryCallback | None = None
        probes = session.spec.probes
        if isinstance(probes, Light):
            split = session.split
            steps = session.batches.steps
            self.probes = ProbeCallback(probes, session.batches, start or session.start.params, records)
            self.boundary = (
                BoundaryCallback(frames, steps)
                if frames
                else BoundaryCallback.of(split.preprocessing, split.train, steps)
            )

    @property
    def callbacks(self) -> list[Callback]:
        """The callbacks that record the training."""
        return [callback for callback in (self.probes, self.boundary) if callback]

    @property
    def records(self) -> Sequence[Record]:
        """What the probes have recorded so far."""
        return self.probes.records if self.probes else ()

    def frame_records(self, first: int) -> list[JsonObject]:
        """The frames of the boundary from number `first` on, as lines of frames.jsonl."""
        frames = self.boundary.frames if self.boundary else None
        return [frames.record(frame) for frame in range(first, len(frames.steps))] if frames else []

    def run(self, fitted: Fit, seconds: float, folder: Path | None = None) -> Run:
        """The run of the training that has ended, after `seconds`."""
        session = self.session
        spec = session.spec
        split = session.split
        threshold = _tuned_threshold(session, fitted.state)
        loss = with_threshold(spec.loss, threshold)
        measures = {
            name: evaluate(
                spec.network,
                loss,
                fitted.state,
                rows,
                session.engine,
                split.preprocessing,
                spec.training.metrics or (),
            )
            for name, rows in split.sets.items()
        }
        linear = linear_training_of(session)
        remarks = linear.after(measures["training"], bool(fitted.diverged)) if linear else []
        if threshold is not None:
            remarks.append(f"Decision threshold {number(threshold, 6)}, tuned on the validation rows.")
        run = Run(
            spec=spec,
            state=fitted.state,
            history=fitted.history,
            measures=measures,
            preprocessing=split.preprocessing,
            outcome=_outcome(session, fitted, seconds),
            seconds=seconds,
            facts=_facts(session, fitted, seconds),
            notes=split.notes,
            interrupted=fitted.interrupted,
            signal=fitted.signal,
            diverged=fitted.diverged,
            threshold=threshold,
            remarks=tuple(remarks),
            per_epoch=session.batches.per_epoch,
            records=tuple(self.records),
            boundary_frames=self.boundary.frames if self.boundary else None,
            folder=folder,
            split=split,
        )
        if run.task != "classification":
            return run
        rows = list(split.sets.values())[-1]
        parts = [confusion_matrix(part.y, run.classes(run.outputs_of(part.x)), rows.outputs) for part in rows.parts()]
        return dataclasses.replace(run, confusion=np.sum(parts, axis=0).tolist())


class FolderRecorder(Callback):
    """Writes the records of a training into the folder of its run, and keeps its checkpoints there.

    Args:
        builder: has the session and its probes.
        folder: the folder of the run.
        resumed: the checkpoint that the training is resumed from.
    """

    def __init__(self, builder: RunBuilder, folder: Path, resumed: Checkpoint | None = None) -> None:
        session = builder.session
        self.builder = builder
        self.folder = folder
        self.settings = session.spec.checkpoints
        self.facts = CheckpointFacts(
            spec=session.spec.describe(),
            rows=fingerprints(session.split),
            preprocessing=session.split.preprocessing.describe(),
        )
        self._metrics = Journal(folder / "metrics.jsonl", resumed.history if resumed else ())
        self._probes = Journal(folder / "probes.jsonl", builder.records) if builder.probes else None
        self._frames = Journal(folder / FRAMES_SO_FAR, builder.frame_records(0)) if builder.boundary else None

    def on_progress(self, progress: Progress) -> None:
        self._write(progress.history)

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint. Raises InputError that says how to resume."""
        try:
            # A checkpoint is never newer than the records that belong to it.
            self._write(checkpoint.history, flush=True)
            save_checkpoint(self.folder, checkpoint, self.facts, self.settings.keep)
        except InputError as error:
            fix = f"training stopped; resume it when that is mended: thalweg train --resume {self.folder}"
            raise InputError(error.subject, f"{error.problems[0]}; {fix}") from error

    def _write(self, history: Sequence[dict[str, float]], flush: bool = False) -> None:
        self._metrics.append(history[self._metrics.written :], flush)
        if self._probes:
            self._probes.append(self.builder.records[self._probes.written :], flush)
        if self._frames:
            self._frames.append(self.builder.frame_records(self._frames.written), flush)


class LiveDoctor(Callback):
    """Reports each severe finding of the doctor once, when it first holds."""

    def __init__(self, builder: RunBuilder, report: Callable[[Finding], None]) -> None:
        session = builder.session
        self.builder = builder
        self.report = report
        measurements = measurements_of(session.spec, session.split, session.batches.per_epoch)
        for finding in severe_at_once(measurements):
            report(finding)
        self._checks = LiveChecks(
            constant=measurements.constant_accuracy,
            layers=probed_layers(session.spec.network.layers),
            rows=len(session.split.train),
            per_epoch=session.batches.per_epoch,
            epochs=session.spec.training.epochs,
        )

    def on_progress(self, progress: Progress) -> None:
        for finding in self._checks.new_findings(progress.history, self.builder.records):
            self.report(finding)


def recorded_frames(folder: Path, session: Session) -> BoundaryFrames | None:
    """The frames in the folder of a run: those of a training that was running, else those of a run that had ended."""
    records = read_records(folder / FRAMES_SO_FAR)
    split = session.split
    empty = BoundaryCallback.of(split.preprocessing, split.train, session.batches.steps) if records else None
    return empty.frames.of_records(records) if empty else BoundaryFrames.load(folder)


def linear_training_of(session: Session) -> LinearTraining | None:
    """What is known of the training of a linear unit; None for other networks."""
    spec = session.spec
    training = spec.training
    return linear_training(
        spec.network, spec.loss, spec.optimizer, spec.stopping, training.batch_size, training.seed, session.split.train
    )


def _tuned_threshold(session: Session, state: State) -> float | None:
    """The threshold that classifies most of the validation rows correctly, where the spec asks for a tuned one."""
    validation = session.split.validation
    if not tunes(session.spec.loss) or validation is None:
        return None
    parts = [(session.predict(state, part.x)[:, 0], part) for part in validation.parts()]
    weights = [np.ones(len(part)) if part.weight is None else part.weight for _, part in parts]
    z = np.concatenate([outputs for outputs, _ in parts])
    y = np.concatenate([part.y for _, part in parts])
    return best_threshold(z, y, np.concatenate(weights))


def _outcome(session: Session, fitted: Fit, seconds: float) -> str:
    """How the training ended, in a sentence."""
    done = int(fitted.history[-1]["epoch"]) if fitted.history else 0
    epochs = session.spec.training.epochs
    if fitted.diverged:
        return f"Diverged: {fitted.diverged}."
    if fitted.interrupted:
        return f"Stopped {fitted.stopped} after {number(done)} of {count_noun(epochs, 'epoch')}."
    restored = ""
    best_epoch = fitted.early_stopping.best_epoch
    if session.spec.stopping.keeps_best and best_epoch < done:
        restored = f" The weights are those of epoch {best_epoch}, the best."
    if fitted.stopped:
        return f"Stopped after {number(done)} of {count_noun(epochs, 'epoch')}: {fitted.stopped}.{restored}"
    return f"Trained {count_noun(epochs, 'epoch')} in {number(seconds, 3)} s.{restored}"


def _facts(session: Session, fitted: Fit, seconds: float) -> dict[str, str]:
    """What the report lists of the training beside its measures."""
    training = session.spec.training
    engine = session.engine
    facts = {
        "samples": ", ".join(f"{number(len(rows))} {name}" for name, rows in session.split.sets.items()),
        "task": session.split.train.task,
        "parameters": number(sum(np.size(array) for _, array in arrays_of(fitted.state.params))),
        "updates": number(int(fitted.state.step)),
        "time": f"{number(seconds, 3)} s",
        "engine": f"{engine.name}, {engine.precision}, {engine.platform}",
        "seed": str(training.seed),
        "finished": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z"),
        "thalweg": f"{__version__} on Python {platform.python_version()}",
        "libraries": libraries_in_words(),
        "machine": machine_in_words(),
    }
    if training.devices and training.devices > 1:
        facts["devices"] = f"{training.devices}, which share each batch"
    spans = session.split.preprocessing.target_span
    if any(span != 1 for span in spans):
        units = ", ".join([*map(number, spans[:_MOST_UNITS]), *["…"] * (len(spans) > _MOST_UNITS)])
        facts["unit of the loss"] = f"targets are scaled: 1 stands for {units}"
    if clipped := [record["clipped"] for record in fitted.history if "clipped" in record]:
        facts["clipping"] = f"acted in {percent(float(np.mean(clipped)), 3)} of the updates"
    return facts
