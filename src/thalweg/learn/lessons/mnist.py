"""Handwritten digits with a fully connected network, from pixels to classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from ...core.arrays import arrays_of
from ...core.progress import ProgressMessage
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import confusion, learning_curves
from ...pages.numbers import Share, number, percent
from ...parts.part import Count, Positive
from ...runs.run import Run
from ...runs.train import run_to_end
from ...spec.spec import Spec
from ..digit_images import DigitImages
from ..lesson import Lesson

# The range of the test accuracy after the epochs of the default form and of the quick form.
_EXPECTED_ACCURACY = {"mnist": (0.97, 0.98), "digits": (0.95, 1.0)}


@dataclass(frozen=True)
class MnistLesson(Lesson, kind="mnist"):
    """MNIST with 784-256-128-10: ReLU, softmax, cross-entropy, Adam.

    MNIST is read from the folder that THALWEG_DATA names, or downloaded once.

    Source: LeCun, Bottou, Bengio, Haffner 1998 (the data, and fully connected networks on them).

    Attributes:
        data: "mnist", or "digits" for the small images of 8 x 8 pixels.
        hidden: The numbers of units of the hidden layers.
        learning_rate: The learning rate of Adam.
        epochs: The number of epochs.
        batch_size: The number of images in a batch.
        seed: Decides the weights and the order of the images.

    >>> run = MnistLesson(data="digits", epochs=4).run()
    >>> [layer.width for layer in run.network.layers[::2]], run.measures["test"]["accuracy"] > 0.9
    ([256, 128, 10], True)
    """

    title = "Handwritten digits"
    subject = "A fully connected network reads MNIST; which digits it confuses."
    chapter = "At full size"
    place = 1
    quick: ClassVar[Mapping[str, object]] = {"data": "digits", "epochs": 20, "batch_size": 32}

    data: DigitImages = "mnist"
    hidden: tuple[Count, ...] = (256, 128)
    learning_rate: Positive = 1e-3
    epochs: Count = 3
    batch_size: Count = 128
    seed: int = 42

    @property
    def spec(self) -> Spec:
        """The spec of the training."""
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
        """Train the network."""
        return run_to_end(self.spec)

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield ProgressMessage(f"training for {self.epochs} epochs on {self.data}", None)
        run = self.run()
        assert run.split
        yield from self._network(run, len(run.split.train))
        yield Heading("The training")
        yield Chart(learning_curves(run.history, "loss"), "The loss by epoch.")
        rows = [(name, scores["loss"], Share(scores["accuracy"])) for name, scores in run.measures.items()]
        yield Table(f"After {self.epochs} epochs", ("rows", "loss", "accuracy"), rows)
        low, high = _EXPECTED_ACCURACY[self.data]
        yield Check(
            f"From {percent(low)} to {percent(high)} of the test images are classified correctly",
            low <= run.measures["test"]["accuracy"] <= high,
        )
        yield from self._mistakes(run)
        yield Suggestion("no hidden layer at all", "thalweg lesson mnist --set hidden=[]")
        yield Suggestion("a longer training", "thalweg lesson mnist --set epochs=10")
        yield Suggestion("the small images of 8 × 8 pixels", "thalweg lesson mnist --quick")

    def _network(self, run: Run, rows: int) -> Iterator[Block]:
        features = run.preprocessing.features
        weights = sum(array.size for _, array in arrays_of(run.params))
        yield Text(
            f"An image is a row of {number(features)} pixels, scaled to 0 … 1. The network does not know which pixels "
            f"are neighbours. It has {number(weights)} weights and biases, and each hidden layer is followed by ReLU. "
            f"It is trained on {number(rows)} images, in batches of {self.batch_size}, for {self.epochs} epochs."
        )
        yield Formula(
            "a ← ReLU(a W + b) for each hidden layer;   p = softmax(a W + b)\n"
            "L = - ln p_t, averaged over the batch;   at the logits δ = (p - y) / n"
        )
        sizes = pairwise([features, *self.hidden, 10])
        dense = [(f"dense {out}", f"{into} × {out}", out, into * out + out) for into, out in sizes]
        yield Table("The dense layers", ("layer", "weights W", "biases b", "numbers"), dense)
        yield Check("The network has as many weights and biases as the table", weights, sum(row[3] for row in dense))

    def _mistakes(self, run: Run) -> Iterator[Block]:
        counts = np.array(run.confusion)
        names = run.preprocessing.target_names
        wrong = counts * (1 - np.eye(len(counts), dtype=int))
        true, answer = np.unravel_index(wrong.argmax(), wrong.shape)
        yield Heading("Which digits it confuses")
        yield Text(
            f"{number(wrong.sum())} of {number(counts.sum())} test images are classified wrongly. The most frequent "
            f"mistake: of {number(counts[true].sum())} images of a {names[true]}, {number(wrong.max())} are taken for "
            f"a {names[answer]}."
        )
        yield Chart(confusion(counts, names), "Rows: the true digit. Columns: the answer of the network.")
        accuracy = float(np.trace(counts) / counts.sum())
        yield Check("The diagonal of the table is the accuracy", accuracy, run.measures["test"]["accuracy"], 1e-6)
