"""Linear units: the perceptron and ADALINE, and what can be known of them before they learn.

A linear unit is a recipe: a feature map if there is one, one dense layer, a loss whose gradient is the unit's rule, and
plain gradient descent. What it is made of trains like every other network.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from ..data import Dataset, StreamedDataset
from ..parts.initializers import Zeros
from ..parts.layers import Dense, Radial
from ..parts.layers.features import Monomials
from ..parts.losses import Labels, LeastMeanSquares, PerceptronLoss, as_targets
from ..parts.optimizers import SGD
from ..parts.part import Count, ForwardContext, Initializer, Layer, Loss, Number, Optimizer, Part, Rate, at
from ..parts.settings import Stopping
from .linear_theory import rounded_down, safe_online_rate, safe_rate, separable
from .network import Network


@dataclass(frozen=True)
class LinearUnit(Part, ABC, family="linear unit"):
    """What both units have: a feature map, the rate, how labels are written, the start of weights and bias."""

    learning_rate: Rate
    features: tuple[Layer, ...] = ()
    labels: Labels = "0/1"
    init: Initializer = Zeros()
    bias_init: Initializer = Zeros()

    scale: ClassVar[Literal["standard", "none"] | None] = None
    """How the inputs are scaled unless the user says so; None: as the data ask for."""

    def network(self, classes: int) -> Network:
        """The layers: the feature map, and one output, or one for each of more than two classes."""
        outputs = 1 if classes == 2 else classes
        return Network((*self.features, Dense(outputs, init=self.init, bias_init=self.bias_init)))

    @property
    @abstractmethod
    def loss(self) -> Loss:
        """The loss whose gradient on one sample is the rule."""

    @property
    def optimizer(self) -> SGD:
        """The rule's step."""
        return SGD(self.learning_rate)

    @property
    def batch_size(self) -> int | Literal["full"]:
        """How many samples are seen for one update."""
        return 1

    @property
    def stopping(self) -> Stopping:
        """When the rule has nothing left to do."""
        return Stopping()


@dataclass(frozen=True)
class Perceptron(LinearUnit, kind="perceptron"):
    """Rosenblatt's perceptron: z = x w + b, y = 1 where z > 0, else 0;  w <- w + η (t - y) x,  b <- b + η (t - y).

    One sample after another; weights change on mistakes only. Training stops after an epoch without mistakes, which
    comes after at most (R/γ)² mistakes where a line separates the classes with margin γ (R: the longest sample), and
    never else. With `pocket` it then ends with the weights that were right most often: after each epoch all
    training rows are looked at, and the best weights are kept. Three classes or more have an output each.

    `labels` writes no and yes as 0 and 1, or as -1 and 1 (which doubles each step). Weights start at 0.

    Source: Rosenblatt 1958; Novikoff 1962; Gallant 1990 for the pocket.

    >>> from thalweg.runs.train import train
    >>> run = train(Perceptron(), "and", engine="eager", progress=False)
    >>> run.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).tolist()
    [0, 0, 0, 1]
    """

    learning_rate: Rate = 1.0
    pocket: bool = False

    @property
    def loss(self) -> PerceptronLoss:
        return PerceptronLoss(self.labels)

    @property
    def stopping(self) -> Stopping:
        measure = "training_accuracy" if self.pocket else "accuracy"
        return Stopping(measure=measure, target=1.0, restore_best=self.pocket)


@dataclass(frozen=True)
class Adaline(LinearUnit, kind="adaline"):
    """ADALINE, the adaptive linear neuron: z = x w + b;  w <- w + η (t - z) x,  b <- b + η (t - z).

    The rule of least mean squares (LMS), gradient descent on 1/2 (t - z)²: `online`, sample by sample; by `batch`, with
    the mean of (t - z) x over all samples; or over so many samples at a time. The inputs are standardised unless the
    data section says otherwise. It says yes where z is above `threshold`: halfway between the labels where it is None
    (0.5 for 0/1, 0 for -1/1); "tuned": what is most often right on the validation rows. Three classes or more have an
    output each. Rates above `safe_rate` diverge.

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
    """Whether the threshold is to be chosen after training."""
    return isinstance(loss, LeastMeanSquares) and loss.decide_at == "tuned"


def with_threshold(loss: Loss, threshold: float | None) -> Loss:
    """The loss with the threshold that was chosen for it; None: the loss as it is."""
    if threshold is None:
        return loss
    assert isinstance(loss, LeastMeanSquares)
    return dataclasses.replace(loss, decide_at=threshold)


class LinearTraining(NamedTuple):
    """The training of a linear unit: its rule, its samples as the dense layer sees them, and their classes."""

    loss: Loss
    outputs: int
    rate: float
    by_batch: bool
    pocket: bool
    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    def before(self) -> list[str]:
        """What is known before the unit learns: whether ADALINE's rate is safe."""
        if not isinstance(self.loss, LeastMeanSquares):
            return []
        mean = safe_rate(self.x, self.weight)
        safe = mean if self.by_batch else safe_online_rate(self.x)
        if self.rate < safe:
            return []
        by_mean = f"{mean:.3g} = 2/λ, λ the largest eigenvalue of the inputs' correlation"
        fix = f"a safe rate is {rounded_down(safe / 2):g}"
        if self.rate >= mean:
            return [f"the learning rate {self.rate:g} is not below {by_mean}: the weights will run away; {fix}"]
        single = f"{safe:.3g} = 2/|x|² of the longest sample"
        return [
            f"the learning rate {self.rate:g} is below {by_mean}, and not below {single}: single steps overshoot, and "
            f"the weights may run away; {fix}"
        ]

    def after(self, measures: Mapping[str, float], diverged: bool) -> list[str]:
        """Why the unit is not right: whether the classes can be told apart at all, whether the rate was too large."""
        if isinstance(self.loss, LeastMeanSquares):
            # Weights of zero do better than weights that ran away.
            silent = np.zeros((len(self.y), self.outputs))
            at_zero, _ = self.loss(silent, as_targets(silent, self.y), np.ones(len(self.y)))
            ran_away = diverged or measures["loss"] > at_zero
            return [f"The weights ran away: {note}." for note in self.before()] if ran_away else []
        if measures["accuracy"] == 1:
            return []
        found = separable(self.x, self.y)
        if found is None:
            return ["Whether the classes are linearly separable was not found out: there are too many rows."]
        if found:
            return ["The classes are linearly separable: with more epochs the perceptron gets all training rows right."]
        pocket = "" if self.pocket else "; network.pocket = true keeps the best weights on the way"
        return [
            "The classes are not linearly separable: no weights get all training rows right, and the rule never comes "
            f"to rest{pocket}."
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
    """The training of a linear unit, or None where it is none. Of rows that stream, the first part is looked at."""
    *below, last = network.layers
    units = isinstance(loss, PerceptronLoss | LeastMeanSquares) and isinstance(optimizer, SGD)
    if not units or not isinstance(last, Dense) or not all(isinstance(layer, Monomials | Radial) for layer in below):
        return None
    part = next(data.parts())
    start = network.initialize(seed, (data.features,))
    outputs = network.forward(start.params, start.states, part.x, ForwardContext(training=False)).outputs
    return LinearTraining(
        loss,
        last.width,
        float(at(optimizer.learning_rate, np.array(0))),
        batch_size == "full",
        stopping.keeps_best,
        outputs[-2] if below else part.x,
        part.y,
        part.weight,
    )
