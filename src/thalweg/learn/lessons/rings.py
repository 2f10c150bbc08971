"""Two rings: a network learns a closed curve between them, shown during the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...core.arrays import Array, arrays_of
from ...core.progress import ProgressMessage
from ...data import Dataset
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import learning_curves, planes
from ...pages.numbers import Share, number
from ...parts.part import Count, Fraction, NonNegative, Positive
from ...runs.run import Run
from ...runs.train import run_to_end
from ...spec.spec import Spec
from ...training.replay import replay
from ...training.session import Session
from ..lesson import Lesson

_GRID_POINTS = 81
_SHOWN = 400
_FRAMES = (0, 0.04, 0.1, 0.2, 0.4)
_ANGLES = np.linspace(0, 2 * np.pi, 360, endpoint=False)


@dataclass(frozen=True)
class RingsLesson(Lesson, kind="rings"):
    """A disc inside a ring: a 2-32-16-2 network with ReLU and softmax, and its decision boundary during the training.

    Source: after the two-class problem of circles in Goodfellow, Bengio, Courville 2016, Deep Learning, figure 1.1.

    Attributes:
        samples: The number of points.
        noise: The standard deviation of the noise on the radius.
        hidden: The numbers of units of the hidden layers.
        learning_rate: The learning rate η.
        momentum: The momentum μ.
        epochs: The number of epochs.
        batch_size: The number of rows in a batch.
        seed: Decides the points, the weights and the order of the rows.

    >>> run = RingsLesson(samples=200, epochs=30).run()
    >>> run.network.layers[-2].width, run.measures["test"]["accuracy"] > 0.95
    (2, True)
    """

    title = "Rings: a curve that closes"
    subject = "A small network separates a disc from the ring around it; its decision boundary at several epochs."
    chapter = "More than a line"
    place = 3
    quick: ClassVar[Mapping[str, object]] = {"samples": 600, "epochs": 40}

    samples: Count = 2000
    noise: NonNegative = 0.05
    hidden: tuple[Count, ...] = (32, 16)
    learning_rate: Positive = 0.005
    momentum: Fraction = 0.9
    epochs: Count = 50
    batch_size: Count = 32
    seed: int = 42

    @property
    def spec(self) -> Spec:
        """The spec of the training."""
        hidden = [layer for width in self.hidden for layer in (f"dense {width}", "relu")]
        return Spec.of(
            {
                "data": {
                    "source": {"kind": "rings", "samples": self.samples, "noise": self.noise},
                    "validation": 0.1,
                    "test": 0.2,
                },
                "network": {"layers": [*hidden, "dense 2", "softmax"]},
                "loss": "cross_entropy",
                "optimizer": {"kind": "momentum", "learning_rate": self.learning_rate, "momentum": self.momentum},
                "training": {
                    "epochs": self.epochs,
                    "batch_size": self.batch_size,
                    "seed": self.seed,
                    "engine": "eager",
                },
            }
        )

    def run(self) -> Run:
        """Train the network."""
        return run_to_end(self.spec)

    def frames(self, run: Run, points: Array) -> dict[str, Array]:
        """The probability of the ring at points (n, 2), before the training, at several epochs, and at the end."""
        session = Session.load(self.spec)
        steps = session.batches.per_epoch
        epochs = sorted({int(self.epochs * fraction) for fraction in _FRAMES} | {self.epochs})
        earlier = replay(session, [steps * epoch for epoch in epochs[:-1]]).states
        states = [*(point.state for point in earlier), run.state]
        return {
            f"epoch {epoch}" if epoch else "before training": session.predict(state, points)[:, 1]
            for epoch, state in zip(epochs, states, strict=True)
        }

    @property
    def playground(self) -> Spec:
        return self.spec

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield ProgressMessage(f"training for {self.epochs} epochs", 0.0)
        run = self.run()
        assert run.split
        widths = "-".join(str(width) for width in (2, *self.hidden, 2))
        weights = sum(array.size for _, array in arrays_of(run.params))
        yield Text(
            "One class is a disc, the other a ring around it. No straight line separates them. Each ReLU unit of the "
            "first hidden layer bends the plane along one line; the later layers join the pieces to a closed curve. "
            f"The network is {widths} with {number(weights)} weights and biases, trained on "
            f"{number(len(run.split.train))} points."
        )
        yield Formula(
            "h₁ = ReLU(x W₁ + b₁);   h₂ = ReLU(h₁ W₂ + b₂);   p = softmax(h₂ W₃ + b₃)"
            if len(self.hidden) == 2
            else "h ← ReLU(h W + b) for each hidden layer;   p = softmax(h W + b)"
        )
        yield Heading("The decision boundary during the training")
        yield ProgressMessage("drawing the boundary", 0.5)
        yield self._boundary_chart(run)
        yield Heading("Loss and accuracy")
        columns = ("rows", "loss", "accuracy")
        rows = [(name, scores["loss"], Share(scores["accuracy"])) for name, scores in run.measures.items()]
        yield Table(f"After {self.epochs} epochs; the test rows were not used for training", columns, rows)
        for measure in ("loss", "accuracy"):
            yield Chart(learning_curves(run.history, measure), f"The {measure} by epoch.")
        yield from self._checks(run)
        yield Suggestion("two ReLU units: two bends cannot close a curve", "thalweg lesson rings --set hidden=[2]")
        yield Suggestion(
            "three units: three bends are enough", "thalweg lesson rings --set hidden=[3] --set epochs=300"
        )
        yield Suggestion("rings that overlap", "thalweg lesson rings --set noise=0.25")
        yield Suggestion(
            "a tenth of the learning rate",
            f"thalweg lesson rings --set learning_rate={self.learning_rate / 10:g}",
        )

    def _checks(self, run: Run) -> Iterator[Check]:
        test = run.measures["test"]["accuracy"]
        validation = run.history[-1]["validation_accuracy"]
        yield Check("More than 95 % of the test points are classified correctly", test > 0.95)
        yield Check("More than 95 % of the validation points are classified correctly", validation > 0.95)
        inner, outer = (run.predict_outputs(_circle(radius))[:, 1] > 0.5 for radius in (0.35, 0.9))
        yield Check(
            "The curve closes: all points at radius 0.35 are classified as disc, all at radius 0.9 as ring",
            bool(not inner.any() and outer.all()),
        )

    def _boundary_chart(self, run: Run) -> Chart:
        train = run.split.train if run.split else None
        assert isinstance(train, Dataset)
        points = train.x[:_SHOWN]
        reach = 1.1 * float(np.abs(points).max())
        axis = np.linspace(-reach, reach, _GRID_POINTS)
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        frames = {name: values.reshape(_GRID_POINTS, _GRID_POINTS) for name, values in self.frames(run, grid).items()}
        figure = planes(
            axis,
            axis,
            frames,
            points,
            train.y[:_SHOWN],
            run.preprocessing.target_names,
            "The decision boundary by epoch",
            ("x1", "x2"),
            levels=[0.5],
        )
        return Chart(figure, "Where the network answers disc (blue) and ring (orange), and some training points.")


def _circle(radius: float) -> Array:
    return radius * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
