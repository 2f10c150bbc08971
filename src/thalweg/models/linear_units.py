"""Linear units: the perceptron and ADALINE, and what theory says about their training.

A linear unit is a recipe: an optional feature map, one dense layer, a loss whose gradient is the rule of the unit, and
plain gradient descent. It trains like any other network.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from ..core.arrays import arrays_of
from ..data import Dataset, StreamedDataset
from ..parts.initializers import Zeros
from ..parts.layers import Dense
from ..parts.losses import Labels, LeastMeanSquares, PerceptronLoss, as_targets
from ..parts.optimizers import SGD
from ..parts.part import Count, Flag, ForwardContext, Initializer, Layer, Loss, Number, Optimizer, Part, Rate, at
from ..parts.settings import Stopping
from .linear_theory import rounded_down, safe_online_rate, safe_rate, separable
from .network import Network


@dataclass(frozen=True)
class LinearUnit(Part, ABC, family="linear unit"):
    """The common options of both units.

    learning_rate: the rate η of the rule.
    features: layers before the unit: a feature map.
    labels: how no and yes are encoded, "0/1" or "-1/1".
    init: initializer of the weights.
    bias_init: initializer of the bias; None: 0.
    bias: whether the unit has a bias; without one its line, plane, ... goes through the origin.
    """

    learning_rate: Rate
    features: tuple[Layer, ...] = ()
    labels: Labels = "0/1"
    init: Initializer = Zeros()
    bias_init: Initializer | None = None
    bias: Flag = True

    scale: ClassVar[Literal["standard", "none"] | None] = None
    """The default scaling of the inputs; None: what the data decide."""

    def network(self, classes: int) -> Network:
        """The layers: the feature map, and one output, or one for each of more than two classes."""
        outputs = 1 if classes == 2 else classes
        return Network((*self.features, Dense(outputs, self.init, self.bias_init, self.bias)))

    @property
    @abstractmethod
    def loss(self) -> Loss:
        """The loss whose gradient on one sample is the rule."""

    @property
    def optimizer(self) -> SGD:
        """Gradient descent at the rate of the rule."""
        return SGD(self.learning_rate)

    @property
    def batch_size(self) -> int | Literal["full"]:
        """The number of samples for each update."""
        return 1

    @property
    def stopping(self) -> Stopping:
        """When the rule has converged."""
        return Stopping()


@dataclass(frozen=True)
class Perceptron(LinearUnit, kind="perceptron"):
    """Rosenblatt's perceptron: z = x w + b, y = 1 where z > 0, else 0;  w <- w + η (t - y) x,  b <- b + η (t - y).

    It learns one sample at a time; weights change only on mistakes. Training stops after an epoch without mistakes. If
    a line separates the classes with margin γ, that happens after at most (R/γ)² mistakes (R: the longest sample), else
    never. With three classes or more, each has an output.

    pocket: whether to end with the best weights: after each epoch they are tested on all training rows.
    labels: no and yes as 0 and 1, or as -1 and 1 (which doubles each step).
    step_at_zero: the output y at z = 0. Textbooks differ: 0 if the unit fires where z > 0, 1 if it fires where z >= 0.
        With weights that start at 0, the first samples decide differently.

    Weights start at 0.

    Source: Rosenblatt 1958; Novikoff 1962; Gallant 1990 for the pocket.

    >>> from thalweg.runs.train import train
    >>> run = train(Perceptron(), "and", engine="eager", progress=False)
    >>> run.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).tolist()
    [0, 0, 0, 1]
    """

    learning_rate: Rate = 1.0
    pocket: bool = False
    step_at_zero: Literal[0, 1] = 0

    @property
    def loss(self) -> PerceptronLoss:
        return PerceptronLoss(self.labels, self.step_at_zero)

    @property
    def stopping(self) -> Stopping:
        measure = "training_accuracy" if self.pocket else "accuracy"
        return Stopping(measure=measure, target=1.0, restore_best=self.pocket)


@dataclass(frozen=True)
class Adaline(LinearUnit, kind="adaline"):
    """ADALINE, the adaptive linear neuron: z = x w + b;  w <- w + η (t - z) x,  b <- b + η (t - z).

    The rule of least mean squares (LMS): gradient descent on 1/2 (t - z)². The inputs are standardised unless the data
    section says otherwise. With three classes or more, each has an output. Rates above `safe_rate` diverge.

    rule: "online" for one sample at a time; "batch" for the mean of (t - z) x over all samples; a number for batches of
    that size.
    threshold: decision threshold of z; None: halfway between the labels (0.5 for 0/1, 0 for -1/1); "tuned": the most
    accurate one on the validation rows.

    Source: Widrow and Hoff 1960.

    >>> from thalweg.runs.train import train
    >>> run = train(Adaline(0.1, rule="batch"), "and", engine="eager", epochs=100, progress=False)
    >>> run.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).tolist()
    [0, 0, 0, 1]
    """

    learning_rate: Rate = 0.01
    rule: Literal["online", "batch"] | Count = "online"
    threshold: Number | Literal["tuned"] | None = None

    scale = "standard"

    @property
    def loss(self) -> LeastMeanSquares:
        return LeastMeanSquares(self.labels, self.threshold)

    @property
    def batch_size(self) -> int | Literal["full"]:
        return self.rule if isinstance(self.rule, int) else "full" if self.rule == "batch" else 1


def tunes(loss: Loss) -> bool:
    """Whether the threshold is chosen after training."""
    return isinstance(loss, LeastMeanSquares) and loss.decide_at == "tuned"


def with_threshold(loss: Loss, threshold: float | None) -> Loss:
    """The loss with the threshold chosen for it; None: the loss unchanged."""
    if threshold is None:
        return loss
    assert isinstance(loss, LeastMeanSquares)
    return dataclasses.replace(loss, decide_at=threshold)


class LinearTraining(NamedTuple):
    """The training of a linear unit.

    loss: the loss, which is the rule.
    outputs: number of outputs.
    rate: the first learning rate.
    by_batch: whether each update uses all samples.
    pocket: whether the best weights are kept.
    x: inputs of the dense layer (n, d).
    y: classes (n,).
    weight: weights of the samples (n,), or None.
    bias: whether the unit has a bias.
    """

    loss: Loss
    outputs: int
    rate: float
    by_batch: bool
    pocket: bool
    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    bias: bool

    def before(self) -> list[str]:
        """Warnings before training: whether ADALINE's rate is safe."""
        if not isinstance(self.loss, LeastMeanSquares):
            return []
        mean = safe_rate(self.x, self.weight, self.bias)
        safe = mean if self.by_batch else safe_online_rate(self.x, self.bias)
        if self.rate < safe:
            return []
        by_mean = f"{mean:.3g} = 2/λ, λ the largest eigenvalue of the inputs' correlation"
        fix = f"a safe rate is {rounded_down(safe / 2):g}"
        if self.rate >= mean:
            return [f"the learning rate {self.rate:g} is not below {by_mean}: the weights will diverge; {fix}"]
        single = f"{safe:.3g} = 2/|x|² of the longest sample"
        return [
            f"the learning rate {self.rate:g} is below {by_mean}, and not below {single}: single steps overshoot, and "
            f"the weights may diverge; {fix}"
        ]

    def after(self, measures: Mapping[str, float], diverged: bool) -> list[str]:
        """Reasons for mistakes after training: classes that are not separable, or a rate that is too large."""
        if isinstance(self.loss, LeastMeanSquares):
            # Weights that diverged do worse than weights of 0.
            silent = np.zeros((len(self.y), self.outputs))
            at_zero, _ = self.loss(silent, as_targets(silent, self.y), np.ones(len(self.y)))
            grew = diverged or measures["loss"] > at_zero
            return [f"The weights diverged: {note}." for note in self.before()] if grew else []
        if measures["accuracy"] == 1:
            return []
        is_separable = separable(self.x, self.y, self.bias, int(self.loss.threshold < 0))
        if is_separable is None:
            return ["Whether the classes are linearly separable is unknown: there are too many rows to test it."]
        if is_separable:
            return ["The classes are linearly separable: with more epochs the perceptron gets all training rows right."]
        pocket = "" if self.pocket else "; the option pocket keeps the best weights on the way"
        return [
            "The classes are not linearly separable: no weights get all training rows right, and the rule does "
            f"not converge{pocket}."
        ]


def linear_training(
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    stopping: Stopping,
    batch_size: int | Literal["full"] | None,
    seed: int,
    data: Dataset | StreamedDataset,
) -> LinearTraining | None:
    """The training of a linear unit; None for other networks. Of streamed rows only `head` is used."""
    *below, last = network.layers
    by_rule = isinstance(loss, PerceptronLoss | LeastMeanSquares) and isinstance(optimizer, SGD)
    if not by_rule or not last.has_weights or not all(layer.is_feature_map for layer in below):
        return None
    part = data.head()
    start = network.initialize(seed, (data.features,))
    outputs = network.forward(start.params, start.states, part.x, ForwardContext(training=False)).outputs
    return LinearTraining(
        loss=loss,
        outputs=outputs[-1].shape[-1],
        rate=float(at(optimizer.learning_rate, np.array(0))),
        by_batch=batch_size == "full",
        pocket=stopping.keeps_best,
        x=outputs[-2] if below else part.x,
        y=part.y,
        weight=part.weight,
        bias=any(array.ndim == 1 for _, array in arrays_of(start.params[-1])),
    )
