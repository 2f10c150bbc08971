"""Two rings: a network draws a closed curve between them, watched while it learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core.arrays import arrays_of
from ...core.progress import ProgressMessage
from ...data import Dataset
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import learning_curves, planes
from ...parts.part import Count, Fraction, NonNegative, Positive
from ...runs.run import Run
from ...runs.train import run_to_end
from ...spec.spec import Spec
from ...training.replay import replay
from ...training.session import Session
from .lesson import Lesson

_PLACES = 81
_SHOWN = 400
_AROUND = np.linspace(0, 2 * np.pi, 360, endpoint=False)


@dataclass(frozen=True)
class Rings(Lesson, kind="rings"):
    """A disc inside of a ring: a 2-32-16-2 network with ReLU and softmax, and its boundary during the training.

    Source: after the two-class problem of circles in Goodfellow, Bengio, Courville 2016, Deep Learning, figure 1.1.

    >>> run = Rings(samples=200, epochs=30).run()
    >>> run.network.layers[-2].width, run.measures["test"]["accuracy"] > 0.95
    (2, True)
    """

    title = "Rings: a curve that closes"
    subject = "A small network separates a disc from the ring around it; its boundary at several epochs."
    quick: ClassVar[Mapping[str, Any]] = {"samples": 600, "epochs": 40}

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
        """The training, whole."""
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
        """The trained network."""
        return run_to_end(self.spec)

    def frames(self, run: Run, places: np.ndarray) -> dict[str, np.ndarray]:
        """The probability of the ring at each place (n, 2), before the training, during it and after it."""
        session = Session.load(self.spec)
        steps = session.batches.per_epoch
        epochs = sorted({int(self.epochs * share) for share in (0, 0.04, 0.1, 0.2, 0.4)} | {self.epochs})
        points = replay(session, [steps * epoch for epoch in epochs[:-1]]).states
        states = [*(point.state for point in points), run.state]
        return {
            f"epoch {epoch}" if epoch else "before training": session.predict(state, places)[:, 1]
            for epoch, state in zip(epochs, states, strict=True)
        }

    def tell(self) -> Iterator[Block | ProgressMessage]:
        """The page."""
        yield ProgressMessage(f"training for {self.epochs} epochs", 0.0)
        run = self.run()
        assert run.split
        widths = "-".join(str(width) for width in (2, *self.hidden, 2))
        weights = sum(array.size for _, array in arrays_of(run.params))
        yield Text(
            "One class is a disc, the other a ring around it. No straight line parts them. Each ReLU unit of the first "
            "hidden layer bends the plane along one line; the layers after it join the pieces to a curve that closes. "
            f"The network is {widths} with {weights:,} weights and biases; {len(run.split.train):,} points train it."
        )
        yield Formula(
            "h₁ = ReLU(x W₁ + b₁);   h₂ = ReLU(h₁ W₂ + b₂);   p = softmax(h₂ W₃ + b₃)"
            if len(self.hidden) == 2
            else "h ← ReLU(h W + b) for each hidden layer;   p = softmax(h W + b)"
        )
        yield Heading("The boundary during the training")
        yield ProgressMessage("drawing the boundary", 0.5)
        yield self._pictures(run)
        yield Heading("Loss and accuracy")
        columns = ("rows", "loss", "accuracy")
        rows = [(name, scores["loss"], scores["accuracy"]) for name, scores in run.measures.items()]
        yield Table(f"After {self.epochs} epochs; the test rows had no part in the training", columns, rows)
        for measure in ("loss", "accuracy"):
            yield Chart(learning_curves(run.history, measure), f"The {measure} by epoch.")
        test, validation = run.measures["test"]["accuracy"], run.history[-1]["validation_accuracy"]
        yield Check("More than 95 % of the test points are told right", test > 0.95)
        yield Check("More than 95 % of the validation points are told right", validation > 0.95)
        inner, outer = (run.predict_outputs(_circle(radius))[:, 1] > 0.5 for radius in (0.35, 0.9))
        says = "The curve closes: all places 0.35 from the centre are taken for the disc, all 0.9 from it for the ring"
        yield Check(says, bool(not inner.any() and outer.all()))
        yield Suggestion("two ReLU units: two bends do not close a curve", "thalweg lesson rings --set hidden=[2]")
        yield Suggestion(
            "three units: three bends are enough", "thalweg lesson rings --set hidden=[3] --set epochs=300"
        )
        yield Suggestion("rings that overlap", "thalweg lesson rings --set noise=0.25")
        yield Suggestion("a tenth of the rate", f"thalweg lesson rings --set learning_rate={self.learning_rate / 10:g}")

    def _pictures(self, run: Run) -> Chart:
        train = run.split.train if run.split else None
        assert isinstance(train, Dataset)
        points, classes = train.x[:_SHOWN], train.y[:_SHOWN]
        reach = 1.1 * float(np.abs(points).max())
        side = np.linspace(-reach, reach, _PLACES)
        grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
        ring = {name: values.reshape(_PLACES, _PLACES) for name, values in self.frames(run, grid).items()}
        names = run.preprocessing.target_names
        figure = planes(
            side, side, ring, points, classes, names, "The boundary, epoch by epoch", ("x1", "x2"), levels=[0.5]
        )
        return Chart(figure, "Where the network says disc (blue) and ring (orange), and some of the training points.")


def _circle(radius: float) -> np.ndarray:
    return radius * np.stack([np.cos(_AROUND), np.sin(_AROUND)], axis=1)
