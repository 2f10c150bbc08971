"""How a run is made, and how one goes on that was stopped."""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Tree, arrays_of
from ..core.errors import InputError
from ..core.progress import ProgressMessage
from ..data import Split
from ..doctor.findings import Finding
from ..doctor.live import LiveDoctor, severe_at_once
from ..doctor.measure_run import measurements_of, probed_layers
from ..doctor.measurements import Measurements
from ..engine.engine import Engine, make_engine
from ..engine.step import State
from ..models.linear_theory import best_threshold
from ..models.linear_unit import LinearTraining, LinearUnit, linear_training, tunes, with_threshold
from ..models.mlp import MultiLayerPerceptron
from ..models.network import Network
from ..parts.clipping import Clipping
from ..parts.metrics import confusion_matrix
from ..parts.part import Layer, Loss, Optimizer
from ..parts.regularization import Regularization
from ..parts.settings import Checkpoints, Device, EngineName, Light, Off, Precision, Probes, Stopping
from ..probes.boundary_frames import BoundaryCallback, BoundaryFrames
from ..probes.recorder import ProbeCallback
from ..probes.records import Record
from ..spec.complete import completed
from ..spec.spec import Spec, WholeSpec
from ..spec.toml import read_spec
from ..training.batch_plan import BatchPlan
from ..training.callbacks import Callback, Progress
from ..training.checkpoints import (
    Checkpoint,
    fingerprint,
    save_snapshot,
)
from ..training.evaluate import evaluate, predict_batches
from ..training.fit import Fit, fit
from ..training.session import course_of, judge_of
from .load import load
from .run import Run, sets_of, unit_of
from .run_folder import Journal, make_folder, write_spec


def train(
    network: Network
    | MultiLayerPerceptron
    | LinearUnit
    | Sequence[Layer | str | dict[str, Any]]
    | str
    | dict[str, Any]
    | None,
    data: Any,
    *,
    loss: Loss | str | dict[str, Any] | None = None,
    optimizer: Optimizer | str | dict[str, Any] | None = None,
    regularization: Regularization | dict[str, Any] = Regularization(),
    stopping: Stopping | dict[str, Any] = Stopping(),
    checkpoints: Checkpoints | dict[str, Any] = Checkpoints(),
    epochs: int = 20,
    batch_size: int | str | None = None,
    seed: int = 0,
    engine: EngineName = "compiled",
    precision: Precision | None = None,
    device: Device | None = None,
    accumulate: int = 1,
    clip: Clipping | str | dict[str, Any] | None = None,
    average: float | None = None,
    probes: Probes | str | dict[str, Any] = "light",
    folder: str | Path | None = None,
    progress: bool = True,
) -> Run:
    """Train a network on data and return the run.

    network is a `Network`, its layers, or a linear unit ("perceptron"). data is a `Data`, or what its `source` may be:
    a name ("digits"), the path of a table, or (x, y). What is not given suits the data; the optimizer is Adam. `probes`
    say how much is recorded beside the loss, as `run.observations`: "off", "light", "standard" or "full". With a folder
    the run is written there while it trains, and `resume` goes on where it was stopped. Raises InputError for
    whatever does not fit together.

    >>> layers = ["dense 8", "tanh", "dense 2", "softmax"]
    >>> run = train(layers, "xor", optimizer="adam 0.1", epochs=100, engine="eager", progress=False)
    >>> run.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).tolist()
    [0, 1, 1, 0]
    """
    training: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "engine": engine}
    training |= {"precision": precision, "device": device, "accumulate": accumulate, "clip": clip, "average": average}
    sections = {"data": data, "network": network, "loss": loss, "optimizer": optimizer, "training": training}
    more = {"regularization": regularization, "stopping": stopping, "checkpoints": checkpoints, "probes": probes}
    spec = Spec.of(sections | more)
    from ..core.progress import loading
    from .display import show_finding, shown

    with shown(quiet=not progress) as watch:
        into, warn = Path(folder) if folder else None, show_finding if progress else None
        return run_spec(spec, watch, into, loading=loading(quiet=not progress), warn=warn)


def run_spec(
    spec: Spec,
    watch: Callable[[Progress], None] = lambda progress: None,
    folder: Path | None = None,
    told: Callable[[WholeSpec, Split], None] = lambda spec, split: None,
    loading: Callable[[int, int], None] = lambda done, total: None,
    onlookers: Callable[[WholeSpec, Split], Sequence[Callback]] = lambda spec, split: (),
    warn: Callable[[Finding], None] | None = None,
) -> Run:
    """Load the data, train, measure, and write the run's directory if a folder is given.

    Everything that can be wrong with the spec, the data or the folder is found before the folder is made. `told` hears
    of the completed spec and the data before training starts, `loading` of the rows made ready so far and in all, where
    that takes its time. `onlookers` makes those who look at the training beside its probes. `warn` hears of each severe
    finding of the doctor's once, when it first holds.
    """
    return run_on(spec, spec.data.load(spec.training.seed, loading), watch, folder, told, onlookers, warn)


def run_on(
    spec: Spec,
    split: Split,
    watch: Callable[[Progress], None] = lambda progress: None,
    folder: Path | None = None,
    told: Callable[[WholeSpec, Split], None] = lambda spec, split: None,
    onlookers: Callable[[WholeSpec, Split], Sequence[Callback]] = lambda spec, split: (),
    warn: Callable[[Finding], None] | None = None,
) -> Run:
    """What `run_spec` does, on the data of the spec that are loaded already."""
    whole = completed(spec, split.train)
    engine = make_engine(whole.training.engine, whole.training.precision, whole.training.device)
    check(whole, split)
    if unit := _linear_unit(whole, split):
        split = dataclasses.replace(split, notes=(*split.notes, *unit.before()))
    told(whole, split)
    if folder is not None:
        make_folder(folder)
        write_spec(folder, whole)
    return _trained(whole, split, engine, watch, folder, None, (), None, onlookers(whole, split), warn)


def trained(
    spec: Spec,
    watch: Callable[[Progress], None] = lambda progress: None,
    onlookers: Callable[[WholeSpec, Split], Sequence[Callback]] = lambda spec, split: (),
) -> Run:
    """The run of a spec, for what is of no use unless it was trained to its end: Ctrl-C is a KeyboardInterrupt.

    Its probes are off; whoever wants to see more brings his own onlookers.
    """
    run = run_spec(dataclasses.replace(spec, probes=Off()), watch, onlookers=onlookers)
    if run.interrupted:
        raise KeyboardInterrupt
    return run


def run_of(
    source: Run | Spec | Mapping[str, Any] | str | Path,
    watch: Callable[[ProgressMessage], None],
    onlookers: Callable[[WholeSpec, Split], Sequence[Callback]] = lambda spec, split: (),
) -> Run:
    """The run that is meant: itself, that of a folder, or what a spec (a file, a name, its tables) is trained to."""
    if isinstance(source, str | Path):
        if (Path(source) / "spec.toml").is_file():
            return load(source)
        source = read_spec(str(source))
    if isinstance(source, Run):
        return source

    def told(progress: Progress) -> None:
        epochs = progress.training.epochs
        watch(ProgressMessage(f"training, epoch {progress.epoch} of {epochs}", progress.step / progress.steps))

    return trained(Spec.of(source), told, onlookers)


def check(spec: WholeSpec, split: Split) -> BatchPlan:
    """The rows that training will meet. Raises InputError for whatever in the spec does not suit the data."""
    course = _course(spec, split)
    judge_of(spec.stopping, spec.optimizer, course, split.validation)
    if tunes(spec.loss) and (split.validation is None or split.train.outputs > 2):
        found = "there are none; set data.validation" if split.validation is None else "there are more classes than two"
        raise InputError("threshold", f'"tuned" looks for the best cut of one output on validation rows; {found}')
    return course


def _trained(
    spec: WholeSpec,
    split: Split,
    engine: Engine,
    watch: Callable[[Progress], None],
    folder: Path | None,
    snapshot: Checkpoint | None,
    records: Sequence[Record],
    film: BoundaryFrames | None,
    onlookers: Sequence[Callback],
    warn: Callable[[Finding], None] | None,
) -> Run:
    began = time.perf_counter()
    keep: Callable[[Checkpoint], None] | None = None
    record, probed = watch, Probed(spec, split, None, records, film)
    if folder is not None:
        record, keep = _recorded(spec, split, folder, watch, snapshot, probed.recorder)
    if warn is not None:
        record = _attended(probed, record, warn)
    fitted = fit(
        spec.network,
        spec.loss,
        spec.optimizer,
        spec.training,
        split.train,
        split.validation,
        unit_of(split.preprocessing),
        watch=record,
        order=split.order,
        regularization=spec.regularization,
        stopping=spec.stopping,
        checkpoints=spec.checkpoints,
        keep=keep,
        resume=snapshot,
        onlookers=[*onlookers, *probed.onlookers],
    )
    run = probed.run(fitted, time.perf_counter() - began, engine, folder)
    if folder is not None:
        run.write(folder)
        run.write_report(folder)
    return run


class Probed:
    """The probes of a training, and the run that is made of them and of the training when it is over.

    `start` are the parameters that it begins with, as NumPy arrays, where they are not those of the spec's seed.
    `records` and `film` are those of a part that has gone before.
    """

    def __init__(
        self,
        spec: WholeSpec,
        split: Split,
        start: Tree | None = None,
        records: Sequence[Record] = (),
        film: BoundaryFrames | None = None,
    ) -> None:
        self.spec, self.split, self.course = spec, split, _course(spec, split)
        self.recorder: ProbeCallback | None = None
        self.frames: BoundaryCallback | None = None
        if isinstance(spec.probes, Light):
            train, steps = split.train, self.course.steps
            start = start or spec.network.initialize(spec.training.seed, (train.features,)).params
            self.recorder = ProbeCallback(spec.probes, self.course, start, records)
            self.frames = (
                BoundaryCallback(film, steps) if film else BoundaryCallback.of(split.preprocessing, train, steps)
            )

    @property
    def onlookers(self) -> list[Callback]:
        """Who looks at the training for the probes."""
        return [own for own in (self.recorder, self.frames) if own]

    @property
    def measurements(self) -> Measurements:
        """What the doctor measures before the training."""
        return measurements_of(self.spec, self.split, self.course.per_epoch)

    def run(self, fitted: Fit, seconds: float, engine: Engine, folder: Path | None = None) -> Run:
        """The run of the training that has ended."""
        spec, split = self.spec, self.split
        threshold = _tuned(spec, fitted.state, split, engine)
        loss, unit, sets = with_threshold(spec.loss, threshold), unit_of(split.preprocessing), sets_of(split)
        measures = {name: evaluate(spec.network, loss, fitted.state, data, engine, unit) for name, data in sets.items()}
        linear = _linear_unit(spec, split)
        remarks = linear.after(measures["training"], bool(fitted.diverged)) if linear else []
        if threshold is not None:
            remarks.append(f"It says yes above {threshold:.6g}, tuned on the validation rows.")
        run = Run(
            spec=spec,
            state=fitted.state,
            history=fitted.history,
            measures=measures,
            preprocessing=split.preprocessing,
            outcome=_outcome(spec, fitted, seconds),
            seconds=seconds,
            facts=_facts(spec, split, fitted, seconds, engine),
            notes=split.notes,
            interrupted=fitted.interrupted,
            diverged=fitted.diverged,
            threshold=threshold,
            remarks=tuple(remarks),
            per_epoch=self.course.per_epoch,
            records=tuple(self.recorder.records) if self.recorder else (),
            boundary_frames=self.frames.frames if self.frames else None,
            folder=folder,
            split=split,
        )
        if run.task != "classification":
            return run
        data = list(sets.values())[-1]
        parts = [confusion_matrix(part.y, run.classes(run.outputs_of(part.x)), data.outputs) for part in data.parts()]
        return dataclasses.replace(run, confusion=np.sum(parts, axis=0).tolist())


def _course(spec: WholeSpec, split: Split) -> BatchPlan:
    return course_of(spec.network, spec.optimizer, spec.training, split.train, split.order)


def _linear_unit(spec: WholeSpec, split: Split) -> LinearTraining | None:
    training = spec.training
    return linear_training(
        spec.network, spec.loss, spec.optimizer, spec.stopping, training.batch_size, training.seed, split.train
    )


def _tuned(spec: WholeSpec, state: State, split: Split, engine: Engine) -> float | None:
    """Where a threshold that is to be tuned tells most of the validation rows right."""
    if not tunes(spec.loss):
        return None
    assert split.validation
    parts = [
        (predict_batches(spec.network, spec.loss, state, part.x, engine)[:, 0], part)
        for part in split.validation.parts()
    ]
    weights = [np.ones(len(part)) if part.weight is None else part.weight for _, part in parts]
    z, y = np.concatenate([z for z, _ in parts]), np.concatenate([part.y for _, part in parts])
    return best_threshold(z, y, np.concatenate(weights))


def _recorded(
    spec: WholeSpec,
    split: Split,
    folder: Path,
    watch: Callable[[Progress], None],
    snapshot: Checkpoint | None,
    recorder: ProbeCallback | None,
) -> tuple[Callable[[Progress], None], Callable[[Checkpoint], None]]:
    """A watch that also writes the record of each epoch, and what keeps the snapshots of a training, in its folder."""
    journal = Journal(folder / "metrics.jsonl", snapshot.history if snapshot else ())
    notes = Journal(folder / "probes.jsonl", recorder.records) if recorder else None

    def write(history: Sequence[dict[str, float]], flush: bool = False) -> None:
        journal.write(history, flush)
        if recorder and notes:
            notes.write(recorder.records, flush)

    facts = {
        "spec": spec.describe(),
        "rows": fingerprints(split),
        "preprocessing": split.preprocessing.describe(),
    }

    def record(progress: Progress) -> None:
        write(progress.history)
        watch(progress)

    def keep(snapshot: Checkpoint) -> None:
        try:
            # A checkpoint is never newer than the records that belong to it.
            write(snapshot.history, flush=True)
            save_snapshot(folder, snapshot, facts, spec.checkpoints.keep)
        except InputError as error:
            fault = (
                f"{error.problems[0]}; training stopped. When that is mended, go on: thalweg train --resume {folder}"
            )
            raise InputError(error.subject, fault) from error

    return record, keep


def _attended(
    probed: Probed, watch: Callable[[Progress], None], warn: Callable[[Finding], None]
) -> Callable[[Progress], None]:
    """A watch that also looks for what keeps the training from learning; what is plain before it is told at once."""
    spec, course = probed.spec, probed.course
    measurements = probed.measurements
    for finding in severe_at_once(measurements):
        warn(finding)
    live = LiveDoctor(
        constant=measurements.constant_score,
        layers=probed_layers(spec.network.layers),
        rows=len(course.data),
        per_epoch=course.per_epoch,
        epochs=spec.training.epochs,
    )

    def look(progress: Progress) -> None:
        watch(progress)
        for finding in live.new_findings(progress.history, probed.recorder.records if probed.recorder else ()):
            warn(finding)

    return look


def fingerprints(split: Split) -> dict[str, int]:
    """A number for the rows of each set, which changes when they do."""
    return {name: fingerprint(data) for name, data in sets_of(split).items()}


def _outcome(spec: WholeSpec, fitted: Fit, seconds: float) -> str:
    done, asked = len(fitted.history), spec.training.epochs
    if fitted.diverged:
        return f"Diverged: {fitted.diverged}."
    if fitted.interrupted:
        return f"Stopped {fitted.stopped} after {done} of {asked} epochs."
    restored = ""
    if spec.stopping.keeps_best and fitted.counters.best_epoch < done:
        restored = f" The weights are those of epoch {fitted.counters.best_epoch}, the best."
    if fitted.stopped:
        return f"Stopped after {done} of {asked} epochs: {fitted.stopped}.{restored}"
    return f"Trained {asked} {'epoch' if asked == 1 else 'epochs'} in {seconds:.1f} s.{restored}"


def _facts(spec: WholeSpec, split: Split, fitted: Fit, seconds: float, engine: Engine) -> dict[str, str]:
    training = spec.training
    facts = {
        "samples": ", ".join(f"{len(data):,} {name}" for name, data in sets_of(split).items()),
        "task": split.train.task,
        "parameters": f"{sum(np.size(array) for _, array in arrays_of(fitted.state.params)):,}",
        "updates": f"{int(fitted.state.step):,}",
        "time": f"{seconds:.2f} s",
        "engine": f"{training.engine}, {engine.precision}, {engine.platform}",
        "seed": str(training.seed),
        "finished": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z"),
        "thalweg": f"{metadata.version('thalweg')} on Python {platform.python_version()}",
    }
    if clipped := [record["clipped"] for record in fitted.history if "clipped" in record]:
        facts["clipping"] = f"acted in {np.mean(clipped):.1%} of the updates"
    return facts
