"""Rows shuffled, and rows sorted by class: what gradient descent makes of the order in which it meets them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ...core.intervals import difference
from ...core.progress import ProgressMessage
from ...data import Data, InTime, Source
from ...data.orders import KeyFunction
from ...pages.blocks import Block, Chart, Check, Heading, Suggestion, Table, Text
from ...pages.figures import curves
from ...parts.part import Count, Positive
from ...runs.run import Run
from ...runs.train import run_to_end
from ...spec.spec import Spec
from .comparison import Pictures, first_rows
from .lesson import Lesson

_SHUFFLED, _ONCE, _SORTED = "shuffled", "shuffled once", "sorted"


def _class(x: Any, y: np.ndarray) -> np.ndarray:
    return y


@dataclass(frozen=True)
class SampleOrder(Lesson, kind="sample-order"):
    """The same rows in three orders: shuffled for each epoch, shuffled once, sorted by class; paired by seed.

    Source: LeCun, Bottou, Orr, Müller 1998, Efficient BackProp, section 4.2.

    >>> lesson = SampleOrder(data="digits", samples=300, epochs=3, batch_size=8, seeds=2)
    >>> [run.history[-1]["validation_accuracy"] > 0.7 for run in lesson.runs("shuffled", first_rows("digits", 300))]
    [True, True]
    """

    title = "The order of the samples"
    subject = "Shuffled rows against rows sorted by class: the training loss hides what the held-out rows show."
    quick: ClassVar[Mapping[str, Any]] = {"data": "digits", "samples": 1797, "epochs": 3, "batch_size": 8}

    data: Pictures = "mnist"
    samples: Count = 10000
    hidden: Count = 64
    learning_rate: Positive = 0.05
    epochs: Count = 5
    batch_size: Count = 64
    seeds: Annotated[int, Field(ge=2, strict=True)] = 5

    def runs(self, name: str, source: Source) -> list[Run]:
        """A training for each seed, in the order of that name."""
        order = {_SHUFFLED: "shuffled", _ONCE: "fixed", _SORTED: InTime(by=KeyFunction(_class))}[name]
        sections = {
            "data": Data.of(
                {"source": source, "task": "classification", "validation": 0.2, "test": 0.0, "order": order}
            ),
            "network": {"layers": [f"dense {self.hidden}", "relu", "dense 10", "softmax"]},
            "optimizer": f"sgd {self.learning_rate}",
        }
        training = {"epochs": self.epochs, "batch_size": self.batch_size}
        return [run_to_end(Spec.of({**sections, "training": {**training, "seed": seed}})) for seed in range(self.seeds)]

    def tell(self) -> Iterator[Block | ProgressMessage]:
        """The page."""
        source, runs = first_rows(self.data, self.samples), {}
        for number, name in enumerate((_SHUFFLED, _ONCE, _SORTED)):
            yield ProgressMessage(f"{name}: {self.seeds} trainings", number / 3)
            runs[name] = self.runs(name, source)
        kept = {measure: _over_seeds(runs, measure) for measure in ("loss", "validation_loss", "validation_accuracy")}
        accuracy = kept["validation_accuracy"]
        yield Text(
            f"The first {self.samples:,} pictures of {self.data}, four fifths of them to train on, {self.seeds} seeds. "
            "Each epoch meets every row once, in one of three orders: shuffled anew for each epoch; shuffled once, the "
            "same in each epoch; sorted, all of digit 0 first, all of digit 9 last. A batch of sorted rows holds one "
            "class, or two. Its gradient says: whatever the picture is, answer that class."
        )
        means = {name: values.mean(axis=0) for name, values in accuracy.items()}
        bands = {name: (values.min(axis=0), values.max(axis=0)) for name, values in accuracy.items()}
        figure = curves(range(1, self.epochs + 1), means, "Accuracy on held-out rows", "epoch", "accuracy", bands=bands)
        yield Chart(figure, "The accuracy on held-out rows by epoch: mean and range over the seeds.")
        columns = ("order", "training loss", "held-out loss", "held-out accuracy")
        rows = [(name, *(float(values[name][:, -1].mean()) for values in kept.values())) for name in runs]
        yield Table(f"Means of {self.seeds} seeds after {self.epochs} epochs", columns, rows)
        yield from self._differences(kept)
        yield from self._said(runs[_SORTED])
        yield Suggestion(
            "a fifth of the rate", f"thalweg lesson sample-order --set learning_rate={self.learning_rate / 5:g}"
        )
        yield Suggestion("batches that hold many classes", "thalweg lesson sample-order --set batch_size=2000")
        yield Suggestion("more epochs", f"thalweg lesson sample-order --set epochs={4 * self.epochs}")

    def _differences(self, kept: Mapping[str, Mapping[str, np.ndarray]]) -> Iterator[Block]:
        last = {name: values[:, -1] for name, values in kept["validation_accuracy"].items()}
        gap = {name: (kept["validation_loss"][name] - kept["loss"][name])[:, -1] for name in last}
        worse, once = difference(last[_SORTED], last[_SHUFFLED]), difference(last[_ONCE], last[_SHUFFLED])
        wider = difference(gap[_SORTED], gap[_SHUFFLED])
        rows = [
            (f"accuracy, {_SORTED} - {_SHUFFLED}", str(worse), worse.verdict),
            (f"accuracy, {_ONCE} - {_SHUFFLED}", str(once), once.verdict),
            (f"held-out loss above training loss, {_SORTED} - {_SHUFFLED}", str(wider), wider.verdict),
        ]
        yield Table("Differences, paired by seed", ("difference", "mean and interval of 95 %", ""), rows)
        yield Text(
            "The training loss of a sorted epoch is measured on rows whose class has just been drilled. It looks well "
            "while the network forgets the other classes; held-out rows show it."
        )
        yield Check("Sorted rows end with a lower accuracy on held-out rows than shuffled ones", worse.verdict, "lower")
        says = "With sorted rows the held-out loss lies farther above the training loss"
        yield Check(says, wider.verdict, "higher")
        yield Check("To shuffle once does as well as to shuffle anew, to within 2 %", once.mean, 0.0, 0.02)

    def _said(self, runs: list[Run]) -> Iterator[Block]:
        counts = np.sum([np.array(run.confusion) for run in runs], axis=0)
        said, true = counts.sum(axis=0), counts.sum(axis=1)
        names = runs[0].preprocessing.target_names
        yield Heading("What the network says after the sorted epochs")
        rows = [("held-out rows of the digit", *map(int, true)), ("answers", *map(int, said))]
        yield Table("Answers on the held-out rows, all seeds together", ("", *names), rows)
        first, late = said[: len(said) // 2].sum() / true[: len(said) // 2].sum(), said[-1] / true[-1]
        says = "The digit met last is answered more often, by its frequency, than those of the first half"
        yield Check(says, bool(late > first))


def _over_seeds(runs: Mapping[str, list[Run]], measure: str) -> dict[str, np.ndarray]:
    """One measure (seeds, epochs) by order."""
    return {
        name: np.array([[record[measure] for record in run.history] for run in each]) for name, each in runs.items()
    }
