"""What the parameters of a multi-layer perceptron stand for: layers, loss, optimizer, when to stop, which engine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator
from scipy import sparse

from ..core.arrays import Tree, arrays_of
from ..core.errors import InputError
from ..data import RowSource
from ..models.mlp import MultiLayerPerceptron
from ..models.network import Network
from ..parts.clipping import Clipping
from ..parts.initializers import Uniform
from ..parts.layers import Dense, Exponential, Identity, Sigmoid, Softmax
from ..parts.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    HalfMeanSquaredError,
    Hinge,
    LeastMeanSquares,
    PerceptronLoss,
    SigmoidBinaryCrossEntropy,
    SoftmaxCrossEntropy,
)
from ..parts.metric_schedules import ReduceOnPlateau
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
from ..parts.settings import Device, EngineName, Precision, Probes, Stopping
from ..spec.complete import default_loss

_AUTO_BATCH = 200
# scikit-learn's adaptive rate: a fifth at each plateau; at this rate or below a plateau ends the training.
_FIFTH, _LEAST_RATE = 0.2, 1e-6
_RATES = ("constant", "invscaling", "adaptive")
_ON_RAW_OUTPUTS = (SoftmaxCrossEntropy, SigmoidBinaryCrossEntropy, Hinge, PerceptronLoss, LeastMeanSquares)
_OUTPUTS: dict[str, type[Any]] = {"identity": Identity, "softmax": Softmax, "logistic": Sigmoid, "exp": Exponential}


def _sizes(value: Any) -> Any:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)


def _patience(value: Any) -> Any:
    return None if value == math.inf else value


@dataclass(frozen=True)
class Settings(Part):
    """The parameters of an estimator, checked; their meaning stands in `MLPClassifier`."""

    hidden_layer_sizes: Annotated[tuple[Count, ...], BeforeValidator(_sizes)]
    activation: Any
    solver: Any
    alpha: NonNegative
    batch_size: Count | Literal["auto"]
    learning_rate: Any
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
    loss: Any
    layers: Any
    dropout: Fraction
    normalization: Any
    init: Initializer | None
    clip: Clipping | None
    probes: Probes
    engine: EngineName | Literal["auto"]
    device: Device | None
    precision: Precision | None

    # What is trained ------------------------------------------------------------------------------------------------

    def network(self, features: int, outputs: int, activation: str) -> Network:
        """The whole network: hidden layers by their sizes, or `layers`; and an output that ends in `activation`."""
        output = self._output(outputs, activation)
        if self.layers is None:
            hidden = MultiLayerPerceptron(
                tuple(self.hidden_layer_sizes), self._activation(), self._normalization(), self.dropout or None
            )
            return Network(self._drawn(features, (*hidden.hidden_layers, *output)), self.init)
        given = self.layers if isinstance(self.layers, Network) else Network.of(self.layers)
        closed = given.layers if _ends(given.layers, outputs) else (*given.layers, *output)
        return Network(closed, self.init or given.init, given.bias_init)

    def _output(self, outputs: int, activation: str) -> tuple[Layer, ...]:
        last = () if activation == "identity" else (_OUTPUTS[activation](),)
        return Dense(outputs), *last

    def _activation(self) -> Layer:
        return Layer.of("sigmoid" if self.activation == "logistic" else self.activation)

    def _normalization(self) -> Layer | None:
        names = {"batch": "batch_norm", "layer": "layer_norm"}
        given = self.normalization
        return None if given is None else Layer.of(names.get(given, given) if isinstance(given, str) else given)

    def _drawn(self, features: int, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        """The layers with scikit-learn's start of weights and biases, unless there is an `init`.

        Uniform in ±√(6 / (fan_in + fan_out)), and in ±√(2 / (fan_in + fan_out)) for the logistic function.

        Source: Glorot and Bengio 2010, equation 16.
        """
        if not self.starts_alike:
            return layers
        drawn: list[Layer] = []
        for layer in layers:
            if isinstance(layer, Dense):
                bound = math.sqrt((2 if self.activation == "logistic" else 6) / (features + layer.width))
                features = layer.width
                layer = Dense(layer.width, Uniform(-bound, bound), Uniform(-bound, bound))
            drawn.append(layer)
        return tuple(drawn)

    @property
    def starts_alike(self) -> bool:
        """Whether the start is drawn as scikit-learn draws it."""
        return self.layers is None and self.init is None

    @property
    def regularization(self) -> Regularization:
        """The penalty on weights, alpha/2 ΣW² over the weight of a batch."""
        return Regularization(alpha=self.alpha or None)

    # How it is trained ----------------------------------------------------------------------------------------------

    def optimizer(self, rows: int | None, met: int, plateaus: str) -> Optimizer:
        """The rule of the solver, after `met` rows, with `rows` in each coming epoch (None: one epoch alone comes).

        `plateaus` is the measure that an adaptive rate looks at.
        """
        if self.solver == "adam":
            return AdamHat(self._rate(), self.beta_1, self.beta_2, self.epsilon)
        if self.solver == "sgd":
            rule = Nesterov if self.nesterovs_momentum else Momentum
            return rule(self._sgd_rate(rows, met, plateaus), self.momentum)
        name = self.solver.split() if isinstance(self.solver, str) else ()
        if len(name) == 1:
            return Optimizer.of({"kind": self.solver, "learning_rate": self._rate()})
        if self.learning_rate != "constant":
            fix = "give the schedule to the solver, or name the solver without options"
            raise InputError("learning_rate", f"the solver has a rate of its own; {fix}")
        return Optimizer.of(self.solver)

    def _sgd_rate(self, rows: int | None, met: int, plateaus: str) -> float | Schedule:
        start = self.learning_rate_init
        if self.learning_rate == "invscaling":
            if rows is None:
                return float(start / (1 + met) ** self.power_t)
            return InverseScaling(start, rows, self.power_t, done=met)
        if self.learning_rate == "adaptive":
            patience = self.max_iter if self.n_iter_no_change is None else self.n_iter_no_change
            return ReduceOnPlateau(start, _FIFTH, patience, measure=plateaus, tolerance=self.tol)
        return self._rate()

    def _rate(self) -> float | Schedule:
        """The first rate, or a schedule: one that is named alone takes the first rate as its first option."""
        rate = self.learning_rate
        if isinstance(rate, str) and rate in _RATES:
            return self.learning_rate_init
        kind = Schedule.kinds.get(rate) if isinstance(rate, str) else None
        if kind is None:
            return Schedule.of(rate)
        return Schedule.of({"kind": rate, options_of(kind)[0].name: self.learning_rate_init})

    @property
    def adapts(self) -> bool:
        """Whether the rate falls at plateaus."""
        return self.solver == "sgd" and self.learning_rate == "adaptive"

    def stopping(self, measure: str) -> Stopping:
        """When the training ends: more than `n_iter_no_change` epochs without a gain of `tol`."""
        return Stopping(
            measure,
            patience=None if self.n_iter_no_change is None else self.n_iter_no_change + 1,
            restore_best=self.early_stopping,
            tolerance=self.tol,
            least_rate=_LEAST_RATE if self.adapts else None,
        )

    def engine_name(self, params: Tree, rows: int, epochs: int, batch_size: int) -> EngineName:
        """`engine`, or for "auto" the one that is expected to be done first (`engine_for`)."""
        if self.engine != "auto":
            return self.engine
        if self.device == "gpu":
            return "compiled"
        weights = sum(array.size for _, array in arrays_of(params))
        return engine_for(-(-rows // batch_size) * epochs, batch_size, weights)


# What NumPy takes for a step beside its products, how many products it makes in a second, and what it costs to compile.
_STEP_SECONDS, _PRODUCTS_A_SECOND, _COMPILE_SECONDS = 2.5e-4, 3e10, 0.5


def engine_for(steps: int, batch_size: int, weights: int) -> EngineName:
    """NumPy where all steps of a training take less time there than a program takes to compile, else XLA.

    A step is taken to last 0.25 ms and the time of its 3 batch_size weights products, at 3e10 of them in a second; a
    program, which is kept for later trainings, to take 0.5 s.

    >>> engine_for(steps=400, batch_size=200, weights=2_200), engine_for(steps=60_000, batch_size=200, weights=80_000)
    ('eager', 'compiled')
    """
    seconds = steps * (_STEP_SECONDS + 3 * batch_size * weights / _PRODUCTS_A_SECOND)
    return "eager" if seconds < _COMPILE_SECONDS else "compiled"


def fitting_batch(rows: int, least: int) -> int:
    """200 rows, or as many as there are; a few less where the last batch of an epoch would have fewer than `least`.

    >>> fitting_batch(1000, 1), fitting_batch(90, 1), fitting_batch(401, 1), fitting_batch(401, 2)
    (200, 90, 200, 199)
    """
    size = min(_AUTO_BATCH, rows)
    while size > least and 0 < rows % size < least:
        size -= 1
    return size


def output_of(loss: Any, task: str, outputs: int) -> tuple[str, int]:
    """How a network for this loss ends, in scikit-learn's word, and with how many outputs for a target of `outputs`.

    Losses on logits and margins, and all of a regression but Poisson's, are taken on plain numbers. Two classes have
    one output but under losses over classes.
    """
    if task == "regression":
        return ("exp" if loss == "poisson" or getattr(loss, "kind", "") == "poisson" else "identity"), outputs
    part = None if loss == "log_loss" else Loss.of(loss)
    if isinstance(part, CrossEntropy | SoftmaxCrossEntropy) and task == "classification":
        outputs = max(outputs, 2)
    if isinstance(part, _ON_RAW_OUTPUTS):
        return "identity", outputs
    if isinstance(part, BinaryCrossEntropy) or outputs == 1 or task == "multilabel":
        return "logistic", outputs
    return "softmax", outputs


def loss_of(loss: Any, network: Network, data: RowSource) -> Loss:
    """The loss by scikit-learn's names or ours: log_loss is what belongs to the last layer, squared_error is halved."""
    if loss == "log_loss" and data.task != "regression":
        return default_loss(network, data)
    if loss == "squared_error":
        return HalfMeanSquaredError()
    return Loss.of(loss)


def name_of_output(network: Network) -> str:
    """scikit-learn's word for what the last layer does, or the kind of one that it does not have."""
    last = network.layers[-1]
    if isinstance(last, Dense):
        return "identity"
    return next((word for word, layer in _OUTPUTS.items() if isinstance(last, layer)), last.kind)


def _ends(layers: tuple[Layer, ...], outputs: int) -> bool:
    """Whether the last layers are an output: a dense layer that wide, and perhaps what turns it into an answer."""
    dense = layers[-2] if len(layers) > 1 and isinstance(layers[-1], tuple(_OUTPUTS.values())) else layers[-1]
    return isinstance(dense, Dense) and dense.width == outputs


def dense(X: Any) -> np.ndarray:
    """X as an array, whatever scikit-learn lets through: a sparse matrix is written out."""
    return np.asarray(X.toarray() if sparse.issparse(X) else X)
