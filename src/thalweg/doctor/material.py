"""What is examined: a spec with its rows, before its training and after, and what is measured of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from ..core.arrays import Tree
from ..core.noise import generator
from ..data import Dataset, Split
from ..engine.step import Trace
from ..models.network import Network
from ..parts.layers import Activation, Dense, Identity, Sigmoid, Softmax, Tanh
from ..parts.part import Layer
from ..probes.records import Observations
from ..spec.spec import CompleteSpec
from ..training.inspect import inspect
from .findings import Learned, Severity

# So many rows are looked at; of a step at the start, and at the end, fewer.
_ROWS, _STEP_ROWS = 2000, 256
# A forest of so many trees sees as many rows as hold so many numbers.
_TREES, _FOREST_NUMBERS, _LEAST_FOREST_ROWS = 100, 400_000, 500
# Whoever came so far learnt.
LEARNED = 2 / 3
# Fewer rows are learnt by heart.
_FEW_ROWS = 100
# Less than this above the constant answer is nothing that could be learnt.
LEAST = 0.05


class Look(NamedTuple):
    """What one step shows: of each dense layer (indices) the rms of its outputs and of its delta; of each elementwise
    activation (indices) how many units it has, the shares of them that pass no gradient for any row, and of its numbers
    that are saturated; how much the outputs differ between rows; the loss; whether all of it is finite.
    """

    dense: tuple[int, ...]
    outputs: np.ndarray
    deltas: np.ndarray
    activations: tuple[int, ...]
    units: tuple[int, ...]
    dead: np.ndarray
    saturated: np.ndarray
    spread: float
    level: float
    loss: float
    finite: bool

    @property
    def flow(self) -> float:
        """The delta of the first hidden layer as a part of that of the last; NaN where there is one, or none passes."""
        hidden = self.deltas[:-1]
        return float(hidden[0] / hidden[-1]) if len(hidden) > 1 and hidden[-1] > 0 else float("nan")

    @property
    def growth(self) -> float:
        """The outputs of the hidden layer where they are largest, as a multiple of those of the first."""
        hidden = self.outputs[:-1]
        return float(np.nanmax(hidden) / hidden[0]) if len(hidden) > 1 and hidden[0] > 0 else float("nan")


@dataclass(frozen=True, eq=False)
class Material:
    """A training, or one that is to come: its spec, its rows, its record.

    `train` and `validation` are rows in memory (of streamed ones the first part), `rows` is how many there are to train
    on. `history`, `measures`, `observations`, `params`, `layers`, `diverged` are those of a `Run`; `params` is None
    before a training.
    """

    spec: CompleteSpec
    train: Dataset
    validation: Dataset | None
    rows: int
    per_epoch: int
    features: tuple[str, ...]
    history: Sequence[dict[str, float]] = ()
    measures: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    observations: Observations | None = None
    params: Tree | None = None
    layers: Tree | None = None
    diverged: str = ""

    @classmethod
    def of(cls, spec: CompleteSpec, split: Split, per_epoch: int, **record: Any) -> Self:
        """The case of a spec and its rows; `record` is what a training of it has left, none before it."""
        # Of rows that stream from the disk the first part has to do.
        train = next(iter(split.train.parts()))
        validation = None if split.validation is None else next(iter(split.validation.parts()))
        features = split.preprocessing.feature_names
        return cls(spec, train, validation, len(split.train), per_epoch, features, **record)

    # The rows ---------------------------------------------------------------------------------------------------------

    @property
    def task(self) -> str:
        """classification, multilabel or regression."""
        return self.train.task

    @cached_property
    def _chosen(self) -> np.ndarray:
        n = len(self.train)
        return np.sort(generator(0, "doctor").permutation(n)[:_ROWS]) if n > _ROWS else np.arange(n)

    @cached_property
    def x(self) -> np.ndarray:
        """Inputs of some training rows (n, features), as the network takes them."""
        return np.asarray(self.train.x[self._chosen], dtype=float)

    @cached_property
    def y(self) -> np.ndarray:
        """Their targets."""
        return np.asarray(self.train.y[self._chosen])

    @cached_property
    def targets(self) -> np.ndarray:
        """The targets as numbers (n, outputs): 0 and 1 by class or label."""
        if self.task == "classification":
            return np.eye(self.train.outputs)[self.y]
        return np.asarray(self.y, dtype=float).reshape(len(self.y), -1)

    # How far it came --------------------------------------------------------------------------------------------------

    @cached_property
    def learned(self) -> Learned | None:
        """How far the training came; None before it."""
        if self.params is None:
            return None
        name = "r2" if self.task == "regression" else "accuracy"
        score = float("nan") if self.diverged else self.measures["training"][name]
        constant = self.constant
        # Who is near to all that could be asked for needs no other ruler.
        near = score - constant >= 0.75 * (1 - constant) > 0
        return Learned(name, score, constant, 1.0 if near else max(self._attainable, constant))

    @cached_property
    def constant(self) -> float:
        """The score of the best answer that is the same for all rows."""
        return self._by_heart(np.zeros(len(self.y), int))

    @property
    def learns(self) -> bool:
        """Whether it came two thirds of the way, or was not asked to go anywhere yet."""
        learned = self.learned
        if learned is None:
            return False
        if learned.attainable - learned.constant < LEAST:
            return False
        return learned.share >= LEARNED

    def severity(self, certain: bool = False) -> Severity:
        """How grave a sign is: a note in a network that learns; else severe where it is certain to keep it from it."""
        if self.learns:
            return "note"
        return "severe" if certain else "warning"

    @cached_property
    def _attainable(self) -> float:
        """What can be done on these rows: by a random forest on rows that it has not seen; on a few rows, by heart."""
        if len(self.y) < _FEW_ROWS:
            return self._by_heart(np.unique(self.x, axis=0, return_inverse=True)[1].ravel())
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
        from sklearn.model_selection import KFold, cross_val_predict

        rows = slice(0, max(_LEAST_FOREST_ROWS, _FOREST_NUMBERS // self.x.shape[1]))
        x, y, regression = self.x[rows], self.y[rows], self.task == "regression"
        forest = (RandomForestRegressor if regression else RandomForestClassifier)(_TREES, random_state=0)
        targets = y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y
        found = cross_val_predict(forest, x, targets, cv=KFold(3, shuffle=True, random_state=0))
        return self._score(found.reshape(y.shape), y)

    def _by_heart(self, group: np.ndarray) -> float:
        """The score of the best answers that are the same for all rows of a group."""
        answers = np.array(self.y, dtype=float if self.task == "regression" else self.y.dtype)
        for number in np.unique(group):
            own = self.y[group == number]
            values, counts = np.unique(own, axis=0, return_counts=True)
            answers[group == number] = own.mean(axis=0) if self.task == "regression" else values[counts.argmax()]
        return self._score(answers, self.y)

    def _score(self, answers: np.ndarray, y: np.ndarray) -> float:
        if self.task == "regression":
            variance = ((y - y.mean(axis=0)) ** 2).sum()
            return float(1 - ((y - answers) ** 2).sum() / variance) if variance else 0.0
        right = y == answers
        return float(np.mean(right if y.ndim == 1 else right.all(axis=1)))

    # The network ------------------------------------------------------------------------------------------------------

    @property
    def network(self) -> Network:
        """The network."""
        return self.spec.network

    @cached_property
    def hidden(self) -> tuple[int, ...]:
        """Where the activations stand that have a dense layer behind them."""
        dense = [index for index, layer in enumerate(self.network.layers) if isinstance(layer, Dense)]
        last = dense[-1] if dense else -1
        return tuple(i for i, layer in enumerate(self.network.layers[: last + 1]) if is_activation(layer))

    @property
    def output(self) -> Layer:
        """The last layer: an activation, or the identity where there is none."""
        last = self.network.layers[-1]
        return last if isinstance(last, Activation | Softmax) else Identity()

    @property
    def width(self) -> int:
        """The number of outputs."""
        return int(self.network.initialize(0, (self.train.features,)).shapes[-1][-1])

    def name(self, index: int) -> str:
        """A layer as a person calls it."""
        layer = self.network.layers[index]
        width = f" {layer.width}" if isinstance(layer, Dense) else ""
        return f"layer {index + 1} ({layer.kind}{width})"

    # Steps ------------------------------------------------------------------------------------------------------------

    @cached_property
    def _step_rows(self) -> np.ndarray:
        return generator(1, "doctor").permutation(len(self.x))[:_STEP_ROWS]

    @cached_property
    def scaled(self) -> np.ndarray:
        """The inputs as standardising would make them."""
        deviation = self.x.std(axis=0)
        scaled: np.ndarray = (self.x - self.x.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
        return scaled

    @cached_property
    def start(self) -> Look:
        """The first step, with the weights that the training begins with."""
        return self.look(self.network, self.x, self.spec.training.seed)

    @cached_property
    def standardised(self) -> tuple[Look, ...]:
        """First steps of other starts with standardised inputs."""
        return tuple(self.look(self.network, self.scaled, seed) for seed in range(5))

    @cached_property
    def end(self) -> Look | None:
        """A step with the weights that the training left; None before it, and where they are not finite."""
        return None if self.params is None else self._look(self.network, self.params, self.layers, self.x)

    def look(self, network: Network, x: np.ndarray, seed: int) -> Look:
        """The first step of a network on rows."""
        begun = network.initialize(seed, (self.train.features,))
        return self._look(network, begun.params, begun.states, x)

    def _look(self, network: Network, params: Tree, layers: Tree, x: np.ndarray) -> Look:
        rows = self._step_rows
        with np.errstate(all="ignore"):
            seen = inspect(network, params, x[rows], self.y[rows], loss=self.spec.loss, layers=layers)
            return _looked(network, seen, self.spec.loss.probabilities)


def is_activation(layer: Layer) -> bool:
    """Whether a layer is an elementwise activation that does something."""
    return isinstance(layer, Activation) and not isinstance(layer, Identity)


def _looked(network: Network, seen: Trace, probabilities: Any) -> Look:
    layers = network.layers
    dense = tuple(index for index, layer in enumerate(layers) if isinstance(layer, Dense))
    acts = tuple(index for index, layer in enumerate(layers[:-1]) if is_activation(layer))
    inputs = (seen.batch.x, *seen.outputs[:-1])
    dead, saturated = [], []
    for index in acts:
        layer, z, y = layers[index], inputs[index], seen.outputs[index]
        assert isinstance(layer, Activation)
        slope = np.asarray(layer.derivative(z, y))
        dead.append(float(np.mean(~np.any(slope != 0, axis=0))))
        saturated.append(_saturated(layer, slope))
    logits = np.asarray(seen.outputs[-1])
    rms = [float(np.sqrt(np.mean(np.square(seen.outputs[index])))) for index in dense]
    deltas = [float(np.sqrt(np.mean(np.square(seen.deltas[index])))) for index in dense]
    arrays = (*seen.outputs, *seen.deltas, seen.loss)
    answers = np.asarray(probabilities(logits)) if isinstance(layers[-1], Sigmoid | Softmax) else logits
    return Look(
        dense,
        np.array(rms),
        np.array(deltas),
        acts,
        tuple(int(np.shape(seen.outputs[index])[-1]) for index in acts),
        np.array(dead),
        np.array(saturated),
        float(np.sqrt(np.mean(np.var(logits, axis=0)))),
        float(np.sqrt(np.mean(np.square(answers)))),
        float(seen.loss),
        all(bool(np.isfinite(array).all()) for array in arrays),
    )


def _saturated(layer: Activation, slope: np.ndarray) -> float:
    """The share of numbers whose slope is below a twentieth of the steepest; 0 for what does not saturate."""
    top = {Sigmoid: 0.25, Tanh: 1.0}.get(type(layer))
    return float(np.mean(np.abs(slope) < 0.05 * top)) if top else 0.0
