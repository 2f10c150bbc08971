"""Shuffled rows against rows sorted by class: how the order of the samples affects gradient descent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from ...core.arrays import Array
from ...core.intervals import difference
from ...core.progress import ProgressMessage
from ...data import Data, InTime, Source
from ...data.orders import KeyFunction
from ...experiments.prose import difference_cell
from ...pages.blocks import Block, Chart, Check, Heading, Suggestion, Table, Text
from ...pages.figures import curves
from ...pages.numbers import measured, number
from ...parts.part import Count, Positive
from ...runs.run import Run
from ...runs.train import run_to_end
from ...spec.spec import Spec
from ..digit_images import DigitImages, first_rows
from ..lesson import Lesson

_SHUFFLED = "shuffled"
_ONCE = "shuffled once"
_SORTED = "sorted"


def _class_of(x: object, y: Array) -> Array:
    return y


@dataclass(frozen=True)
class SampleOrderLesson(Lesson, kind="sample-order"):
    """The same rows in three orders: shuffled for each epoch, shuffled once, sorted by class; paired by seed.

    Source: LeCun, Bottou, Orr, Müller 1998, Efficient BackProp, section 4.2.

    Attributes:
        data: The images.
        samples: The number of images.
        hidden: The number of hidden units.
        learning_rate: The learning rate of gradient descent.
        epochs: The number of epochs.
        batch_size: The number of images in a batch.
        seeds: The number of trainings in each order.

    >>> lesson = SampleOrderLesson(data="digits", samples=300, epochs=3, batch_size=8, seeds=2)
    >>> [run.history[-1]["validation_accuracy"] > 0.7 for run in lesson.runs("shuffled", first_rows("digits", 300))]
    [True, True]
    """

    title = "The order of the samples"
    subject = "Shuffled rows against rows sorted by class: the training loss hides what the validation rows show."
    chapter = "The way down"
    place = 3
    quick: ClassVar[Mapping[str, object]] = {"data": "digits", "samples": 1797, "epochs": 3, "batch_size": 8}

    data: DigitImages = "mnist"
    samples: Count = 10000
    hidden: Count = 64
    learning_rate: Positive = 0.05
    epochs: Count = 5
    batch_size: Count = 64
    seeds: Annotated[int, Field(ge=2, strict=True)] = 5

    def runs(self, name: str, source: Source) -> list[Run]:
        """A training for each seed, in the order of that name."""
        order = {_SHUFFLED: "shuffled", _ONCE: "fixed", _SORTED: InTime(by=KeyFunction(_class_of))}[name]
        sections = {
            "data": Data.of(
                {"source": source, "task": "classification", "validation": 0.2, "test": 0.0, "order": order}
            ),
            "network": {"layers": [f"dense {self.hidden}", "relu", "dense 10", "softmax"]},
            "optimizer": f"sgd {self.learning_rate}",
        }
        training = {"epochs": self.epochs, "batch_size": self.batch_size}
        return [run_to_end(Spec.of({**sections, "training": {**training, "seed": seed}})) for seed in range(self.seeds)]

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        source = first_rows(self.data, self.samples)
        runs: dict[str, list[Run]] = {}
        for index, name in enumerate((_SHUFFLED, _ONCE, _SORTED)):
            yield ProgressMessage(f"{name}: {self.seeds} trainings", index / 3)
            runs[name] = self.runs(name, source)
        records = {measure: _by_order(runs, measure) for measure in ("loss", "validation_loss", "validation_accuracy")}
        yield Text(
            f"The first {number(self.samples)} images of {self.data}, four fifths of them for training, {self.seeds} "
            "seeds. Each epoch uses every row once, in one of three orders: shuffled anew for each epoch; shuffled "
            "once, the same in each epoch; sorted, with all of digit 0 first and all of digit 9 last. A batch of "
            "sorted rows contains one class, or two. Its gradient favours the answer that class, whatever the image is."
        )
        accuracy = records["validation_accuracy"]
        figure = curves(
            range(1, self.epochs + 1),
            {name: values.mean(axis=0) for name, values in accuracy.items()},
            "Accuracy on validation rows",
            "epoch",
            "accuracy",
            bands={name: (values.min(axis=0), values.max(axis=0)) for name, values in accuracy.items()},
        )
        yield Chart(figure, "The accuracy on validation rows by epoch: mean and range over the seeds.")
        yield Table(
            f"Means of {self.seeds} seeds after {self.epochs} epochs",
            ("order", "training loss", "validation loss", "validation accuracy"),
            [(name, *(measured(key, values[name][:, -1].mean()) for key, values in records.items())) for name in runs],
        )
        yield from self._differences(records)
        yield from self._answers(runs[_SORTED])
        yield Suggestion(
            "a fifth of the learning rate",
            f"thalweg lesson sample-order --set learning_rate={self.learning_rate / 5:g}",
        )
        yield Suggestion("batches that contain many classes", "thalweg lesson sample-order --set batch_size=2000")
        yield Suggestion("more epochs", f"thalweg lesson sample-order --set epochs={4 * self.epochs}")

    def _differences(self, records: Mapping[str, Mapping[str, Array]]) -> Iterator[Block]:
        accuracy = {name: values[:, -1] for name, values in records["validation_accuracy"].items()}
        gap = {name: (records["validation_loss"][name] - records["loss"][name])[:, -1] for name in accuracy}
        worse = difference(accuracy[_SORTED], accuracy[_SHUFFLED])
        once = difference(accuracy[_ONCE], accuracy[_SHUFFLED])
        wider = difference(gap[_SORTED], gap[_SHUFFLED])
        rows = [
            (f"accuracy, {_SORTED} - {_SHUFFLED}", difference_cell("accuracy", worse), worse.verdict),
            (f"accuracy, {_ONCE} - {_SHUFFLED}", difference_cell("accuracy", once), once.verdict),
            (
                f"validation loss minus training loss, {_SORTED} - {_SHUFFLED}",
                difference_cell("loss", wider),
                wider.verdict,
            ),
        ]
        yield Table("Differences, paired by seed", ("difference", "mean and 95 % interval", ""), rows)
        yield Text(
            "The training loss of a sorted epoch is measured on rows whose class was trained just before. It looks "
            "good while the network forgets the other classes; the validation rows show it."
        )
        yield Check("Sorted rows end with a lower validation accuracy than shuffled ones", worse.verdict, "lower")
        yield Check("With sorted rows the validation loss is farther above the training loss", wider.verdict, "higher")
        yield Check("Shuffling once is as good as shuffling for each epoch, within 2 %", once.mean, 0.0, 0.02)

    def _answers(self, runs: list[Run]) -> Iterator[Block]:
        counts = np.sum([np.array(run.confusion) for run in runs], axis=0)
        answered = counts.sum(axis=0)
        true = counts.sum(axis=1)
        names = runs[0].preprocessing.target_names
        yield Heading("The answers after the sorted epochs")
        rows = [("validation rows of the digit", *map(int, true)), ("answers", *map(int, answered))]
        yield Table("Answers on the validation rows, all seeds together", ("", *names), rows)
        half = len(answered) // 2
        first_half = answered[:half].sum() / true[:half].sum()
        last = answered[-1] / true[-1]
        yield Check(
            "Relative to its frequency, the last digit is answered more often than those of the first half",
            bool(last > first_half),
        )


def _by_order(runs: Mapping[str, list[Run]], measure: str) -> dict[str, Array]:
    """One measure (seeds, epochs) by order."""
    return {
        name: np.array([[record[measure] for record in run.history] for run in order_runs])
        for name, order_runs in runs.items()
    }
