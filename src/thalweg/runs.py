"""A run: a trained network with its record; how it is made, used, saved and loaded."""

from __future__ import annotations

import dataclasses
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import arrays_of
from .blocks import Course, Rows
from .checkpoint import load_state, read_manifest, save_state
from .clipping import Clipping
from .data import Preprocessing, Split, Task
from .engines import Device, Engine, EngineName, Precision, make_engine
from .errors import InputError, Problem
from .files import commit, remove
from .folders import (
    RESULT,
    Journal,
    data_in_words,
    layer_in_words,
    line_of,
    make_folder,
    read_metrics,
    read_result,
    write_spec,
)
from .linear_units import LinearTraining, LinearUnit, best_threshold, decided_at, linear_training, tunes
from .network import Network
from .parts import Layer, Loss, Optimizer
from .probes import confusion_matrix
from .regularization import Regularization
from .schedules import adaptives
from .snapshots import check_records, fingerprint, load_snapshot, newest, remove_remains, save_snapshot
from .spec import Spec, WholeSpec, completed, differences, read_spec, to_toml
from .step import State, answering
from .stopping import Stopping
from .training import (
    Checkpoints,
    Fit,
    Progress,
    Snapshot,
    answers,
    course_of,
    evaluate,
    fit,
    judge_of,
    start_state,
)

_STATE = Path("checkpoints") / "final.safetensors"


@dataclass(frozen=True, eq=False)
class Run:
    """A trained network with its record.

    `history` has one record an epoch, `measures` the loss and the scores at the end by set ("training", "validation",
    "test"); `state.params` are the weights, one entry a layer. `confusion` counts, for classes, how often each (row)
    was taken for each (column) in the last of these sets. `threshold` is where an answer changes from no to yes, where
    that was tuned; `remarks` say what was found out beside the measures.
    """

    spec: WholeSpec
    state: State
    history: list[dict[str, float]]
    measures: dict[str, dict[str, float]]
    preprocessing: Preprocessing
    outcome: str
    facts: dict[str, str]
    confusion: list[list[int]] | None = None
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    diverged: str = ""
    threshold: float | None = None
    remarks: tuple[str, ...] = ()
    folder: Path | None = None
    split: Split | None = field(default=None, repr=False)

    @property
    def network(self) -> Network:
        return self.spec.network

    @property
    def loss(self) -> Loss:
        return decided_at(self.spec.loss, self.threshold)

    @property
    def params(self) -> Any:
        """The weights: for each layer its own NamedTuple of arrays."""
        return self.state.params

    @property
    def task(self) -> Task:
        return self.preprocessing.task

    def predict(self, x: Any) -> np.ndarray:
        """Answers for raw rows (n, features): classes by their names, labels as 0 and 1, or values in their own units.

        Of shape (n,), or (n, K) for several labels or targets. x is scaled and encoded as the training rows were.
        Raises InputError where its columns do not fit.
        """
        outputs = self.predict_outputs(x)
        if self.task == "classification":
            return self.preprocessing.labels(self._classes(outputs))
        if self.task == "multilabel":
            return (outputs > self._threshold).astype(int)
        values = self.preprocessing.values(outputs)
        return values[:, 0] if values.shape[1] == 1 else values

    def predict_outputs(self, x: Any) -> np.ndarray:
        """What the network answers for raw rows: (n, K) probabilities after a cross-entropy, else its plain outputs."""
        return self._answers(self.preprocessing.inputs(x))

    def evaluate(self, x: Any, y: Any) -> dict[str, float]:
        """The loss and the scores for raw rows and their targets."""
        data, unit = self.preprocessing.dataset(x, y), _unit(self.preprocessing)
        return evaluate(self.network, self.loss, self.state, data, self._engine, unit)

    @property
    def _engine(self) -> Engine:
        """The engine of the training, on whatever device there is: a run may be used on another machine."""
        return make_engine(self.spec.training.engine, self.spec.training.precision)

    def _answers(self, x: np.ndarray) -> np.ndarray:
        return answers(self.network, self.loss, self.state, x, self._engine)

    def _classes(self, outputs: np.ndarray) -> np.ndarray:
        if outputs.shape[1] == 1:
            return (outputs[:, 0] > self._threshold).astype(int)
        return outputs.argmax(axis=1)

    @property
    def _threshold(self) -> float:
        """Where an answer changes from no to yes: the loss's threshold, as `predict_outputs` gives it."""
        return float(self.loss.probabilities(np.array([[self.loss.threshold]]))[0, 0])

    def save(self, folder: str | Path) -> Path:
        """Write the run's directory and return it. Raises InputError where it is not empty, or can not be written."""
        path = make_folder(Path(folder))
        write_spec(path, self.spec)
        self._write(path)
        return path

    def _write(self, folder: Path) -> None:
        """All files but the spec, which is there since before the training."""
        commit(folder / "metrics.jsonl", b"".join(line_of(record) for record in self.history))
        save_state(folder / _STATE, self.state, {"preprocessing": self.preprocessing.describe()})
        result = {name: getattr(self, name) for name in RESULT}
        commit(folder / "result.json", json.dumps(result, indent=1).encode())
        commit(folder / "report.html", self.report().encode())

    def report(self) -> str:
        """The report as one HTML page that needs no network. Loads the data again if the run came from a folder."""
        from .report import page

        return page(account_of(self))

    def figures(self) -> list[Any]:
        """The curves of the training as plotly figures: one for each measure, and the learning rate."""
        from . import figures

        names = [name for name in self.measures["training"] if any(name in record for record in self.history)]
        return [*(figures.learning_curves(self.history, name) for name in names), figures.learning_rate(self.history)]

    def _repr_html_(self) -> str:
        from .report import card

        return card(_title(self), " ".join([self.outcome, *self.remarks]), self.measures)

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        display(HTML(self._repr_html_()), *self.figures()[:1])


def train(
    network: Network | LinearUnit | Sequence[Layer | str | dict[str, Any]] | str | dict[str, Any] | None,
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
    folder: str | Path | None = None,
    progress: bool = True,
) -> Run:
    """Train a network on data and return the run.

    network is a `Network`, its layers, or a linear unit ("perceptron"). data is a `Data`, or what its `source` may be:
    a name ("digits"), the path of a table, or (x, y). What is not given suits the data; the optimizer is Adam. With a
    folder the run is written there while it trains, and `resume` goes on where it was stopped. Raises InputError for
    whatever does not fit together.

    >>> layers = ["dense 8", "tanh", "dense 2", "softmax"]
    >>> run = train(layers, "xor", optimizer="adam 0.1", epochs=100, engine="eager", progress=False)
    >>> run.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).tolist()
    [0, 1, 1, 0]
    """
    training: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "engine": engine}
    training |= {"precision": precision, "device": device, "accumulate": accumulate, "clip": clip, "average": average}
    layers = {"layers": network} if isinstance(network, Sequence) and not isinstance(network, str) else network
    sections = {"data": data, "network": layers, "loss": loss, "optimizer": optimizer, "training": training}
    more = {"regularization": regularization, "stopping": stopping, "checkpoints": checkpoints}
    spec = Spec.of(sections | more)
    from .display import loading, shown

    with shown(quiet=not progress) as watch:
        return run_spec(spec, watch, Path(folder) if folder else None, loading=loading(quiet=not progress))


def run_spec(
    spec: Spec,
    watch: Callable[[Progress], None] = lambda progress: None,
    folder: Path | None = None,
    told: Callable[[WholeSpec, Split], None] = lambda spec, split: None,
    loading: Callable[[int, int], None] = lambda done, total: None,
) -> Run:
    """Load the data, train, measure, and write the run's directory if a folder is given.

    Everything that can be wrong with the spec, the data or the folder is found before the folder is made. `told` hears
    of the completed spec and the data before training starts, `loading` of the rows made ready so far and in all, where
    that takes its time.
    """
    split = spec.data.load(spec.training.seed, loading)
    whole = completed(spec, split.train)
    engine = make_engine(whole.training.engine, whole.training.precision, whole.training.device)
    _check(whole, split)
    if unit := _linear_unit(whole, split):
        split = dataclasses.replace(split, notes=(*split.notes, *unit.before()))
    told(whole, split)
    if folder is not None:
        make_folder(folder)
        write_spec(folder, whole)
    return _trained(whole, split, engine, watch, folder, None)


def _check(spec: WholeSpec, split: Split) -> Course:
    """The rows that training will meet. Raises InputError for whatever in the spec does not suit the data."""
    course = course_of(spec.network, spec.optimizer, spec.training, split.train, split.order)
    judge_of(spec.stopping, spec.optimizer, course, split.validation)
    if tunes(spec.loss) and (split.validation is None or split.train.outputs > 2):
        found = "there are none; set data.validation" if split.validation is None else "there are more classes than two"
        raise InputError("threshold", f'"tuned" looks for the best cut of one output on validation rows; {found}')
    return course


def resume(
    folder: str | Path,
    settings: Sequence[str] = (),
    *,
    data: Any = None,
    accept_changes: bool = False,
    progress: bool = True,
) -> Run:
    """Go on with a training that was stopped or broken off, from its newest whole checkpoint.

    It ends with the same weights, bit for bit, as if it had not stopped. `settings` change the spec, as
    `training.epochs=40`; `data` gives anew what the spec can not hold, rows that were in memory. Raises InputError
    where the spec or the rows have changed since, naming each change, unless `accept_changes` is true; where there is
    no checkpoint; and where the training had come to its end.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> run = train(["dense 1", "sigmoid"], "and", epochs=2, engine="eager", folder=folder, progress=False)
    >>> run = resume(folder, ["training.epochs=5"], accept_changes=True, progress=False)
    >>> len(run.history)
    5
    """
    from .display import loading, shown

    with shown(quiet=not progress) as watch:
        return resume_run(
            Path(folder),
            settings,
            data=data,
            accept_changes=accept_changes,
            watch=watch,
            loading=loading(quiet=not progress),
        )


def resume_run(
    path: Path,
    settings: Sequence[str] = (),
    changes: Sequence[tuple[str, Any]] = (),
    data: Any = None,
    accept_changes: bool = False,
    watch: Callable[[Progress], None] = lambda progress: None,
    told: Callable[[WholeSpec, Split], None] = lambda spec, split: None,
    loading: Callable[[int, int], None] = lambda done, total: None,
) -> Run:
    """What `resume` does, with the watchers of `run_spec`; `changes` are places of the spec with their new values."""
    spec = _spec_of(path, settings, changes)
    if data is not None:
        spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, source=data))
    checkpoint, facts = newest(path)
    differing = differences(facts["spec"], spec.describe())
    _refuse(path, differing, accept_changes)
    ended = read_result(path) if (path / "result.json").exists() else {"interrupted": True}
    if not ended["interrupted"] and not differing:
        fix = "Change the spec to go on nevertheless, as with --set training.epochs=N --accept-changes"
        raise InputError(str(path), f"has nothing left to do: {ended['outcome']} {fix}")
    split = spec.data.load(spec.training.seed, loading)
    engine = make_engine(spec.training.engine, spec.training.precision, spec.training.device)
    prints = _fingerprints(split)
    rows = [f"the {name} rows" for name in {**facts["rows"], **prints} if facts["rows"].get(name) != prints.get(name)]
    _refuse(path, rows, accept_changes)
    training = spec.training
    start = start_state(spec.network, spec.optimizer, training.seed, split.train.features, training.average)
    snapshot = load_snapshot(checkpoint, start)
    history = tuple(record for record in read_metrics(path / "metrics.jsonl") if record["step"] <= snapshot.state.step)
    snapshot = _still_valid(snapshot._replace(history=history), spec, [*differing, *(f"data: {name}" for name in rows)])
    check_records(snapshot, _check(spec, split).per_epoch)
    told(spec, split)
    remove_remains(path, checkpoint)
    # What an earlier end has left is true no longer.
    for name in ("result.json", "report.html", _STATE.with_suffix(".json"), _STATE):
        remove(path / name)
    write_spec(path, spec)
    return _trained(spec, split, engine, watch, path, snapshot)


def _spec_of(folder: Path, settings: Sequence[str] = (), changes: Sequence[tuple[str, Any]] = ()) -> WholeSpec:
    if not (folder / "spec.toml").is_file():
        raise InputError(str(folder), "is no run: it holds no spec.toml; `thalweg runs` lists the runs of a folder")
    spec = read_spec(str(folder / "spec.toml"), settings, changes)
    try:
        return WholeSpec.of(spec.describe())
    except InputError as error:
        raise InputError(str(folder / "spec.toml"), error.problems) from error


def _still_valid(snapshot: Snapshot, spec: WholeSpec, changes: Sequence[str]) -> Snapshot:
    """The snapshot without what was found by parts of the spec that have changed: values of rates, the best epoch."""
    counters = snapshot.counters
    if any(change.startswith("optimizer") for change in changes):
        counters = counters._replace(rates=tuple(rate.start() for rate in adaptives(spec.optimizer)))
    another_measure = any(change.startswith(("stopping.measure", "data")) for change in changes)
    newly_kept = spec.stopping.keeps_best and not snapshot.best and counters.best is not None
    if another_measure or newly_kept:
        counters = counters._replace(best=None, best_epoch=0, waited=0)
        return snapshot._replace(counters=counters, best=())
    return snapshot._replace(counters=counters)


def _refuse(folder: Path, changes: Sequence[str], accept: bool) -> None:
    if changes and not accept:
        fix = "undo this, or go on with the new spec: --accept-changes (accept_changes=True)"
        raise InputError(str(folder), [Problem("changed", change) for change in changes] + [Problem("", fix)])


def _trained(
    spec: WholeSpec,
    split: Split,
    engine: Engine,
    watch: Callable[[Progress], None],
    folder: Path | None,
    snapshot: Snapshot | None,
) -> Run:
    began = time.perf_counter()
    keep: Callable[[Snapshot], None] | None = None
    record = watch
    if folder is not None:
        record, keep = _recorded(spec, split, folder, watch, snapshot)
    fitted = fit(
        spec.network,
        spec.loss,
        spec.optimizer,
        spec.training,
        split.train,
        split.validation,
        _unit(split.preprocessing),
        watch=record,
        order=split.order,
        regularization=spec.regularization,
        stopping=spec.stopping,
        checkpoints=spec.checkpoints,
        keep=keep,
        resume=snapshot,
    )
    seconds = time.perf_counter() - began
    threshold = _tuned(spec, fitted.state, split, engine)
    loss, unit = decided_at(spec.loss, threshold), _unit(split.preprocessing)
    measures = {
        name: evaluate(spec.network, loss, fitted.state, data, engine, unit) for name, data in _sets(split).items()
    }
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
        facts=_facts(spec, split, fitted, seconds, engine),
        notes=split.notes,
        interrupted=fitted.interrupted,
        diverged=fitted.diverged,
        threshold=threshold,
        remarks=tuple(remarks),
        folder=folder,
        split=split,
    )
    if run.task == "classification":
        data = list(_sets(split).values())[-1]
        parts = [confusion_matrix(part.y, run._classes(run._answers(part.x)), data.outputs) for part in data.parts()]
        run = dataclasses.replace(run, confusion=np.sum(parts, axis=0).tolist())
    if folder is not None:
        run._write(folder)
    return run


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
    parts = [(answers(spec.network, spec.loss, state, part.x, engine)[:, 0], part) for part in split.validation.parts()]
    weights = [np.ones(len(part)) if part.weight is None else part.weight for _, part in parts]
    z, y = np.concatenate([z for z, _ in parts]), np.concatenate([part.y for _, part in parts])
    return best_threshold(z, y, np.concatenate(weights))


def _recorded(
    spec: WholeSpec, split: Split, folder: Path, watch: Callable[[Progress], None], snapshot: Snapshot | None
) -> tuple[Callable[[Progress], None], Callable[[Snapshot], None]]:
    """A watch that also writes the record of each epoch, and what keeps the snapshots of a training, in its folder."""
    journal = Journal(folder, snapshot.history if snapshot else ())
    facts = {
        "spec": spec.describe(),
        "rows": _fingerprints(split),
        "preprocessing": split.preprocessing.describe(),
    }

    def record(progress: Progress) -> None:
        journal.write(progress.history)
        watch(progress)

    def keep(snapshot: Snapshot) -> None:
        try:
            # A checkpoint is never newer than the records that belong to it.
            journal.write(snapshot.history, flush=True)
            save_snapshot(folder, snapshot, facts, spec.checkpoints.keep)
        except InputError as error:
            fault = (
                f"{error.problems[0]}; training stopped. When that is mended, go on: thalweg train --resume {folder}"
            )
            raise InputError(error.subject, fault) from error

    return record, keep


def _fingerprints(split: Split) -> dict[str, int]:
    return {name: fingerprint(data) for name, data in _sets(split).items()}


def _sets(split: Split) -> dict[str, Rows]:
    """The sets that there are; the last one is the one that says most of unseen rows."""
    sets = {"training": split.train, "validation": split.validation, "test": split.test}
    return {name: data for name, data in sets.items() if data is not None}


def _unit(preprocessing: Preprocessing) -> np.ndarray | float:
    """What one unit of the network's output is in the target's own units, by output."""
    if preprocessing.task != "regression":
        return 1.0
    zero = np.zeros((1, preprocessing.outputs))
    return (preprocessing.values(zero + 1) - preprocessing.values(zero)).reshape(-1)


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
        "samples": ", ".join(f"{len(data):,} {name}" for name, data in _sets(split).items()),
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


def account_of(run: Run) -> Any:
    """What the report tells of a run."""
    from .report import Account

    split = run.split or run.spec.data.load(run.spec.training.seed)
    name, rows = list(_sets(split).items())[-1]
    # Of rows that stream from the disk, the report looks at as many as fit into memory.
    data = next(rows.parts())
    outputs = run._answers(data.x)
    confidence = None
    if run.task == "classification":
        true, predicted = data.y, run._classes(outputs)
        if outputs.min() >= 0 and outputs.max() <= 1:
            single = outputs.shape[1] == 1
            confidence = np.maximum(outputs, 1 - outputs)[:, 0] if single else outputs.max(axis=1)
    elif run.task == "multilabel":
        true, predicted = data.y, (outputs > run._threshold).astype(int)
    else:
        true, predicted = run.preprocessing.values(data.y), run.preprocessing.values(outputs)
    start = run.network.initialize(0, (data.features,))
    layers = tuple(
        (layer_in_words(layer), str(shape), sum(np.size(array) for _, array in arrays_of(params)))
        for layer, shape, params in zip(run.network.layers, start.shapes, start.params, strict=True)
    )
    return Account(
        title=_title(run),
        outcome=" ".join([run.outcome, *run.remarks]),
        facts=tuple(run.facts.items()),
        notes=run.notes,
        measures=run.measures,
        history=run.history,
        layers=layers,
        task=run.task,
        target_names=run.preprocessing.target_names,
        true=true,
        predicted=predicted,
        confidence=confidence,
        samples=run.preprocessing.unscaled(data.x),
        feature_names=run.preprocessing.feature_names,
        image_shape=data.image_shape,
        held_out=name,
        spec=to_toml(run.spec),
    )


def _title(run: Run) -> str:
    return f"{run.folder.name}: {data_in_words(run.spec)}" if run.folder else data_in_words(run.spec)


def load(folder: str | Path) -> Run:
    """The run of a directory. Raises InputError where it is none, or a file of it is missing or damaged."""
    path = Path(folder)
    spec = _spec_of(path)
    if not (path / _STATE).is_file():
        fix = f"`thalweg train --resume {path}` goes on with it"
        raise InputError(str(path), f"holds no trained state: its training did not come to an end; {fix}")
    preprocessing = Preprocessing.of(read_manifest(path / _STATE)["preprocessing"])
    template = answering(start_state(spec.network, spec.optimizer, 0, preprocessing.features))
    result = read_result(path)
    return Run(
        spec=spec,
        state=load_state(path / _STATE, template),
        history=read_metrics(path / "metrics.jsonl"),
        preprocessing=preprocessing,
        folder=path,
        **{name: result[name] for name in RESULT}
        | {"notes": tuple(result["notes"]), "remarks": tuple(result["remarks"])},
    )


def prediction_table(run: Run, table: Any) -> Any:
    """A table of predictions for the rows of a polars frame: the answer, and for classes the probability of each.

    Raises InputError where columns are missing.
    """
    import polars

    x = run.preprocessing.inputs(table)
    outputs = run._answers(x)
    names = run.preprocessing.target_names
    if run.task == "classification":
        columns: dict[str, Any] = {"prediction": run.preprocessing.labels(run._classes(outputs))}
        if outputs.shape[1] == len(names):
            columns |= {f"p({name})": outputs[:, index] for index, name in enumerate(names)}
        else:
            columns["output"] = outputs[:, 0]
    else:
        values = (
            run.preprocessing.values(outputs) if run.task == "regression" else (outputs > run._threshold).astype(int)
        )
        columns = {
            f"prediction({name})" if len(names) > 1 else "prediction": values[:, i] for i, name in enumerate(names)
        }
    return polars.DataFrame(columns)
