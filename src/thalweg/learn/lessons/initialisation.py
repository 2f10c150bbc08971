"""Glorot's and He's initialisation with tanh and ReLU: where a suited initialisation matters, and where it does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from ...core.arrays import Array
from ...core.intervals import Difference, difference
from ...core.progress import ProgressMessage
from ...data import Data, Dataset
from ...experiments.prose import difference_cell
from ...models.network import Network
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves
from ...pages.numbers import Share, number
from ...parts.part import Count, ForwardContext, Positive
from ...runs.run import Run
from ...runs.train import run_to_end
from ...spec.spec import Spec
from ..digit_images import DigitImages, first_rows
from ..lesson import DEEPEST_SHOWN, Lesson

_STARTS = {"Glorot": "glorot_normal", "He": "he_normal"}
_ACTIVATIONS = {"tanh": "tanh", "ReLU": "relu"}


class InitialisationArm(NamedTuple):
    """One of the networks that are compared: number of hidden layers, activation, initialisation."""

    depth: int
    activation: str
    start: str

    @property
    def name(self) -> str:
        """Activation and initialisation."""
        return f"{self.activation}, {self.start}"


@dataclass(frozen=True)
class InitialisationLesson(Lesson, kind="initialisation"):
    """tanh and ReLU, each with Glorot's and He's weights, in a shallow and in a deep network, paired by seed.

    Source: Glorot and Bengio 2010, equation 12; He, Zhang, Ren, Sun 2015, equation 10.

    Attributes:
        data: The images.
        samples: The number of images.
        depth: The number of hidden layers of the shallow network.
        deep: The number of hidden layers of the deep network.
        width: The number of units of each hidden layer.
        learning_rate: The learning rate of gradient descent.
        epochs: The number of epochs.
        batch_size: The number of images in a batch.
        seeds: The number of trainings of each network.

    >>> lesson = InitialisationLesson(data="digits")
    >>> lesson.activation_sizes(InitialisationArm(10, "ReLU", "He"), np.ones((1, 64))).shape
    (10,)
    """

    title = "Initialisation: Glorot against He"
    subject = (
        "Two initialisations with two activations, shallow and deep: where the difference is large, and where not."
    )
    chapter = "The flow of delta"
    place = 4
    quick: ClassVar[Mapping[str, object]] = {
        "data": "digits",
        "samples": 1797,
        "epochs": 5,
        "batch_size": 32,
        "seeds": 3,
    }

    data: DigitImages = "mnist"
    samples: Count = 6000
    depth: Count = 2
    deep: Count = 10
    width: Count = 64
    learning_rate: Positive = 0.05
    epochs: Count = 3
    batch_size: Count = 64
    seeds: Annotated[int, Field(ge=2, strict=True)] = 5

    def network(self, arm: InitialisationArm) -> Network:
        """The network of one arm."""
        hidden = [f"dense {self.width}", _ACTIVATIONS[arm.activation]] * arm.depth
        return Network.of({"layers": [*hidden, "dense 10", "softmax"], "init": _STARTS[arm.start]})

    def arms(self) -> list[InitialisationArm]:
        """All networks, the shallow ones first."""
        return [
            InitialisationArm(depth, activation, start)
            for depth in (self.depth, self.deep)
            for activation in _ACTIVATIONS
            for start in _STARTS
        ]

    def activation_sizes(self, arm: InitialisationArm, x: Array) -> Array:
        """The RMS of each hidden layer's activations before training, relative to x, over all seeds: (depth,)."""
        network = self.network(arm)
        rows = x.astype(float)
        squares = []
        for seed in range(self.seeds):
            start = network.initialize(seed, x.shape[1:])
            outputs = network.forward(start.params, start.states, rows, ForwardContext(training=False)).outputs
            squares.append([np.mean(output**2) for output in outputs[1 : 2 * arm.depth : 2]])
        return np.sqrt(np.mean(squares, axis=0) / np.mean(rows**2))

    def runs(self, arm: InitialisationArm, data: Data) -> list[Run]:
        """A training for each seed."""
        return [run_to_end(Spec.of(self._table(arm, data, seed))) for seed in range(self.seeds)]

    def _table(self, arm: InitialisationArm, data: Data, seed: int = 0) -> dict[str, object]:
        return {
            "data": data,
            "network": self.network(arm),
            "optimizer": f"sgd {self.learning_rate}",
            "training": {"epochs": self.epochs, "batch_size": self.batch_size, "seed": seed},
        }

    @property
    def playground(self) -> Spec:
        arm = InitialisationArm(min(self.depth, DEEPEST_SHOWN), "ReLU", "He")
        return Spec.of(self._table(arm, Data.of({"source": self.data, "validation": 0.0})))

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        data = Data(first_rows(self.data, self.samples), validation=0.0, test=0.2)
        arms = self.arms()
        runs: dict[InitialisationArm, list[Run]] = {}
        for index, arm in enumerate(arms):
            yield ProgressMessage(f"{arm.depth} hidden layers, {arm.name}: {self.seeds} trainings", index / len(arms))
            runs[arm] = self.runs(arm, data)
        yield Text(
            "Glorot's weights have the variance 2 / (n_in + n_out), which suits an activation with slope 1 around 0. "
            "ReLU sets half of its inputs to 0, and He's weights, with the variance 2 / n_in, compensate for that. "
            f"Here both are combined with tanh and with ReLU, in networks of {self.depth} and of {self.deep} hidden "
            f"layers of {self.width} units, trained by gradient descent on the first {number(self.samples)} images of "
            f"{self.data}, with the same {self.seeds} seeds."
        )
        yield Formula("Glorot: Var(W) = 2 / (n_in + n_out)\nHe: Var(W) = 2 / n_in")
        train = data.load(0).train
        assert isinstance(train, Dataset)
        yield from self._before_training(train.x[:256])
        yield from self._after_training(runs)
        yield Suggestion("a deeper network", f"thalweg lesson initialisation --set deep={2 * self.deep}")
        yield Suggestion(
            "a smaller learning rate", f"thalweg lesson initialisation --set learning_rate={self.learning_rate / 5:g}"
        )
        yield Suggestion(
            "more seeds: shorter intervals", f"thalweg lesson initialisation --quick --set seeds={4 * self.seeds}"
        )

    def _before_training(self, x: Array) -> Iterator[Block]:
        sizes = {arm.name: self.activation_sizes(arm, x) for arm in self.arms() if arm.depth == self.deep}
        yield Heading("Before training")
        layers = range(1, self.deep + 1)
        figure = curves(layers, sizes, "Size of the activations", "hidden layer", "relative RMS", log=True)
        yield Chart(figure, "The root mean square of the activations by layer, relative to that of the inputs.")
        factor = {name: (size[-1] / size[0]) ** (1 / max(self.deep - 1, 1)) for name, size in sizes.items()}
        factors = "; ".join(f"{name} {number(value, 3)}" for name, value in factor.items())
        yield Text(f"From layer to layer the activations change by a factor of: {factors}.")
        yield Check("With ReLU, He's weights keep the size: the factor is 1", factor["ReLU, He"], 1.0, 0.06)
        yield Check(
            "With ReLU, Glorot's weights between layers of the same width reduce it by √½ a layer",
            factor["ReLU, Glorot"],
            0.5**0.5,
            0.06,
        )
        yield Check(
            "tanh reduces it with both initialisations, and more with Glorot's",
            factor["tanh, Glorot"] < factor["tanh, He"] < 1,
        )

    def _after_training(self, runs: Mapping[InitialisationArm, list[Run]]) -> Iterator[Block]:
        yield Heading("After training")
        losses = {arm: [run.history[-1]["loss"] for run in arm_runs] for arm, arm_runs in runs.items()}
        accuracies = {arm: [run.measures["test"]["accuracy"] for run in arm_runs] for arm, arm_runs in runs.items()}
        yield Table(
            f"Means of {self.seeds} seeds after {self.epochs} epochs",
            ("hidden layers", "activation", "weights", "training loss", "test accuracy"),
            [(*arm, float(np.mean(losses[arm])), Share(np.mean(accuracies[arm]))) for arm in runs],
        )
        loss = _he_minus_glorot(losses)
        accuracy = _he_minus_glorot(accuracies)
        yield Table(
            "He minus Glorot, and the 95 % interval",
            ("hidden layers", "activation", "training loss", "", "test accuracy", ""),
            [
                (
                    *pair,
                    difference_cell("loss", loss[pair]),
                    loss[pair].verdict,
                    difference_cell("accuracy", accuracy[pair]),
                    accuracy[pair].verdict,
                )
                for pair in loss
            ],
        )
        yield self._loss_chart(runs)
        yield Text(
            "The rule of thumb is Glorot for tanh and He for ReLU. Its reason is the figure above: an initialisation "
            "should keep the size of the activations. By that measure He's weights suit ReLU, and also tanh: they are "
            "larger, which compensates for the shrinkage by tanh in each layer."
        )
        yield from self._checks(loss)

    def _loss_chart(self, runs: Mapping[InitialisationArm, list[Run]]) -> Chart:
        losses = {arm.name: _losses(arm_runs) for arm, arm_runs in runs.items() if arm.depth == self.deep}
        figure = curves(
            range(1, self.epochs + 1),
            {name: values.mean(axis=0) for name, values in losses.items()},
            f"Training loss, {self.deep} hidden layers",
            "epoch",
            "training loss",
            bands={name: (values.min(axis=0), values.max(axis=0)) for name, values in losses.items()},
        )
        return Chart(figure, f"{self.deep} hidden layers: the training loss, mean and range over the seeds.")

    def _checks(self, loss: Mapping[tuple[int, str], Difference]) -> Iterator[Check]:
        for depth in (self.depth, self.deep):
            yield Check(
                f"ReLU, {depth} hidden layers: the training loss is lower with He's weights, in the whole interval",
                loss[depth, "ReLU"].verdict == "lower",
            )
        yield Check(
            "With ReLU the difference is larger in the deep network",
            loss[self.deep, "ReLU"].mean < loss[self.depth, "ReLU"].mean,
        )
        smaller = [abs(loss[depth, "tanh"].mean) < abs(loss[depth, "ReLU"].mean) for depth in (self.depth, self.deep)]
        yield Check("With tanh the difference is smaller than with ReLU, in both networks", smaller, [True, True])
        yield Check(
            f"tanh, {self.deep} hidden layers: the training loss is lower with He's weights here too",
            loss[self.deep, "tanh"].verdict,
            "lower",
        )


def _he_minus_glorot(values: Mapping[InitialisationArm, list[float]]) -> dict[tuple[int, str], Difference]:
    """The paired differences by depth and activation."""
    pairs = dict.fromkeys((arm.depth, arm.activation) for arm in values)
    return {
        pair: difference(values[InitialisationArm(*pair, "He")], values[InitialisationArm(*pair, "Glorot")])
        for pair in pairs
    }


def _losses(runs: list[Run]) -> Array:
    """The training loss (seeds, epochs)."""
    return np.array([[record["loss"] for record in run.history] for run in runs])
