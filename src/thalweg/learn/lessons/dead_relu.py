"""Dead ReLUs: how a large rate or a negative bias kills units, why they stay dead, and what a leak changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ...core.progress import ProgressMessage
from ...data import Dataset, Source
from ...pages.blocks import Block, Chart, Check, Formula, Suggestion, Table, Text
from ...pages.figures import curves
from ...parts.layers import LeakyReLU, ReLU
from ...parts.part import Count, ForwardContext, Layer, Number, Positive
from ..lesson import Lesson
from ..recorded_training import RecordedTraining, classification_rows, record_training

_GUESSING, _LEARNT = 0.2, 0.6


@dataclass(frozen=True)
class DeadReLULesson(Lesson, kind="dead-relu"):
    """One hidden layer of ReLU units: a usual training, one at too large a rate, one from a negative bias; and a leak.

    A unit is silent where its z is at most 0 for every training row. A silent ReLU unit of the first hidden layer is
    dead: its slope is 0 for every row, so that no gradient changes its weights and no later step wakes it.

    Source: Maas, Hannun, Ng 2013, section 2; Goodfellow, Bengio, Courville 2016, section 6.3.1.

    >>> lesson = DeadReLULesson(epochs=1)
    >>> run = lesson.training(ReLU(), rate=0.5, bias=-3.0)
    >>> bool((lesson.net_inputs(run) < 0).all()), float(abs(run.traces[-1].grads[0].W).max())
    (True, 0.0)
    """

    learning_rate: Positive = 0.5
    large_rate: Positive = 3.0
    bias: Number = -3.0
    alpha: Positive = 0.1
    width: Count = 32
    epochs: Count = 8
    seed: Annotated[int, Field(ge=0, strict=True)] = 0
    data: Source = field(default_factory=lambda: Source.of("digits"))

    title = "Dead ReLUs"
    subject = "How a large rate or a negative bias kills units for good, and what leaky ReLU changes."
    quick: ClassVar[Mapping[str, Any]] = {"epochs": 6}

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "ReLU passes delta where z > 0, and nothing elsewhere. A unit with z ≤ 0 for every training row gets no"
            " gradient from any of them: it is dead, and gradient descent can not bring it back."
        )
        yield Formula(
            "y = max(z, 0),  y' = 1 where z > 0, else 0\n"
            "dL/dw = Σ x · dL/dy · y'(z) over the rows, which is 0 where z ≤ 0 for every row"
        )
        cases: dict[str, tuple[Layer, float, float]] = {
            "ReLU": (ReLU(), self.learning_rate, 0.0),
            "ReLU, large rate": (ReLU(), self.large_rate, 0.0),
            "ReLU, negative bias": (ReLU(), self.learning_rate, self.bias),
            "leaky ReLU, negative bias": (LeakyReLU(self.alpha), self.learning_rate, self.bias),
        }
        runs, largest = {}, {}
        for place, (name, (activation, rate, bias)) in enumerate(cases.items()):
            yield ProgressMessage(f"training: {name}", place / len(cases))
            runs[name] = self.training(activation, rate, bias)
            largest[name] = self.net_inputs(runs[name])
        silent = {name: found <= 0 for name, found in largest.items()}
        right = {name: run.score("accuracy") for name, run in runs.items()}
        yield Table(
            f"{self.width} hidden units, the same start but for the bias, {self.epochs} epochs of gradient descent",
            ["units", "rate", "bias", "silent at first", "silent at last", "test rows right"],
            [
                [name, rate, bias, int(silent[name][0].sum()), int(silent[name][-1].sum()), right[name]]
                for name, (_, rate, bias) in cases.items()
            ],
        )
        yield Chart(
            curves(
                runs["ReLU"].steps,
                {name: found.mean(axis=1) for name, found in silent.items()},
                "Units that are silent on every training row",
                "step",
                "share of the hidden units",
            ),
            "A curve of ReLU never falls: what is dead stays dead. That of leaky ReLU may fall: units come back.",
        )
        yield from self._killed(runs["ReLU, large rate"], largest["ReLU, large rate"])
        yield from self._biased(largest["ReLU, negative bias"], largest["leaky ReLU, negative bias"], right)
        yield Suggestion("a rate that kills nobody", "thalweg lesson dead-relu --set large_rate=0.1")
        yield Suggestion("a bias from which some units survive", "thalweg lesson dead-relu --set bias=-1")
        yield Suggestion(
            "a smaller leak wakes the units more slowly", "thalweg lesson dead-relu --set alpha=0.01 --set epochs=40"
        )

    def training(self, activation: Layer, rate: float, bias: float) -> RecordedTraining:
        """A training in NumPy and float64, at every step: the traces hold the very numbers that it was made of."""
        hidden = {"kind": "dense", "width": self.width, "bias_init": {"kind": "constant", "value": bias}}
        classes = classification_rows(self.data, self.seed).outputs
        table = {
            "data": {"source": self.data, "validation": 0.0},
            "network": {"layers": [hidden, activation, f"dense {classes}", "softmax"]},
            "optimizer": {"kind": "sgd", "learning_rate": rate},
            "training": {"epochs": self.epochs, "seed": self.seed, "engine": "eager"},
        }
        return record_training(table, None)

    def net_inputs(self, run: RecordedTraining) -> np.ndarray:
        """The largest z of each hidden unit over all training rows, before each step: (steps, units)."""
        rows, hidden = run.split.train, run.network.layers[0]
        assert isinstance(rows, Dataset)
        x = rows.x.astype(float)
        states = (point.state for point in run.points)
        found = (
            hidden.forward(state.params[0], state.layers[0], x, ForwardContext(training=True))[0] for state in states
        )
        return np.array([z.max(axis=0) for z in found])

    def _killed(self, run: RecordedTraining, largest: np.ndarray) -> Iterator[Block]:
        """Claims about units that die in the course of a training."""
        dead = np.maximum.accumulate(largest <= 0, axis=0)
        grads = np.array([np.vstack(trace.grads[0]) for trace in run.traces])
        weights = np.array([np.vstack(point.state.params[0]) for point in run.points]).view(np.int64)
        moved = (weights[1:] != weights[:-1]).any(axis=1)
        died = int(dead[-1].sum())
        if died:
            yield from self._death(run, largest, dead)
        yield Check(
            f"At the rate {self.large_rate:g}, {died} of {self.width} units die: most of them", 2 * died > self.width
        )
        yield Check(
            "The largest gradient of a dead unit's weights and bias, over all steps after its death, is exactly 0",
            float(np.abs(np.where(dead[:, None], grads, 0)).max()),
            0.0,
        )
        yield Check(
            "No number of a dead unit's weights and bias changes in any step after its death, to the last bit",
            int((moved & dead[:-1]).sum()),
            0,
        )
        yield Check("No unit comes back (number of units and steps)", int((dead & (largest > 0)).sum()), 0)

    def _death(self, run: RecordedTraining, largest: np.ndarray, dead: np.ndarray) -> Iterator[Block]:
        """The steps around the death of the unit that dies first."""
        first = dead.argmax(axis=0) + len(dead) * ~dead[-1]
        unit = int(first.argmin())
        around = range(max(0, first[unit] - 2), min(len(dead), first[unit] + 2))
        yield Table(
            f"Unit {unit} at the rate {self.large_rate:g}, around the step that kills it",
            ["step", "largest z of all rows", "|dL/dw|", "|Δw|"],
            [
                [
                    step + 1,
                    float(largest[step, unit]),
                    float(np.linalg.norm(run.traces[step].grads[0].W[:, unit])),
                    float(np.linalg.norm(run.traces[step].updates[0].W[:, unit])),
                ]
                for step in around
            ],
        )

    def _biased(self, relu: np.ndarray, leaky: np.ndarray, right: dict[str, float]) -> Iterator[Block]:
        """Claims about units that are silent from the start."""
        dead, asleep = relu <= 0, leaky <= 0
        yield Check(
            f"With a bias of {self.bias:g} every ReLU unit is dead before the first step, and after the last",
            np.array([dead[0].sum(), dead[-1].sum()]),
            np.array([self.width, self.width]),
        )
        told = right["ReLU, negative bias"]
        yield Check(f"That network guesses: it tells {told:.0%} right, below {_GUESSING:.0%}", told < _GUESSING)
        back = int((asleep[0] & ~asleep[-1]).sum())
        yield Check(
            f"Leaky ReLU starts with as many silent units ({int(asleep[0].sum())}), and {back} of them come back",
            bool((asleep[0] == dead[0]).all()) and back > 0,
        )
        told = right["leaky ReLU, negative bias"]
        yield Check(f"And it learns: it tells {told:.0%} right, at least {_LEARNT:.0%}", told >= _LEARNT)
