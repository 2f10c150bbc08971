"""A run: a trained network with its record; how it is used, saved and loaded."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..core.arrays import Params, arrays_of
from ..core.errors import InputError
from ..core.files import commit, remove
from ..core.printable import printable
from ..core.progress import Watch, ignore_progress
from ..data import Dataset, Preprocessing, RawRows, Split, Task
from ..engine.choice import engine_for, step_seconds
from ..engine.engine import Engine
from ..engine.step import State, Trace, fused, inference_state
from ..models.conversion.to_torch import module_of
from ..models.decision import decided, predictions
from ..models.linear_units import with_threshold
from ..models.mean_field import predicted
from ..models.network import Network
from ..models.summary import layer_in_words, numbered_layers
from ..pages.blocks import Text
from ..pages.numbers import measure_name, measure_value
from ..pages.page import Page, Paged
from ..parts.part import Loss
from ..probes.boundary_frames import FRAMES, FRAMES_SO_FAR, BoundaryFrames
from ..probes.input_maps import curve_of, hidden_outputs, map_of, plane_of, weight_images
from ..probes.picture_maps import feature_maps, kernel_images, saliency
from ..probes.records import Observations, Record
from ..spec.spec import CompleteSpec, data_name
from ..spec.toml import to_toml
from ..training.checkpoints import checkpoint_folder
from ..training.evaluate import evaluate, predict_batches
from ..training.inspect import inspect
from ..training.saved_state import save_state
from .importance import MOST_INPUTS, MOST_PIXELS, SHUFFLES, Importance, importance_of, rows_to_answer
from .report_data import ReportData
from .run_folder import REPORT_FILE, RESULT, RESULT_FILE, json_line, new_run_folder, write_spec

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
    from torch import nn

    # Predictions start without the doctor, the charts and the exporters.
    from ..doctor.diagnosis import Diagnosis
    from ..doctor.measurements import Measurements
    from ..export.trained_model import TrainedModel
    from ..export.writing import ExportedFile

# Rows on which an exported file is compared with the run.
_COMPARED_ROWS = 1000
STATE = Path("checkpoints") / "final.safetensors"


@dataclass(frozen=True, eq=False)
class Run(Paged):
    """A trained network with its record: use it, save it, examine it."""

    spec: CompleteSpec
    """Everything that decided the training."""
    state: State
    """The state that predicts; `state.params` are the weights, an entry for each layer."""
    history: list[dict[str, float]]
    """One record for each epoch."""
    measures: dict[str, dict[str, float]]
    """The loss and the metric at the end, by set: "training", "validation", "test"."""
    preprocessing: Preprocessing
    """How rows are scaled and encoded, and outputs turned back."""
    outcome: str
    """How the training ended, in a sentence."""
    seconds: float
    """How long it took."""
    facts: dict[str, str]
    """What the report lists of the training."""
    confusion: list[list[int]] | None = None
    """For classes: counts by true class (row) and predicted class (column) in the last of the sets."""
    notes: tuple[str, ...] = ()
    """Notes on the rows."""
    interrupted: bool = False
    """Whether a signal ended the training, so that it can be resumed."""
    signal: int = 0
    """The number of that signal; 0 for a run that was loaded."""
    diverged: str = ""
    """The number that became NaN or infinite first; "" where none did."""
    threshold: float | None = None
    """The decision threshold, where it was tuned."""
    remarks: tuple[str, ...] = ()
    """What was found besides the measures."""
    per_epoch: int = 1
    """Updates in an epoch."""
    records: tuple[Record, ...] = ()
    """What the probes recorded; `observations` has it in arrays."""
    boundary_frames: BoundaryFrames | None = field(default=None, repr=False)
    """The outputs on a plane of the inputs during training, where there is such a plane."""
    folder: Path | None = None
    """The folder of the run, where it has one."""
    split: Split | None = field(default=None, repr=False)
    """The rows; None for a run that was loaded."""

    @property
    def network(self) -> Network:
        return self.spec.network

    @property
    def loss(self) -> Loss:
        return with_threshold(self.spec.loss, self.threshold)

    @property
    def params(self) -> tuple[Params, ...]:
        """The weights, a NamedTuple of arrays for each layer."""
        return self.state.params

    @property
    def task(self) -> Task:
        return self.preprocessing.task

    @property
    def observations(self) -> Observations:
        """What the probes recorded, by step and by layer; empty where they were off.

        >>> from thalweg import train
        >>> run = train(["dense 2", "tanh", "dense 2"], "xor", epochs=40, engine="eager", progress=False)
        >>> run.observations.layers, run.observations["delta_rms"].shape
        (('1: dense 2', '2: tanh', '3: dense 2'), (20, 3))
        """
        return Observations.of(self.records, numbered_layers(self.network), self.per_epoch)

    def predict(self, x: RawRows) -> np.ndarray:
        """Predictions for raw rows.

        Args:
            x: rows (n, features), which are scaled and encoded as the training rows were.

        Returns:
            Names of classes, labels as 0 and 1, or values in units of the target: (n,), or (n, K) for several labels or
            targets.

        Raises:
            InputError: the columns do not fit.
        """
        return predictions(self.preprocessing, self.loss, self.predict_outputs(x))

    def predict_outputs(self, x: RawRows) -> np.ndarray:
        """The outputs for raw rows: (n, K) probabilities after a cross-entropy, else plain outputs."""
        return self.outputs_of(self.preprocessing.inputs(x))

    def evaluate(self, x: RawRows, y: ArrayLike) -> dict[str, float]:
        """The loss and the metric for raw rows and their targets."""
        data = self.preprocessing.dataset(x, y)
        others = self.spec.training.metrics or ()
        return evaluate(self.network, self.loss, self.state, data, self._engine(len(data)), self.preprocessing, others)

    def _engine(self, rows: int) -> Engine:
        """The engine for predictions of `rows` rows, on any device: a run may be used on another machine."""
        seconds = step_seconds(self.network, self.params, self.preprocessing.features, rows)
        return engine_for(self.spec.training, seconds, anywhere=True)

    def outputs_of(self, x: np.ndarray) -> np.ndarray:
        """The outputs (n, K) for prepared rows (n, inputs)."""
        return predict_batches(self.network, self.loss, self.state, x, self._engine(len(x)))

    def decided(self, outputs: np.ndarray) -> np.ndarray:
        """What outputs (n, K) say of prepared targets: numbers of classes (n,), labels 0 and 1 or values (n, K)."""
        return decided(self.task, self.loss, outputs)

    def classes(self, outputs: np.ndarray) -> np.ndarray:
        """The index (n,) of the class of each row of outputs (n, K)."""
        return self.loss.chosen_classes(outputs)

    @property
    def decision_threshold(self) -> float:
        """The output above which a label, or the second of two classes, is predicted."""
        return self.loss.decision_threshold

    def save(self, folder: str | Path) -> Path:
        """Write the folder of the run and return it. Raises InputError where it is not empty, or cannot be written."""
        path = Path(folder)
        with new_run_folder(path):
            write_spec(path, self.spec)
            self.write(path)
            self.write_report(path)
        return path

    def write(self, folder: Path) -> None:
        """Write all files but the report and the spec, which is written before the training."""
        commit(folder / "metrics.jsonl", b"".join(json_line(record) for record in self.history))
        if self.records:
            commit(folder / "probes.jsonl", b"".join(map(json_line, self.records)))
        else:
            remove(folder / "probes.jsonl")
        if self.boundary_frames:
            self.boundary_frames.save(folder)
        else:
            remove(folder / FRAMES.with_suffix(".json"))
            remove(folder / FRAMES)
        remove(folder / FRAMES_SO_FAR)
        checkpoint_folder(folder)
        save_state(folder / STATE, self.state, {"preprocessing": self.preprocessing.describe()})
        result = {name: getattr(self, name) for name in RESULT}
        commit(folder / RESULT_FILE, json.dumps(result, indent=1).encode())

    def write_report(self, folder: Path, library: Path | None = None) -> None:
        """Write report.html, the last of the files; see `report` for a shared library."""
        try:
            self.report(folder / REPORT_FILE, library)
        except InputError as error:
            fix = f"the run itself is whole; when that is mended: thalweg train --resume {folder}"
            raise InputError(error.subject, f"{error.problems[0]}; {fix}") from error

    def page(self) -> Page:
        """The report as a page.

        The rows of a run from a folder are loaded again; where they are gone, the page says so and shows the record.
        """
        from .report import report_page

        return report_page(report_data_of(self))

    def inspect(self, x: RawRows, y: ArrayLike, weight: ArrayLike | None = None) -> Trace:
        """Every number of one training step on raw rows and their targets, in float64; see `thalweg.inspect`."""
        data = self.preprocessing.dataset(x, y, weight)
        state = self.state
        return inspect(
            self.network, state.params, data.x, data.y, loss=self.loss, layers=state.layers, weight=data.weight
        )

    def diagnose(
        self, confirm: bool = False, seconds: float | None = None, watch: Watch = ignore_progress
    ) -> Diagnosis:
        """Why the network did not learn, or the evidence that it is healthy.

        Args:
            confirm: whether causes are tried in paired runs (`confirmed`), rather than named by the checks alone.
            seconds: the time for these runs; None: 30 s, or three times that of the training where this is more.
            watch: is called with the progress of these runs.

        The rows of a run from a folder are loaded again.

        Raises:
            InputError: the rows are gone.
            KeyboardInterrupt: at Ctrl-C.

        >>> from thalweg import train
        >>> run = train(["dense 8", "tanh", "dense 1", "softmax"], "xor", epochs=200, engine="eager", progress=False)
        >>> run.diagnose().causes[0].finding.code
        'output-activation'
        """
        from ..doctor.interventions.confirmation import budget_for, confirmed
        from ..doctor.interventions.row_suspects import input_suspects, row_suspects
        from ..doctor.interventions.suspects import suspects
        from ..spec.length import usual_stopping
        from ..training.paired import PairedRuns

        if not confirm:
            return self._diagnosis
        learned = self._diagnosis.learned
        if learned is None:
            return self._diagnosis
        measurements = self.measurements
        spec, rows = self.spec, self.rows()
        layout = self.network.layout((self.preprocessing.features,))
        return confirmed(
            self._diagnosis,
            (
                *input_suspects(measurements, self._diagnosis.findings),
                *suspects(
                    spec,
                    self._diagnosis.findings,
                    measurements.largest_rate,
                    [self.preprocessing.features, *(shape[-1] for shape in layout.shapes)],
                    measurements.remedies.output(),
                    usual_stopping(spec.training, spec.optimizer, spec.data, rows.train),
                ),
            ),
            PairedRuns(spec, rows, learned.measure),
            budget_for(self.seconds) if seconds is None else seconds,
            watch,
            held_out=measurements.held_out_scores.get("validation"),
            of_rows=row_suspects(measurements, self._diagnosis.findings),
        )

    @cached_property
    def _diagnosis(self) -> Diagnosis:
        from ..doctor.examination import diagnose

        return diagnose(self.measurements)

    def importance(self, shuffles: int = SHUFFLES) -> Importance | None:
        """How much of the score on held-out rows is lost without each column of the data, or each region of pictures.

        Pictures are divided into at most 7 x 7 regions; the pixels of a region are those of other pictures. The rows
        are those of the test set, else of the validation set, else of the training.

        Args:
            shuffles: how many other rows a row gets its values of the column or region from.

        Returns:
            The importance of each column or region with its interval; None where there are fewer than two rows, or
            where all numbers to predict are equal.

        Raises:
            InputError: the rows of a loaded run are gone, or `shuffles` is below 1.

        Source: Breiman 2001, Random forests, section 10.

        >>> from thalweg import train
        >>> found = train(["dense 8", "tanh", "dense 3"], "iris", epochs=20, progress=False).importance()
        >>> found.measure, len(found.inputs)
        ('accuracy', 4)
        """
        name, rows = list(self.rows().sets.items())[-1]
        data = rows.head()
        engine = self._engine(rows_to_answer(self.preprocessing, data, shuffles))

        def decisions_of(x: np.ndarray) -> np.ndarray:
            return self.decided(predict_batches(self.network, self.loss, self.state, x, engine))

        return importance_of(self.preprocessing, data, name, decisions_of, shuffles)

    def rows(self) -> Split:
        """The rows of the training. Those of a run from a folder are loaded again.

        Raises InputError where they are gone, or are other ones than the network takes.
        """
        if self.split:
            return self.split
        known = self.preprocessing
        split = self.spec.data.load(self.spec.training.seed, precision=known.precision)
        found = split.preprocessing
        if (found.task, found.feature_names, found.target_names) != (
            known.task,
            known.feature_names,
            known.target_names,
        ):
            names = f"that the training had ({STATE.with_suffix('.json')})"
            was = f"expected {known.features} inputs and {known.outputs} outputs of the names {names}"
            fix = "restore the rows or the [data] section of spec.toml"
            raise InputError("data", f"{was}, received {found.features} and {found.outputs}, or others; {fix}")
        return split

    def to_torch(self) -> nn.Sequential:
        """The network as nn.Sequential of PyTorch, with its weights and running statistics, in evaluation mode.

        It takes prepared rows, `run.preprocessing.inputs(x)`, and gives the outputs of the network: logits where the
        loss takes logits. Raises InputError without PyTorch, and with every layer that has no equal module.

        >>> import pytest
        >>> torch = pytest.importorskip("torch")
        >>> from thalweg import train
        >>> run = train(["dense 3", "tanh", "dense 2", "softmax"], "xor", epochs=9, engine="eager", progress=False)
        >>> x = torch.tensor([[0.0, 1.0]])
        >>> np.allclose(run.to_torch()(x).detach().numpy(), run.predict_outputs(x.numpy()), atol=1e-6)
        True
        """
        state = inference_state(self.state)
        return module_of(self.network, state.params, state.layers)

    @property
    def trained_model(self) -> TrainedModel:
        """What predictions need: the network, its weights and its preprocessing."""
        from ..export.trained_model import TrainedModel

        state = inference_state(self.state)
        return TrainedModel(self.network, self.loss, state.params, state.layers, self.preprocessing)

    def export(
        self,
        *,
        onnx: str | Path | None = None,
        torch: str | Path | None = None,
        python: str | Path | None = None,
        watch: Watch = ignore_progress,
    ) -> list[ExportedFile]:
        """Write the network with its preprocessing as files that work without Thalweg; see docs/deploy.md.

        Each file is compared with the run before it is written: on held-out rows and, for a table, a row without any
        value. Where the rows of the training are gone, rows are drawn from the range of the training rows.

        Args:
            onnx: a graph of ONNX. Needs the packages onnx and onnxruntime.
            torch: the source of a module of PyTorch (.py); its weights are written beside it (.safetensors).
            python: one file of Python that needs NumPy alone (.py).
            watch: is called with the progress.

        Raises:
            InputError: no file is named, a package is missing, an operation of a layer has no exported form, outputs
                differ by more than 1e-5, or a file cannot be written.

        >>> import tempfile
        >>> from thalweg import train
        >>> run = train(["dense 3", "tanh", "dense 2", "softmax"], "xor", epochs=9, engine="eager", progress=False)
        >>> folder = Path(tempfile.mkdtemp())
        >>> [file.path.name for file in run.export(python=folder / "network.py")]
        ['network.py']
        """
        from ..export.checking import raw_rows
        from ..export.writing import export_files

        rows = raw_rows(self.preprocessing, self._held_out_inputs())
        expected = self.predict_outputs(rows)
        return export_files(self.trained_model, rows, expected, onnx, torch, python, watch)

    def _held_out_inputs(self) -> np.ndarray:
        """Some inputs (n, features) of the last of the sets; normal numbers where the rows are gone."""
        try:
            return list(self.rows().sets.values())[-1].head().x[:_COMPARED_ROWS]
        except InputError:
            return np.random.default_rng(0).standard_normal((_COMPARED_ROWS, self.preprocessing.features))

    @property
    def measurements(self) -> Measurements:
        """What the doctor measures. The rows of a run from a folder are loaded again."""
        from ..doctor.measure_run import measurements_of
        from ..doctor.rows.measure_rows import TrainingRecord

        split = self.rows()
        record = TrainingRecord(
            params=self.params,
            layers=self.state.layers,
            history=self.history,
            measures=self.measures,
            predict=lambda x: self.decided(self.outputs_of(x)),
            observations=self.observations,
            diverged=self.diverged,
        )
        return measurements_of(self.spec, split, self.per_epoch, record)

    def figures(self) -> list[Figure]:
        """The charts of the report as plotly figures: curves, outputs over the inputs, the inside of the network.

        The rows of a run from a folder are loaded again; where they are gone, the charts of the record are left.
        """
        return self.page().figures()

    def __repr__(self) -> str:
        """The data, how the training ended, the measures at the end, and where more is, in three lines."""
        metrics = {name: [measure for measure in own if measure != "loss"][:1] for name, own in self.measures.items()}
        scores = [
            f"{name} {measure_name(measure)} {measure_value(measure, self.measures[name][measure])}"
            for name, measures in metrics.items()
            for measure in measures
        ]
        more = ".diagnose() finds what is wrong; .report() is the page."
        return printable("\n".join([f"Run: {_title(self)}. {self.outcome}", ", ".join(scores), more]))

    def _card(self) -> Page:
        """What a notebook shows: how the training ended, the verdict of the doctor, the measures, the first curve."""
        from .report import card

        try:
            health: tuple[Text, ...] = (Text(self.diagnose().verdict),)
        except InputError:
            # The rows are gone.
            health = ()
        outcome = " ".join([self.outcome, *self.remarks])
        data = ReportData(
            title=_title(self),
            outcome=outcome,
            task=self.task,
            measures=self.measures,
            history=self.history,
            health=health,
        )
        return card(data)

    def _repr_html_(self) -> str:
        return self._card()._repr_html_()

    def _ipython_display_(self) -> None:
        self._card()._ipython_display_()


def report_data_of(run: Run) -> ReportData:
    """The data of the report of a run; where its rows are gone, what was recorded."""
    shapes = run.network.layout((run.preprocessing.features,))
    layers = tuple(
        (layer_in_words(layer), str(shape), sum(np.size(array) for _, array in arrays_of(params)))
        for layer, shape, params in zip(run.network.layers, shapes.shapes, shapes.params, strict=True)
    )
    data = ReportData(
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
        run = dataclasses.replace(run, split=run.rows())
    except InputError as error:
        missing = (
            f"The rows of this run are gone, so the doctor and the charts of its predictions are missing: {error}."
        )
        return dataclasses.replace(data, health=(Text(missing),))
    return _with_rows(data, run)


def _with_rows(report: ReportData, run: Run) -> ReportData:
    """The report data with what needs the rows: the findings, the predictions, the inside of the network."""
    split = run.split
    assert split
    plane = plane_of(run.preprocessing, split.train)
    name, rows = list(split.sets.items())[-1]
    # Of rows that are streamed, the report shows the first ones.
    data = rows.head()
    outputs = run.outputs_of(data.x)
    confidence = None
    if run.task == "classification":
        true = data.y
        predicted = run.classes(outputs)
        if outputs.min() >= 0 and outputs.max() <= 1:
            single = outputs.shape[1] == 1
            confidence = np.maximum(outputs, 1 - outputs)[:, 0] if single else outputs.max(axis=1)
    elif run.task == "multilabel":
        true = data.y
        predicted = (outputs > run.decision_threshold).astype(int)
    else:
        true = run.preprocessing.values(data.y)
        predicted = run.preprocessing.values(outputs)
    hidden = hidden_outputs(run.network, run.params, run.state.layers)
    return dataclasses.replace(
        report,
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
        importance=run.importance() if _is_of_few_inputs(data) else None,
        kernels=kernel_images(run.params),
        feature_maps=feature_maps(run.network, run.params, run.state.layers, data),
        saliency=saliency(run.network, run.loss, run.params, run.state.layers, data),
    )


def _is_of_few_inputs(data: Dataset) -> bool:
    """Whether a report measures the importance of inputs: not of a single one, or of very many."""
    if data.image_shape is None:
        return 1 < data.features <= MOST_INPUTS
    return 1 < math.prod(data.image_shape[:2]) <= MOST_PIXELS


def _expected(run: Run) -> np.ndarray | None:
    """The fraction of the last delta that theory expects at each weighted layer before training; NaN elsewhere."""
    stages = [index for index, layer in enumerate(run.network.layers) if layer.has_weights or layer.inner]
    inputs = run.observations.whole.get("input_rms")
    if inputs is None or not stages:
        return None
    network, _ = fused(run.network, run.spec.loss)
    start = run.network.initialize(run.spec.training.seed, (run.preprocessing.features,))
    parts = predicted(network.layers, [start.params], float(inputs[0]) ** 2, stages)[1]
    by_number = {str(stage + 1): part for stage, part in zip(stages, parts, strict=True)}
    return np.array([by_number.get(name.partition(":")[0], np.nan) for name in numbered_layers(run.network)])


def _in_units(run: Run) -> BoundaryFrames | None:
    """The frames of the boundary with outputs in units of the target."""
    if run.boundary_frames is None or run.task != "regression":
        return run.boundary_frames
    outputs = run.boundary_frames.outputs
    return run.boundary_frames._replace(
        outputs=run.preprocessing.values(outputs.reshape(-1, outputs.shape[-1])).reshape(outputs.shape)
    )


def _batch_size(run: Run, split: Split) -> int:
    """Rows of an update."""
    size = run.spec.training.batch_size
    rows = len(split.train)
    return min(rows, size * run.spec.training.accumulate) if isinstance(size, int) else rows


def _title(run: Run) -> str:
    return f"{run.folder.name}: {data_name(run.spec)}" if run.folder else data_name(run.spec)
