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
from .checkpoint import load_state, read_manifest, save_state
from .data import Dataset, Preprocessing, Split, Task
from .engines import Device, Engine, EngineName, Precision, make_engine
from .errors import InputError
from .files import commit
from .folders import (
    RESULT,
    data_in_words,
    layer_in_words,
    line_of,
    make_folder,
    read_metrics,
    read_result,
    recorded,
    write_spec,
)
from .network import Network
from .parts import Layer, Loss, Optimizer
from .probes import confusion_matrix
from .spec import Spec, completed, read_spec, to_toml
from .step import State
from .training import Fit, Progress, answers, check_fit, evaluate, fit, start_state

_STATE = Path("checkpoints") / "final.safetensors"


@dataclass(frozen=True, eq=False)
class Run:
    """A trained network with its record.

    `history` has one record an epoch, `measures` the loss and the scores at the end by set ("training", "validation",
    "test"); `state.params` are the weights, one entry a layer. `confusion` counts, for classes, how often each (row)
    was taken for each (column) in the last of these sets.
    """

    spec: Spec
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
    folder: Path | None = None
    split: Split | None = field(default=None, repr=False)

    @property
    def network(self) -> Network:
        assert self.spec.network
        return self.spec.network

    @property
    def loss(self) -> Loss:
        assert self.spec.loss
        return self.spec.loss

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
        prepared = self.preprocessing
        return _evaluate(self.spec, self.state, prepared, prepared.dataset(x, y), self._engine)

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
        commit(path / "metrics.jsonl", b"".join(line_of(record) for record in self.history))
        self._write(path)
        return path

    def _write(self, folder: Path) -> None:
        """All files but those that exist since before the training."""
        (folder / _STATE).parent.mkdir(exist_ok=True)
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

        return card(_title(self), self.outcome, self.measures)

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        display(HTML(self._repr_html_()), *self.figures()[:1])


def train(
    network: Network | Sequence[Layer | str | dict[str, Any]] | None,
    data: Any,
    *,
    loss: Loss | str | dict[str, Any] | None = None,
    optimizer: Optimizer | str | dict[str, Any] = "adam",
    epochs: int = 20,
    batch_size: int | str = 32,
    seed: int = 0,
    engine: EngineName = "compiled",
    precision: Precision | None = None,
    device: Device | None = None,
    progress: bool = True,
) -> Run:
    """Train a network on data and return the run.

    data is a `Data`, or what its `source` may be: a name ("digits"), the path of a table, or (x, y). Without a network
    or a loss, one that suits the data is taken. Raises InputError for whatever does not fit together.

    >>> layers = ["dense 8", "tanh", "dense 2", "softmax"]
    >>> run = train(layers, "xor", optimizer="adam 0.1", epochs=100, engine="eager", progress=False)
    >>> run.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).tolist()
    [0, 1, 1, 0]
    """
    training: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "engine": engine}
    training |= {"precision": precision, "device": device}
    layers = network if network is None or isinstance(network, Network) else {"layers": network}
    spec = Spec.of({"data": data, "network": layers, "loss": loss, "optimizer": optimizer, "training": training})
    from .display import shown

    with shown(quiet=not progress) as watch:
        return run_spec(spec, watch)


def run_spec(
    spec: Spec,
    watch: Callable[[Progress], None] = lambda progress: None,
    folder: Path | None = None,
    told: Callable[[Spec, Split], None] = lambda spec, split: None,
) -> Run:
    """Load the data, train, measure, and write the run's directory if a folder is given.

    Everything that can be wrong with the spec, the data or the folder is found before the folder is made. `told` hears
    of the completed spec and the data before training starts.
    """
    split = spec.data.load(spec.training.seed)
    spec = completed(spec, split.train)
    engine = make_engine(spec.training.engine, spec.training.precision, spec.training.device)
    told(spec, split)
    record = watch
    if folder is not None:
        assert spec.network
        check_fit(spec.network, split.train)
        make_folder(folder)
        write_spec(folder, spec)
        record = recorded(folder, watch)

    began = time.perf_counter()
    assert spec.network and spec.loss
    unit = _unit(split.preprocessing)
    fitted = fit(
        spec.network, spec.loss, spec.optimizer, spec.training, split.train, split.validation, unit, watch=record
    )
    seconds = time.perf_counter() - began
    measures = {
        name: _evaluate(spec, fitted.state, split.preprocessing, data, engine) for name, data in _sets(split).items()
    }
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
        folder=folder,
        split=split,
    )
    if run.task == "classification":
        data = list(_sets(split).values())[-1]
        matrix = confusion_matrix(data.y, run._classes(run._answers(data.x)), data.outputs)
        run = dataclasses.replace(run, confusion=matrix.tolist())
    if folder is not None:
        run._write(folder)
    return run


def _sets(split: Split) -> dict[str, Dataset]:
    """The sets that there are; the last one is the one that says most of unseen rows."""
    sets = {"training": split.train, "validation": split.validation, "test": split.test}
    return {name: data for name, data in sets.items() if data is not None}


def _unit(preprocessing: Preprocessing) -> np.ndarray | float:
    """What one unit of the network's output is in the target's own units, by output."""
    if preprocessing.task != "regression":
        return 1.0
    zero = np.zeros((1, preprocessing.outputs))
    return (preprocessing.values(zero + 1) - preprocessing.values(zero)).reshape(-1)


def _evaluate(
    spec: Spec, state: State, preprocessing: Preprocessing, data: Dataset, engine: Engine
) -> dict[str, float]:
    assert spec.network and spec.loss
    return evaluate(spec.network, spec.loss, state, data, engine, _unit(preprocessing))


def _outcome(spec: Spec, fitted: Fit, seconds: float) -> str:
    done, asked = len(fitted.history), spec.training.epochs
    if fitted.diverged:
        return f"Diverged: {fitted.diverged}."
    if fitted.interrupted:
        return f"Stopped by Ctrl-C after {done} of {asked} epochs."
    return f"Trained {asked} {'epoch' if asked == 1 else 'epochs'} in {seconds:.1f} s."


def _facts(spec: Spec, split: Split, fitted: Fit, seconds: float, engine: Engine) -> dict[str, str]:
    training = spec.training
    return {
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


def account_of(run: Run) -> Any:
    """What the report tells of a run."""
    from .report import Account

    split = run.split or run.spec.data.load(run.spec.training.seed)
    name, data = list(_sets(split).items())[-1]
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
        outcome=run.outcome,
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
    if not (path / "spec.toml").is_file():
        raise InputError(str(path), "is no run: it holds no spec.toml; `thalweg runs` lists the runs of a folder")
    spec = read_spec(str(path / "spec.toml"))
    if not (path / _STATE).is_file():
        raise InputError(str(path), "holds no trained state: its training did not come to an end")
    preprocessing = Preprocessing.of(read_manifest(path / _STATE)["preprocessing"])
    assert spec.network
    template = start_state(spec.network, spec.optimizer, 0, preprocessing.features, make_engine("eager"))
    result = read_result(path)
    return Run(
        spec=spec,
        state=load_state(path / _STATE, template),
        history=read_metrics(path / "metrics.jsonl"),
        preprocessing=preprocessing,
        folder=path,
        **{name: result[name] for name in RESULT} | {"notes": tuple(result["notes"])},
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
