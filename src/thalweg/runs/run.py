"""A run: a trained network with its record; how it is used, saved and loaded."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import arrays_of
from ..core.errors import InputError
from ..core.files import commit
from ..data import Preprocessing, Split, Task
from ..doctor.diagnosis import Diagnosis
from ..doctor.examination import diagnose
from ..doctor.measure_run import TrainingRecord, measurements_of
from ..doctor.measurements import Measurements
from ..engine.engine import Engine
from ..engine.step import State, Trace, fused
from ..models.linear_units import with_threshold
from ..models.mean_field import predicted
from ..models.network import Network
from ..models.summary import layer_in_words, numbered_layers
from ..pages.blocks import Text
from ..pages.page import Page, Paged
from ..parts.layers import Dense, Residual
from ..parts.part import Loss
from ..probes.boundary_frames import BoundaryFrames
from ..probes.input_maps import curve_of, hidden_outputs, map_of, plane_of, weight_images
from ..probes.records import Observations, Record
from ..spec.spec import CompleteSpec, data_name
from ..spec.toml import to_toml
from ..training.evaluate import evaluate, predict_batches
from ..training.saved_state import save_state
from ..training.session import engine_for
from .report import card, report_page, training_charts
from .report_data import ReportData
from .run_folder import RESULT, json_line, make_folder, write_spec

STATE = Path("checkpoints") / "final.safetensors"


@dataclass(frozen=True, eq=False)
class Run(Paged):
    """A trained network with its record.

    `history` has one record an epoch, `measures` the loss and the scores at the end by set ("training", "validation",
    "test"); `state.params` are the weights, one entry a layer. `seconds` is how long the training took. `confusion`
    counts, for classes, how often each (row) was taken for each (column) in the last of these sets. `threshold` is
    where an answer changes from no to yes, where that was tuned; `remarks` say what was found out beside the measures.
    `per_epoch` is the number of updates in an epoch, `records` what the probes saw, as `observations` gives it in
    arrays, `boundary_frames` what the network answered on a plane of its inputs through its training.
    """

    spec: CompleteSpec
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
    boundary_frames: BoundaryFrames | None = field(default=None, repr=False)
    folder: Path | None = None
    split: Split | None = field(default=None, repr=False)

    @property
    def network(self) -> Network:
        return self.spec.network

    @property
    def loss(self) -> Loss:
        return with_threshold(self.spec.loss, self.threshold)

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
            return (outputs > self.decision_threshold).astype(int)
        values = self.preprocessing.values(outputs)
        return values[:, 0] if values.shape[1] == 1 else values

    def predict_outputs(self, x: Any) -> np.ndarray:
        """What the network answers for raw rows: (n, K) probabilities after a cross-entropy, else its plain outputs."""
        return self.outputs_of(self.preprocessing.inputs(x))

    def evaluate(self, x: Any, y: Any) -> dict[str, float]:
        """The loss and the scores for raw rows and their targets."""
        data, unit = self.preprocessing.dataset(x, y), self.preprocessing.target_unit
        return evaluate(self.network, self.loss, self.state, data, self._engine, unit)

    @property
    def _engine(self) -> Engine:
        """The engine of the training, on whatever device there is: a run may be used on another machine."""
        return engine_for(self.spec.training, anywhere=True)

    def outputs_of(self, x: np.ndarray) -> np.ndarray:
        """What the network answers for prepared rows (n, inputs): (n, K)."""
        return predict_batches(self.network, self.loss, self.state, x, self._engine)

    def classes(self, outputs: np.ndarray) -> np.ndarray:
        """The numbers (n,) of the classes that outputs (n, K) stand for."""
        return self.loss.chosen_classes(outputs)

    @property
    def decision_threshold(self) -> float:
        """Where an answer changes from no to yes: the loss's threshold, as `predict_outputs` gives it."""
        return self.loss.decision_threshold

    def save(self, folder: str | Path) -> Path:
        """Write the run's directory and return it. Raises InputError where it is not empty, or can not be written."""
        path = make_folder(Path(folder))
        write_spec(path, self.spec)
        self.write(path)
        self.write_report(path)
        return path

    def write(self, folder: Path) -> None:
        """Write what it recorded: all files but the spec, which is there since before the training, and the report."""
        commit(folder / "metrics.jsonl", b"".join(json_line(record) for record in self.history))
        if self.records:
            commit(folder / "probes.jsonl", b"".join(map(json_line, self.records)))
        if self.boundary_frames:
            self.boundary_frames.save(folder)
        save_state(folder / STATE, self.state, {"preprocessing": self.preprocessing.describe()})
        result = {name: getattr(self, name) for name in RESULT}
        commit(folder / "result.json", json.dumps(result, indent=1).encode())

    def write_report(self, folder: Path) -> None:
        """Write report.html."""
        commit(folder / "report.html", self.report().encode())

    def page(self) -> Page:
        """The report as a page.

        Loads the data again if the run came from a folder. If they are gone, the page says so and shows the record.
        """
        return report_page(report_data_of(self))

    def inspect(self, x: Any, y: Any, weight: Any = None) -> Trace:
        """Every number of one training step on raw rows and their targets, in float64; see `inspection.inspect`."""
        from ..training.inspect import inspect

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
        return diagnose(self.measurements)

    @property
    def measurements(self) -> Measurements:
        """What the doctor measures. Loads the data again if the run came from a folder."""
        split = self.split or self.spec.data.load(self.spec.training.seed)
        record = TrainingRecord(
            params=self.params,
            layers=self.state.layers,
            history=self.history,
            measures=self.measures,
            observations=self.observations,
            diverged=self.diverged,
        )
        return measurements_of(self.spec, split, self.per_epoch, record)

    def figures(self) -> list[Any]:
        """The charts of the report as plotly figures: curves, answers over the inputs, what is inside of the network.

        Loads the data again if the run came from a folder; where they are gone, what was recorded is left.
        """
        return self.page().figures()

    def _repr_html_(self) -> str:
        try:
            health: tuple[Text, ...] = (Text(self.diagnose().verdict),)
        except InputError:
            # The rows are gone.
            health = ()
        outcome = " ".join([self.outcome, *self.remarks])
        data = ReportData(title=_title(self), outcome=outcome, task=self.task, measures=self.measures, health=health)
        return card(data).fragment()

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        charts = training_charts(self.history)[:1]
        display(HTML(self._repr_html_()), *(chart.figure for chart in charts))


def report_data_of(run: Run) -> ReportData:
    """What the report tells of a run; where its rows can not be had any more, what was recorded."""
    shapes = run.network.initialize(0, (run.preprocessing.features,))
    layers = tuple(
        (layer_in_words(layer), str(shape), sum(np.size(array) for _, array in arrays_of(params)))
        for layer, shape, params in zip(run.network.layers, shapes.shapes, shapes.params, strict=True)
    )
    account = ReportData(
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
        boundary_frames=_in_units(run),
        per_epoch=run.per_epoch,
        threshold=run.decision_threshold,
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


def _with_rows(account: ReportData, run: Run) -> ReportData:
    """The account with what the rows tell: the doctor's findings, the answers, what is inside of the network."""
    split = run.split
    assert split
    plane = plane_of(run.preprocessing, split.train)
    name, rows = list(split.sets.items())[-1]
    # Of rows that stream from the disk, the report looks at as many as fit into memory.
    data = next(rows.parts())
    outputs = run.outputs_of(data.x)
    confidence = None
    if run.task == "classification":
        true, predicted = data.y, run.classes(outputs)
        if outputs.min() >= 0 and outputs.max() <= 1:
            single = outputs.shape[1] == 1
            confidence = np.maximum(outputs, 1 - outputs)[:, 0] if single else outputs.max(axis=1)
    elif run.task == "multilabel":
        true, predicted = data.y, (outputs > run.decision_threshold).astype(int)
    else:
        true, predicted = run.preprocessing.values(data.y), run.preprocessing.values(outputs)
    hidden = hidden_outputs(run.network, run.params, run.state.layers)
    return dataclasses.replace(
        account,
        health=run.diagnose().health_blocks(),
        true=true,
        predicted=predicted,
        confidence=confidence,
        samples=run.preprocessing.unscaled(data.x),
        image_shape=data.image_shape,
        held_out=name,
        batch_size=_batch_size(run, split),
        input_map=map_of(run.preprocessing, plane, data, run.outputs_of, hidden) if plane else None,
        curve=curve_of(run.preprocessing, data, run.outputs_of),
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


def _in_units(run: Run) -> BoundaryFrames | None:
    """The film of a run with answers in the target's own units."""
    if run.boundary_frames is None or run.task != "regression":
        return run.boundary_frames
    outputs = run.boundary_frames.outputs
    return run.boundary_frames._replace(
        outputs=run.preprocessing.values(outputs.reshape(-1, outputs.shape[-1])).reshape(outputs.shape)
    )


def _batch_size(run: Run, split: Split) -> int:
    """The rows of an update."""
    size, rows = run.spec.training.batch_size, len(split.train)
    return min(rows, size * run.spec.training.accumulate) if isinstance(size, int) else rows


def _title(run: Run) -> str:
    return f"{run.folder.name}: {data_name(run.spec)}" if run.folder else data_name(run.spec)
