"""Handwritten digits with a plain network, from pixels to classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from ...core.arrays import arrays_of
from ...core.progress import ProgressMessage
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import confusion, learning_curves
from ...parts.part import Count, Positive
from ...runs.run import Run
from ...runs.train import run_to_end
from ...spec.spec import Spec
from .comparison import Pictures
from .lesson import Lesson

# The accuracy that is claimed on the test pictures, from and to, after the epochs of the two forms.
_CLAIMED = {"mnist": (0.97, 0.98), "digits": (0.95, 1.0)}


@dataclass(frozen=True)
class Mnist(Lesson, kind="mnist"):
    """MNIST with 784-256-128-10: ReLU, softmax, cross-entropy, Adam. `data` "digits" takes the small set of 8 x 8.

    MNIST is read from the folder that THALWEG_DATA names, or downloaded once.

    Source: LeCun, Bottou, Bengio, Haffner 1998 (the data, and fully connected networks on them).

    >>> run = Mnist(data="digits", epochs=4).run()
    >>> [layer.width for layer in run.network.layers[::2]], run.measures["test"]["accuracy"] > 0.9
    ([256, 128, 10], True)
    """

    title = "Handwritten digits"
    subject = "A plain fully connected network reads MNIST; what it confuses."
    quick: ClassVar[Mapping[str, Any]] = {"data": "digits", "epochs": 20, "batch_size": 32}

    data: Pictures = "mnist"
    hidden: tuple[Count, ...] = (256, 128)
    learning_rate: Positive = 1e-3
    epochs: Count = 3
    batch_size: Count = 128
    seed: int = 42

    @property
    def spec(self) -> Spec:
        """The training, whole."""
        hidden = [layer for width in self.hidden for layer in (f"dense {width}", "relu")]
        return Spec.of(
            {
                "data": {"source": self.data, "validation": 0.1},
                "network": {"layers": [*hidden, "dense 10", "softmax"]},
                "loss": "cross_entropy",
                "optimizer": {"kind": "adam", "learning_rate": self.learning_rate},
                "training": {"epochs": self.epochs, "batch_size": self.batch_size, "seed": self.seed},
            }
        )

    def run(self) -> Run:
        """The trained network."""
        return run_to_end(self.spec)

    def tell(self) -> Iterator[Block | ProgressMessage]:
        """The page."""
        yield ProgressMessage(f"training for {self.epochs} epochs on {self.data}", None)
        run = self.run()
        assert run.split
        features, rows, test = run.preprocessing.features, len(run.split.train), run.measures["test"]
        weights = [sum(array.size for _, array in arrays_of(layer)) for layer in run.params]
        widths = [features, *self.hidden, 10]
        yield Text(
            f"A picture is a row of {features} pixels, scaled to 0 … 1. The network knows nothing of rows and columns; "
            f"it has {sum(weights):,} weights and biases, and each hidden layer is followed by ReLU. {rows:,} pictures "
            f"train it, in batches of {self.batch_size}, for {self.epochs} epochs."
        )
        yield Formula(
            "a ← ReLU(a W + b) for each hidden layer;   p = softmax(a W + b)\n"
            "L = - ln p_t, averaged over the batch;   at the logits δ = (p - y) / n"
        )
        columns = ("layer", "weights W", "biases b", "numbers")
        dense = [(f"dense {out}", f"{into} × {out}", out, into * out + out) for into, out in pairwise(widths)]
        yield Table("The dense layers", columns, dense)
        yield Check(
            "The network has as many weights and biases as the table", sum(weights), sum(row[3] for row in dense)
        )
        yield Heading("The training")
        yield Chart(learning_curves(run.history, "loss"), "The loss by epoch.")
        named = [(name, scores["loss"], scores["accuracy"]) for name, scores in run.measures.items()]
        yield Table(f"After {self.epochs} epochs", ("rows", "loss", "accuracy"), named)
        low, high = _CLAIMED[self.data]
        says = f"From {100 * low:g} to {100 * high:g} % of the test pictures are told right"
        yield Check(says, low <= test["accuracy"] <= high)
        yield from self._mistakes(run)
        yield Suggestion("no hidden layer at all", "thalweg lesson mnist --set hidden=[]")
        yield Suggestion("a longer training", "thalweg lesson mnist --set epochs=10")
        yield Suggestion("the small set of 8 × 8 pixels", "thalweg lesson mnist --quick")

    def _mistakes(self, run: Run) -> Iterator[Block]:
        counts, names = np.array(run.confusion), run.preprocessing.target_names
        wrong = counts * (1 - np.eye(len(counts), dtype=int))
        true, said = np.unravel_index(wrong.argmax(), wrong.shape)
        yield Heading("What it confuses")
        yield Text(
            f"{wrong.sum()} of {counts.sum():,} test pictures are told wrong. The most frequent mistake: of "
            f"{counts[true].sum()} pictures of a {names[true]}, {wrong.max()} taken for a {names[said]}."
        )
        yield Chart(confusion(counts, names), "Rows: the true digit. Columns: what the network says.")
        share = float(np.trace(counts) / counts.sum())
        yield Check("The diagonal of the table is the accuracy", share, run.measures["test"]["accuracy"], 1e-6)
