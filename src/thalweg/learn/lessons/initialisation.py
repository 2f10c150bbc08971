"""Glorot's and He's start under tanh and ReLU: what a matched initialisation changes, and where it changes little."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from ...core.intervals import Difference, difference
from ...core.progress import ProgressMessage
from ...data import Data, Dataset
from ...models.network import Network
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves
from ...parts.part import Count, ForwardContext, Positive
from ...runs.run import Run
from ...runs.train import run_to_end
from ...spec.spec import Spec
from .comparison import Pictures, first_rows
from .lesson import Lesson

_STARTS = {"Glorot": "glorot_normal", "He": "he_normal"}
_ACTIVATIONS = {"tanh": "tanh", "ReLU": "relu"}


class Arm(NamedTuple):
    """One of the networks that are compared: how many hidden layers, the activation, the initialisation."""

    depth: int
    activation: str
    start: str

    @property
    def name(self) -> str:
        """Without the depth."""
        return f"{self.activation}, {self.start}"


@dataclass(frozen=True)
class Initialisation(Lesson, kind="initialisation"):
    """tanh with Glorot against He, ReLU with He against Glorot, in a shallow and in a deep network, paired by seed.

    Source: Glorot and Bengio 2010, equation 12; He, Zhang, Ren, Sun 2015, equation 10.

    >>> sizes = Initialisation(data="digits").sizes(Arm(10, "ReLU", "He"), np.ones((1, 64)))
    >>> sizes.shape
    (10,)
    """

    title = "Initialisation: Glorot against He"
    subject = "Two starts under two activations, shallow and deep: where the difference is large, and where it is not."
    quick: ClassVar[Mapping[str, Any]] = {"data": "digits", "samples": 1797, "epochs": 5, "batch_size": 32, "seeds": 3}

    data: Pictures = "mnist"
    samples: Count = 6000
    depth: Count = 2
    deep: Count = 10
    width: Count = 64
    learning_rate: Positive = 0.05
    epochs: Count = 3
    batch_size: Count = 64
    seeds: Annotated[int, Field(ge=2, strict=True)] = 5

    def network(self, arm: Arm) -> Network:
        """The network of one arm."""
        hidden = [f"dense {self.width}", _ACTIVATIONS[arm.activation]] * arm.depth
        return Network.of({"layers": [*hidden, "dense 10", "softmax"], "init": _STARTS[arm.start]})

    def arms(self) -> list[Arm]:
        """All networks, the shallow ones first."""
        return [
            Arm(depth, name, start) for depth in (self.depth, self.deep) for name in _ACTIVATIONS for start in _STARTS
        ]

    def sizes(self, arm: Arm, x: np.ndarray) -> np.ndarray:
        """The root mean square of each hidden layer's activations before training, relative to that of x; over all "
        "seeds."""
        network, rows = self.network(arm), x.astype(float)
        squares = []
        for seed in range(self.seeds):
            start = network.initialize(seed, x.shape[1:])
            outputs = network.forward(start.params, start.states, rows, ForwardContext(training=False)).outputs
            squares.append([np.mean(output**2) for output in outputs[1 : 2 * arm.depth : 2]])
        return np.sqrt(np.mean(squares, axis=0) / np.mean(rows**2))

    def runs(self, arm: Arm, data: Data) -> list[Run]:
        """A training for each seed."""
        described = {"epochs": self.epochs, "batch_size": self.batch_size}
        sections = {"data": data, "network": self.network(arm), "optimizer": f"sgd {self.learning_rate}"}
        return [
            run_to_end(Spec.of({**sections, "training": {**described, "seed": seed}})) for seed in range(self.seeds)
        ]

    def tell(self) -> Iterator[Block | ProgressMessage]:
        """The page."""
        data = Data(first_rows(self.data, self.samples), validation=0.0, test=0.2)
        arms, runs = self.arms(), {}
        for number, arm in enumerate(arms):
            yield ProgressMessage(f"{arm.depth} hidden layers, {arm.name}: {self.seeds} trainings", number / len(arms))
            runs[arm] = self.runs(arm, data)
        yield Text(
            "Glorot's start has the variance 2 / (n_in + n_out), which suits an activation of slope 1 around 0. ReLU "
            "puts half of its inputs to 0, and He's start, with the variance 2 / n_in, makes up for that. Here each is "
            f"put under tanh and under ReLU, in networks of {self.depth} and of {self.deep} hidden layers of "
            f"{self.width} units, trained by gradient descent on the first {self.samples:,} pictures of {self.data}, "
            f"with the same {self.seeds} seeds."
        )
        yield Formula("Glorot: Var(W) = 2 / (n_in + n_out)\nHe: Var(W) = 2 / n_in")
        train = data.load(0).train
        assert isinstance(train, Dataset)
        yield from self._before(train.x[:256])
        yield from self._after(runs)
        yield Suggestion("a deeper network", f"thalweg lesson initialisation --set deep={2 * self.deep}")
        yield Suggestion(
            "a smaller rate", f"thalweg lesson initialisation --set learning_rate={self.learning_rate / 5:g}"
        )
        yield Suggestion(
            "more seeds: shorter intervals", f"thalweg lesson initialisation --quick --set seeds={4 * self.seeds}"
        )

    def _before(self, x: np.ndarray) -> Iterator[Block]:
        deep = {arm.name: self.sizes(arm, x) for arm in self.arms() if arm.depth == self.deep}
        yield Heading("Before training")
        figure = curves(
            range(1, self.deep + 1), deep, "Size of the activations", "hidden layer", "relative rms", log=True
        )
        yield Chart(figure, "The root mean square of the activations by layer, relative to that of the inputs.")
        factor = {name: (sizes[-1] / sizes[0]) ** (1 / max(self.deep - 1, 1)) for name, sizes in deep.items()}
        words = "; ".join(f"{name} {value:.3f}" for name, value in factor.items())
        yield Text(f"From layer to layer the activations change by a factor of: {words}.")
        says = "Under ReLU, He's start keeps the size: the factor is 1"
        yield Check(says, factor["ReLU, He"], 1.0, 0.06)
        says = "Under ReLU, Glorot's start between layers of one width makes it smaller by √½ a layer"
        yield Check(says, factor["ReLU, Glorot"], 0.5**0.5, 0.06)
        says = "tanh makes it smaller under both starts, and under Glorot's more"
        yield Check(says, factor["tanh, Glorot"] < factor["tanh, He"] < 1)

    def _after(self, runs: Mapping[Arm, list[Run]]) -> Iterator[Block]:
        yield Heading("After training")
        losses = {arm: [run.history[-1]["loss"] for run in found] for arm, found in runs.items()}
        scores = {arm: [run.measures["test"]["accuracy"] for run in found] for arm, found in runs.items()}
        columns = ("hidden layers", "activation", "start", "training loss", "test accuracy")
        rows = [(*arm, float(np.mean(losses[arm])), float(np.mean(scores[arm]))) for arm in runs]
        yield Table(f"Means of {self.seeds} seeds after {self.epochs} epochs", columns, rows)
        loss, score = self._gains(losses), self._gains(scores)
        changes = {place: (loss[place], score[place]) for place in loss}
        yield Table(
            "He minus Glorot, and the interval of 95 %",
            ("hidden layers", "activation", "training loss", "", "test accuracy", ""),
            [
                (*place, *(word for change in both for word in (str(change), change.verdict)))
                for place, both in changes.items()
            ],
        )
        series = {arm.name: _over_seeds(found) for arm, found in runs.items() if arm.depth == self.deep}
        bands = {name: (losses.min(axis=0), losses.max(axis=0)) for name, losses in series.items()}
        middle = {name: losses.mean(axis=0) for name, losses in series.items()}
        epochs = range(1, self.epochs + 1)
        title = f"Training loss, {self.deep} hidden layers"
        figure = curves(epochs, middle, title, "epoch", "training loss", bands=bands)
        yield Chart(figure, f"{self.deep} hidden layers: the training loss, mean and range over the seeds.")
        yield Text(
            "The rule of thumb is Glorot for tanh and He for ReLU. What lies behind it is the figure above: a start "
            "that keeps the size of the activations. By that measure He's start suits ReLU, and tanh no less: its "
            "larger weights make up for what tanh takes away at each layer."
        )
        for depth in (self.depth, self.deep):
            says = f"ReLU, {depth} hidden layers: the training loss is lower with He's start, for all of the interval"
            yield Check(says, loss[depth, "ReLU"].verdict == "lower")
        says = "Under ReLU, the difference is larger in the deep network"
        yield Check(says, loss[self.deep, "ReLU"].mean < loss[self.depth, "ReLU"].mean)
        says = "Under tanh the difference is smaller than under ReLU, in both networks"
        smaller = [abs(loss[depth, "tanh"].mean) < abs(loss[depth, "ReLU"].mean) for depth in (self.depth, self.deep)]
        yield Check(says, smaller, [True, True])
        says = f"tanh, {self.deep} hidden layers: the training loss is lower with He's start here too"
        yield Check(says, loss[self.deep, "tanh"].verdict, "lower")

    def _gains(self, values: Mapping[Arm, list[float]]) -> dict[tuple[int, str], Difference]:
        """He minus Glorot by depth and activation."""
        places = dict.fromkeys((arm.depth, arm.activation) for arm in values)
        return {place: difference(values[Arm(*place, "He")], values[Arm(*place, "Glorot")]) for place in places}


def _over_seeds(runs: list[Run]) -> np.ndarray:
    """The training loss (seeds, epochs)."""
    return np.array([[record["loss"] for record in run.history] for run in runs])
