"""A run: a trained network with its record; how it is used, saved and loaded."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import arrays_of
from .blocks import Rows
from .checkpoint import load_state, read_manifest, save_state
from .data import Preprocessing, Split, Task
from .doctor import Case, Diagnosis, diagnose
from .doctor.account import health_of, verdict
from .engines import Engine, make_engine
from .errors import InputError
from .files import commit
from .folders import (
    RESULT,
    data_in_words,
    layer_in_words,
    line_of,
    make_folder,
    numbered_layers,
    read_records,
    read_result,
    write_spec,
)
from .frames import Film
from .layers import Dense, Residual
from .linear_units import decided_at
from .mean_field import predicted
from .network import Network
from .parts import Loss
from .probes import Observations, Record
from .spec import WholeSpec, read_spec, to_toml
from .step import State, Trace, answering, fused
from .training import (
    answers,
    evaluate,
    start_state,
)
from .views import curve_of, hidden_answers, map_of, plane_of, weight_images
from .worksheet import Text

STATE = Path("checkpoints") / "final.safetensors"


@dataclass(frozen=True, eq=False)
class Run:
    """A trained network with its record.

    `history` has one record an epoch, `measures` the loss and the scores at the end by set ("training", "validation",
    "test"); `state.params` are the weights, one entry a layer. `seconds` is how long the training took. `confusion`
    counts, for classes, how often each (row) was taken for each (column) in the last of these sets. `threshold` is
    where an answer changes from no to yes, where that was tuned; `remarks` say what was found out beside the measures.
    `per_epoch` is the number of updates in an epoch, `records` what the probes saw, as `observations` gives it in
    arrays, `film` what the network answered on a plane of its inputs through its training, where there is such a plane.
    """

    spec: WholeSpec
    state: State
    history: list[dict[str, float]]
    measures: dict[str, dict[str, float]]
    preprocessing: Preprocessing
    outcome: str
    seconds: float
    facts: dict[str, str]
    confusion: list[list[int]] | None = None
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    diverged: str = ""
    threshold: float | None = None
    remarks: tuple[str, ...] = ()
    per_epoch: int = 1
    records: tuple[Record, ...] = ()
    film: Film | None = field(default=None, repr=False)
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

    @property
    def observations(self) -> Observations:
        """What the probes saw: by step, and by layer; empty where they were off.

        >>> from thalweg import train
        >>> run = train(["dense 2", "tanh", "dense 2"], "xor", epochs=40, engine="eager", progress=False)
        >>> run.observations.layers, run.observations["delta_rms"].shape
        (('1: dense 2', '2: tanh', '3: dense 2'), (20, 3))
        """
        return Observations.of(self.records, numbered_layers(self.network), self.per_epoch)

    def predict(self, x: Any) -> np.ndarray:
        """Answers for raw rows (n, features): classes by their names, labels as 0 and 1, or values in their own units.

        Of shape (n,), or (n, K) for several labels or targets. x is scaled and encoded as the training rows were.
        Raises InputError where its columns do not fit.
        """
        outputs = self.predict_outputs(x)
        if self.task == "classification":
            return self.preprocessing.labels(self.classes(outputs))
        if self.task == "multilabel":
            return (outputs > self.decides_at).astype(int)
        values = self.preprocessing.values(outputs)
        return values[:, 0] if values.shape[1] == 1 else values

    def predict_outputs(self, x: Any) -> np.ndarray:
        """What the network answers for raw rows: (n, K) probabilities after a cross-entropy, else its plain outputs."""
        return self.answers(self.preprocessing.inputs(x))

    def evaluate(self, x: Any, y: Any) -> dict[str, float]:
        """The loss and the scores for raw rows and their targets."""
        data, unit = self.preprocessing.dataset(x, y), unit_of(self.preprocessing)
        return evaluate(self.network, self.loss, self.state, data, self._engine, unit)

    @property
    def _engine(self) -> Engine:
        """The engine of the training, on whatever device there is: a run may be used on another machine."""
        return make_engine(self.spec.training.engine, self.spec.training.precision)

    def answers(self, x: np.ndarray) -> np.ndarray:
        """What the network answers for prepared rows (n, inputs): (n, K)."""
        return answers(self.network, self.loss, self.state, x, self._engine)

    def classes(self, outputs: np.ndarray) -> np.ndarray:
        """The numbers (n,) of the classes that outputs (n, K) stand for."""
        if outputs.shape[1] == 1:
            return (outputs[:, 0] > self.decides_at).astype(int)
        return outputs.argmax(axis=1)

    @property
    def decides_at(self) -> float:
        """Where an answer changes from no to yes: the loss's threshold, as `predict_outputs` gives it."""
        return float(self.loss.probabilities(np.array([[self.loss.threshold]]))[0, 0])

    def save(self, folder: str | Path) -> Path:
        """Write the run's directory and return it. Raises InputError where it is not empty, or can not be written."""
        path = make_folder(Path(folder))
        write_spec(path, self.spec)
        self.write(path)
        self.write_report(path)
        return path

    def write(self, folder: Path) -> None:
        """Write what it recorded: all files but the spec, which is there since before the training, and the report."""
        commit(folder / "metrics.jsonl", b"".join(line_of(record) for record in self.history))
        if self.records:
            commit(folder / "probes.jsonl", b"".join(map(line_of, self.records)))
        if self.film:
            self.film.save(folder)
        save_state(folder / STATE, self.state, {"preprocessing": self.preprocessing.describe()})
        result = {name: getattr(self, name) for name in RESULT}
        commit(folder / "result.json", json.dumps(result, indent=1).encode())

    def write_report(self, folder: Path) -> None:
        """Write report.html."""
        commit(folder / "report.html", self.report().encode())

    def report(self) -> str:
        """The report as one HTML page that needs no network.

        Loads the data again if the run came from a folder; where they are gone, it says so and tells what was recorded.
        """
        from .report import page

        return page(account_of(self))

    def inspect(self, x: Any, y: Any, weight: Any = None) -> Trace:
        """Every number of one training step on raw rows and their targets, in float64; see `inspection.inspect`."""
        from .inspection import inspect

        data = self.preprocessing.dataset(x, y, weight)
        state = self.state
        return inspect(
            self.network, state.params, data.x, data.y, loss=self.loss, layers=state.layers, weight=data.weight
        )

    def diagnose(self) -> Diagnosis:
        """Why it did not learn, or what speaks for its health. Loads the data again if the run came from a folder.

        Raises InputError where they are gone.

        >>> from thalweg import train
        >>> run = train(["dense 8", "tanh", "dense 1", "softmax"], "xor", epochs=200, engine="eager", progress=False)
        >>> run.diagnose().causes[0].finding.code
        'output-activation'
        """
        return self._diagnosis

    @cached_property
    def _diagnosis(self) -> Diagnosis:
        return diagnose(self.case)

    @property
    def case(self) -> Case:
        """What the doctor examines. Loads the data again if the run came from a folder."""
        split = self.split or self.spec.data.load(self.spec.training.seed)
        record = {name: getattr(self, name) for name in ("history", "measures", "observations", "params", "diverged")}
        return Case.of(self.spec, split, self.per_epoch, layers=self.state.layers, **record)

    def figures(self) -> list[Any]:
        """The charts of the report as plotly figures: curves, answers over the inputs, what is inside of the network.

        Loads the data again if the run came from a folder; where they are gone, what was recorded is left.
        """
        from .report import charts

        return charts(account_of(self))

    def _repr_html_(self) -> str:
        from .report import card

        try:
            health = verdict(self.diagnose())
        except InputError:
            # Of rows that are gone, the card says nothing.
            health = ""
        return card(_title(self), " ".join([self.outcome, *self.remarks]), self.measures, health)

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        from .report import training_charts

        display(HTML(self._repr_html_()), *training_charts(self.history)[:1])


def sets_of(split: Split) -> dict[str, Rows]:
    """The sets that there are; the last one is the one that says most of unseen rows."""
    sets = {"training": split.train, "validation": split.validation, "test": split.test}
    return {name: data for name, data in sets.items() if data is not None}


def unit_of(preprocessing: Preprocessing) -> np.ndarray | float:
    """What one unit of the network's output is in the target's own units, by output."""
    if preprocessing.task != "regression":
        return 1.0
    zero = np.zeros((1, preprocessing.outputs))
    return (preprocessing.values(zero + 1) - preprocessing.values(zero)).reshape(-1)


def account_of(run: Run) -> Any:
    """What the report tells of a run; where its rows can not be had any more, what was recorded."""
    from .report import Account

    shapes = run.network.initialize(0, (run.preprocessing.features,))
    layers = tuple(
        (layer_in_words(layer), str(shape), sum(np.size(array) for _, array in arrays_of(params)))
        for layer, shape, params in zip(run.network.layers, shapes.shapes, shapes.params, strict=True)
    )
    account = Account(
        title=_title(run),
        outcome=" ".join([run.outcome, *run.remarks]),
        facts=tuple(run.facts.items()),
        notes=run.notes,
        measures=run.measures,
        history=run.history,
        layers=layers,
        task=run.task,
        target_names=run.preprocessing.target_names,
        feature_names=run.preprocessing.feature_names,
        observed=run.observations if run.records else None,
        expected=_expected(run),
        film=_in_units(run),
        per_epoch=run.per_epoch,
        threshold=run.decides_at,
        spec=to_toml(run.spec),
    )
    try:
        run = run if run.split else dataclasses.replace(run, split=run.spec.data.load(run.spec.training.seed))
    except InputError as error:
        missing = (
            f"The doctor could not look at this run, nor the report at its answers, for want of its rows: {error}."
        )
        return dataclasses.replace(account, health=(Text(missing),))
    return _with_rows(account, run)


def _with_rows(account: Any, run: Run) -> Any:
    """The account with what the rows tell: the doctor's findings, the answers, what is inside of the network."""
    split = run.split
    assert split
    plane = plane_of(run.preprocessing, split.train)
    name, rows = list(sets_of(split).items())[-1]
    # Of rows that stream from the disk, the report looks at as many as fit into memory.
    data = next(rows.parts())
    outputs = run.answers(data.x)
    confidence = None
    if run.task == "classification":
        true, predicted = data.y, run.classes(outputs)
        if outputs.min() >= 0 and outputs.max() <= 1:
            single = outputs.shape[1] == 1
            confidence = np.maximum(outputs, 1 - outputs)[:, 0] if single else outputs.max(axis=1)
    elif run.task == "multilabel":
        true, predicted = data.y, (outputs > run.decides_at).astype(int)
    else:
        true, predicted = run.preprocessing.values(data.y), run.preprocessing.values(outputs)
    hidden = hidden_answers(run.network, run.params, run.state.layers)
    return dataclasses.replace(
        account,
        health=health_of(run.diagnose()),
        true=true,
        predicted=predicted,
        confidence=confidence,
        samples=run.preprocessing.unscaled(data.x),
        image_shape=data.image_shape,
        held_out=name,
        batch_size=_batch_size(run, split),
        seen=map_of(run.preprocessing, plane, data, run.answers, hidden) if plane else None,
        curve=curve_of(run.preprocessing, data, run.answers),
        weights=weight_images(run.params, data.image_shape),
    )


def _expected(run: Run) -> np.ndarray | None:
    """The part of the last layer's delta that theory expects at each dense layer or block before training; else NaN."""
    stages = [index for index, layer in enumerate(run.network.layers) if isinstance(layer, Dense | Residual)]
    inputs = run.observations.whole.get("input_rms")
    if inputs is None or not stages:
        return None
    network, _ = fused(run.network, run.spec.loss)
    start = run.network.initialize(run.spec.training.seed, (run.preprocessing.features,))
    parts = predicted(network.layers, [start.params], float(inputs[0]) ** 2, stages)[1]
    by_number = {str(stage + 1): part for stage, part in zip(stages, parts, strict=True)}
    return np.array([by_number.get(name.partition(":")[0], np.nan) for name in numbered_layers(run.network)])


def _in_units(run: Run) -> Film | None:
    """The film of a run with answers in the target's own units."""
    if run.film is None or run.task != "regression":
        return run.film
    outputs = run.film.outputs
    return run.film._replace(
        outputs=run.preprocessing.values(outputs.reshape(-1, outputs.shape[-1])).reshape(outputs.shape)
    )


def _batch_size(run: Run, split: Split) -> int:
    """The rows of an update."""
    size, rows = run.spec.training.batch_size, len(split.train)
    return min(rows, size * run.spec.training.accumulate) if isinstance(size, int) else rows


def _title(run: Run) -> str:
    return f"{run.folder.name}: {data_in_words(run.spec)}" if run.folder else data_in_words(run.spec)


def spec_in(folder: Path, settings: Sequence[str] = (), changes: Sequence[tuple[str, Any]] = ()) -> WholeSpec:
    """The spec of a run's folder, with some values set anew. Raises InputError where it is no run, or lacks a part."""
    if not (folder / "spec.toml").is_file():
        raise InputError(str(folder), "is no run: it holds no spec.toml; `thalweg runs` lists the runs of a folder")
    spec = read_spec(str(folder / "spec.toml"), settings, changes)
    try:
        return WholeSpec.of(spec.describe())
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
    template = answering(start_state(spec.network, spec.optimizer, 0, preprocessing.features))
    result = read_result(path)
    return Run(
        spec=spec,
        state=load_state(path / STATE, template),
        history=read_records(path / "metrics.jsonl"),
        records=tuple(read_records(path / "probes.jsonl")),
        film=Film.load(path),
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
    outputs = run.answers(x)
    names = run.preprocessing.target_names
    if run.task == "classification":
        columns: dict[str, Any] = {"prediction": run.preprocessing.labels(run.classes(outputs))}
        if outputs.shape[1] == len(names):
            columns |= {f"p({name})": outputs[:, index] for index, name in enumerate(names)}
        else:
            columns["output"] = outputs[:, 0]
    else:
        values = (
            run.preprocessing.values(outputs) if run.task == "regression" else (outputs > run.decides_at).astype(int)
        )
        columns = {
            f"prediction({name})" if len(names) > 1 else "prediction": values[:, i] for i, name in enumerate(names)
        }
    return polars.DataFrame(columns)
