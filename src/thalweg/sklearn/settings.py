"""The parameters of the multi-layer perceptrons, translated into layers, loss, optimizer, stopping rule and engine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator

from ..core.arrays import Params, leaves
from ..core.errors import InputError
from ..core.printable import received
from ..data import RowSource, Task
from ..models.mlp import MultiLayerPerceptron
from ..models.network import Network
from ..parts.clipping import Clipping
from ..parts.initializers import Uniform
from ..parts.layers import Activation, Dense
from ..parts.losses import BinaryCrossEntropy, CrossEntropy, HalfMeanSquaredError, SoftmaxCrossEntropy
from ..parts.optimizers import AdamHat, Momentum, Nesterov
from ..parts.part import (
    Count,
    Fraction,
    Initializer,
    Layer,
    Loss,
    NonNegative,
    Optimizer,
    Part,
    Positive,
    Schedule,
    options_of,
)
from ..parts.regularization import Regularization
from ..parts.schedules import InverseScaling
from ..parts.schedules.metric_schedules import ReduceOnPlateau
from ..parts.settings import Device, EngineChoice, EngineName, Precision, Probes, Stopping
from ..spec.complete import default_loss

PartLike: TypeAlias = Part | Mapping[str, object] | str
"""A part: an object, a table with its kind, or a name, possibly with options."""

_AUTO_BATCH = 200
# scikit-learn's adaptive rate is divided by 5 at each plateau; at this rate or below, a plateau ends the training.
_PLATEAU_FACTOR = 0.2
_LEAST_RATE = 1e-6
_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
_SOLVERS = ("lbfgs", "sgd", "adam")
_RATES = ("constant", "invscaling", "adaptive")
# The kinds of the last layer in scikit-learn's words.
_OUTPUT_NAMES = {"identity": "identity", "softmax": "softmax", "sigmoid": "logistic", "exponential": "exp"}
_OUTPUT_KINDS = {name: kind for kind, name in _OUTPUT_NAMES.items()}


@contextmanager
def _parameter(name: str, value: object, allowed: Iterable[str]) -> Iterator[None]:
    """Name the parameter in an error about its part, and the allowed values if it is none of them."""
    try:
        yield
    except InputError as error:
        given = value.get("kind") if isinstance(value, Mapping) else value
        word = given.split()[0] if isinstance(given, str) and given.strip() else given
        names = list(dict.fromkeys(allowed))
        if isinstance(word, Part) or word in names:
            raise InputError(name, str(error)) from None
        expected = ", ".join(map(repr, names))
        raise InputError(name, f"expected {expected}, or a part of Thalweg; received {received(value)}") from None


def _kinds_of(base: type[Part], kind: type[Part]) -> list[str]:
    """The names of all parts of one kind."""
    return [name for name, part in base.kinds.items() if issubclass(part, kind)]


def _sizes(value: object) -> object:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)


def _patience(value: object) -> object:
    return None if value == math.inf else value


@dataclass(frozen=True)
class Settings(Part):
    """The parameters of an estimator, validated; `MLPClassifier` documents them."""

    hidden_layer_sizes: Annotated[tuple[Count, ...], BeforeValidator(_sizes)]
    activation: object
    solver: object
    alpha: NonNegative
    batch_size: Count | Literal["auto"]
    learning_rate: object
    learning_rate_init: Positive
    power_t: NonNegative
    max_iter: Count
    shuffle: bool
    tol: NonNegative
    warm_start: bool
    momentum: Fraction
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: Fraction
    beta_1: Fraction
    beta_2: Fraction
    epsilon: Positive
    n_iter_no_change: Annotated[Count | None, BeforeValidator(_patience)]
    max_fun: Count
    loss: object
    layers: object
    dropout: Fraction
    normalization: object
    init: Initializer | None
    clip: Clipping | None
    probes: Probes
    engine: EngineChoice
    device: Device | None
    precision: Precision | None

    # The network --------------------------------------------------------------------------------------------------

    def network(self, features: int, outputs: int, activation: str) -> Network:
        """The whole network: hidden layers by size, or `layers`, and an output layer that ends in `activation`."""
        output = self._output(outputs, activation)
        if self.layers is None:
            hidden = MultiLayerPerceptron(
                tuple(self.hidden_layer_sizes), self._activation(), self._normalization(), self.dropout or None
            )
            return Network(self._with_initializers(features, (*hidden.hidden_layers, *output)), self.init)
        given = self.layers if isinstance(self.layers, Network) else Network.of(self.layers)
        layers = given.layers if _has_output(given.layers, outputs) else (*given.layers, *output)
        return Network(layers, self.init or given.init, given.bias_init)

    def _output(self, outputs: int, activation: str) -> tuple[Layer, ...]:
        last = () if activation == "identity" else (Layer.of(_OUTPUT_KINDS[activation]),)
        return Dense(outputs), *last

    def _activation(self) -> Layer:
        with _parameter("activation", self.activation, [*_ACTIVATIONS, *_kinds_of(Layer, Activation)]):
            return Layer.of("sigmoid" if self.activation == "logistic" else self.activation)

    def _normalization(self) -> Layer | None:
        kinds = {"batch": "batch_norm", "layer": "layer_norm"}
        given = self.normalization
        with _parameter("normalization", given, kinds):
            return None if given is None else Layer.of(kinds.get(given, given) if isinstance(given, str) else given)

    def _with_initializers(self, features: int, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        """The layers with scikit-learn's initial weights and biases, unless `init` is given.

        Uniform in ±√(6 / (fan_in + fan_out)), or in ±√(2 / (fan_in + fan_out)) for the logistic function.

        Source: Glorot and Bengio 2010, equation 16.
        """
        if not self.initializes_like_sklearn:
            return layers
        initialized: list[Layer] = []
        for layer in layers:
            if isinstance(layer, Dense):
                bound = math.sqrt((2 if self.activation == "logistic" else 6) / (features + layer.width))
                features = layer.width
                layer = Dense(layer.width, Uniform(-bound, bound), Uniform(-bound, bound))
            initialized.append(layer)
        return tuple(initialized)

    @property
    def initializes_like_sklearn(self) -> bool:
        """Whether the initial weights are drawn as scikit-learn draws them."""
        return self.layers is None and self.init is None

    @property
    def regularization(self) -> Regularization:
        """The penalty alpha/2 ΣW², divided by the weight of a batch."""
        return Regularization(alpha=self.alpha or None)

    # The training -------------------------------------------------------------------------------------------------

    def optimizer(self, rows: int | None, rows_seen: int, plateau_measure: str) -> Optimizer:
        """The update rule of the solver.

        Args:
            rows: rows in each epoch of the coming training; None if it has one epoch only.
            rows_seen: rows that earlier trainings processed.
            plateau_measure: the measure that decides when an adaptive rate decreases.
        """
        if self.solver == "adam":
            return AdamHat(self._rate(), self.beta_1, self.beta_2, self.epsilon)
        if self.solver == "sgd":
            rule = Nesterov if self.nesterovs_momentum else Momentum
            return rule(self._sgd_rate(rows, rows_seen, plateau_measure), self.momentum)
        if isinstance(self.solver, str) and len(self.solver.split()) == 1:
            rate = self._rate()
            with _parameter("solver", self.solver, [*_SOLVERS, *Optimizer.kinds]):
                return Optimizer.of({"kind": self.solver, "learning_rate": rate})
        if self.learning_rate != "constant":
            fix = "give the schedule to the solver, or name the solver without options"
            raise InputError("learning_rate", f"the solver has its own learning rate; {fix}")
        with _parameter("solver", self.solver, [*_SOLVERS, *Optimizer.kinds]):
            return Optimizer.of(self.solver)

    def _sgd_rate(self, rows: int | None, rows_seen: int, plateau_measure: str) -> float | Schedule:
        start = self.learning_rate_init
        if self.learning_rate == "invscaling":
            if rows is None:
                return float(start / (1 + rows_seen) ** self.power_t)
            return InverseScaling(start, rows, self.power_t, done=rows_seen)
        if self.learning_rate == "adaptive":
            patience = self.max_iter if self.n_iter_no_change is None else self.n_iter_no_change
            return ReduceOnPlateau(start, _PLATEAU_FACTOR, patience, measure=plateau_measure, tolerance=self.tol)
        return self._rate()

    def _rate(self) -> float | Schedule:
        """The initial rate, or a schedule; a schedule without options gets the initial rate as its first option."""
        rate = self.learning_rate
        if isinstance(rate, str) and rate in _RATES:
            return self.learning_rate_init
        kind = Schedule.kinds.get(rate) if isinstance(rate, str) else None
        if kind is None:
            with _parameter("learning_rate", rate, [*_RATES, *Schedule.kinds]):
                return Schedule.of(rate)
        return Schedule.of({"kind": rate, options_of(kind)[0].name: self.learning_rate_init})

    @property
    def adapts(self) -> bool:
        """Whether the learning rate decreases at plateaus."""
        return self.solver == "sgd" and self.learning_rate == "adaptive"

    def stopping(self, measure: str) -> Stopping:
        """The rule that ends the training: more than `n_iter_no_change` epochs without an improvement of `tol`."""
        return Stopping(
            measure,
            patience=None if self.n_iter_no_change is None else self.n_iter_no_change + 1,
            restore_best=self.early_stopping,
            tolerance=self.tol,
            least_rate=_LEAST_RATE if self.adapts else None,
        )

    def engine_name(self, params: Params, rows: int, epochs: int, batch_size: int) -> EngineName:
        """`engine`, or for "auto" the one that is expected to finish first (`faster_engine`)."""
        if self.engine != "auto":
            return self.engine
        if self.device == "gpu":
            return "compiled"
        weights = sum(array.size for array in leaves(params))
        return faster_engine(-(-rows // batch_size) * epochs, batch_size, weights)


# For NumPy: the seconds of a step besides its products, and products a second. For XLA: the seconds to compile.
_STEP_SECONDS = 2.5e-4
_PRODUCTS_PER_SECOND = 3e10
_COMPILE_SECONDS = 0.5


def faster_engine(steps: int, batch_size: int, weights: int) -> EngineName:
    """NumPy if it needs less time for all steps than XLA for compiling, else XLA.

    A step is assumed to take 0.25 ms plus the time of 3 batch_size weights products at 3e10 a second; compiling, whose
    result later trainings reuse, 0.5 s.

    >>> faster_engine(steps=400, batch_size=200, weights=2_200)
    'eager'
    >>> faster_engine(steps=60_000, batch_size=200, weights=80_000)
    'compiled'
    """
    seconds = steps * (_STEP_SECONDS + 3 * batch_size * weights / _PRODUCTS_PER_SECOND)
    return "eager" if seconds < _COMPILE_SECONDS else "compiled"


def auto_batch_size(rows: int, least: int) -> int:
    """200, or the number of rows; slightly less if the last batch of an epoch would have fewer than `least` rows.

    >>> auto_batch_size(1000, 1), auto_batch_size(90, 1), auto_batch_size(401, 1), auto_batch_size(401, 2)
    (200, 90, 200, 199)
    """
    size = min(_AUTO_BATCH, rows)
    while size > least and 0 < rows % size < least:
        size -= 1
    return size


def output_of(loss: object, task: Task, outputs: int) -> tuple[str, int]:
    """The output activation for a loss, in scikit-learn's words, and the number of outputs.

    Losses on logits or scores have no output activation, nor have those for regression, except for Poisson. Two
    classes have one output, except with losses over classes.
    """
    if task == "regression":
        return ("exp" if loss == "poisson" or getattr(loss, "kind", "") == "poisson" else "identity"), outputs
    part = None if loss == "log_loss" else _loss(loss, "log_loss")
    if isinstance(part, CrossEntropy | SoftmaxCrossEntropy) and task == "classification":
        outputs = max(outputs, 2)
    if part is not None and part.takes in ("logits", "scores"):
        return "identity", outputs
    if isinstance(part, BinaryCrossEntropy) or outputs == 1 or task == "multilabel":
        return "logistic", outputs
    return "softmax", outputs


def loss_of(loss: object, network: Network, data: RowSource) -> Loss:
    """The loss for a name of scikit-learn or of Thalweg.

    log_loss is the cross-entropy that suits the last layer; squared_error is half the mean squared error.
    """
    if loss == "log_loss" and data.task != "regression":
        return default_loss(network, data)
    if loss == "squared_error":
        return HalfMeanSquaredError()
    return _loss(loss, "squared_error")


def _loss(loss: object, default: str) -> Loss:
    with _parameter("loss", loss, [default, *Loss.kinds]):
        return Loss.of(loss)


def output_name(network: Network) -> str:
    """scikit-learn's word for the output activation, or the kind of one that scikit-learn does not have."""
    last = network.layers[-1]
    return "identity" if last.has_weights else _OUTPUT_NAMES.get(last.kind, last.kind)


def is_random(layers: Iterable[Layer]) -> bool:
    """Whether any of the layers, or of those inside of blocks, draws noise."""
    return any(layer.random or is_random(layer.inner) for layer in layers)


def _has_output(layers: tuple[Layer, ...], outputs: int) -> bool:
    """Whether the layers end with a dense layer of that width, possibly followed by an output activation."""
    last = layers[-2] if len(layers) > 1 and layers[-1].kind in _OUTPUT_NAMES else layers[-1]
    return isinstance(last, Dense) and last.width == outputs
