"""Dead ReLUs: how a large rate or a negative bias kills units, why they stay dead, and how a leaky ReLU differs."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from ...core.arrays import Array
from ...core.progress import ProgressMessage
from ...data import Dataset, Source
from ...pages.blocks import Block, Chart, Check, Formula, Suggestion, Table, Text
from ...pages.figures import curves
from ...pages.numbers import Share, number, percent
from ...parts.layers import LeakyReLU, ReLU
from ...parts.part import Count, ForwardContext, Layer, Number, Positive
from ...spec.spec import Spec
from ..affine import affine_at
from ..lesson import Lesson
from ..recorded_training import RecordedTraining, classification_rows, record_training

_GUESSING = 0.2
_LEARNED = 0.6

_USUAL = "ReLU"
_LARGE_RATE = "ReLU, large rate"
_NEGATIVE_BIAS = "ReLU, negative bias"
_LEAKY = "leaky ReLU, negative bias"


class ReluSetting(NamedTuple):
    """How one of the networks is trained."""

    activation: Layer
    rate: float
    bias: float


@dataclass(frozen=True)
class DeadReLULesson(Lesson, kind="dead-relu"):
    """One hidden layer of ReLU units: a usual training, one with too large a rate, one from a negative bias; and leaky.

    A unit is inactive if its z is at most 0 for every training row. An inactive ReLU unit of the first hidden layer is
    dead: its slope is 0 for every row, so that no gradient changes its weights and no later step activates it.

    Source: Maas, Hannun, Ng 2013, section 2; Goodfellow, Bengio, Courville 2016, section 6.3.1.

    Attributes:
        learning_rate: The learning rate of a usual training.
        large_rate: The learning rate that kills units.
        bias: The negative bias.
        alpha: The slope of the leaky ReLU for z < 0.
        width: The number of hidden units.
        epochs: The number of epochs.
        seed: Decides the weights and the order of the rows.
        data: The rows of classes.

    >>> lesson = DeadReLULesson(epochs=1)
    >>> run = lesson.training(ReLU(), rate=0.5, bias=-3.0)
    >>> bool((lesson.largest_inputs(run) < 0).all()), float(abs(run.traces[-1].grads[0].W).max())
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
    subject = "How a large rate or a negative bias kills units permanently, and what leaky ReLU changes."
    chapter = "The flow of delta"
    place = 3
    quick: ClassVar[Mapping[str, object]] = {"epochs": 6}

    @property
    def settings(self) -> dict[str, ReluSetting]:
        """The networks that are compared, by their names."""
        return {
            _USUAL: ReluSetting(ReLU(), self.learning_rate, 0.0),
            _LARGE_RATE: ReluSetting(ReLU(), self.large_rate, 0.0),
            _NEGATIVE_BIAS: ReluSetting(ReLU(), self.learning_rate, self.bias),
            _LEAKY: ReluSetting(LeakyReLU(self.alpha), self.learning_rate, self.bias),
        }

    @property
    def playground(self) -> Spec:
        return Spec.of(self.table(*self.settings[_LARGE_RATE]))

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "ReLU passes delta where z > 0, and nothing elsewhere. A unit with z ≤ 0 for every training row gets no"
            " gradient from any of them: it is dead, and gradient descent cannot revive it."
        )
        yield Formula(
            "y = max(z, 0),  y' = 1 where z > 0, else 0\n"
            "dL/dw = Σ x · dL/dy · y'(z) over the rows, which is 0 where z ≤ 0 for every row"
        )
        runs = yield from self._train_all()
        largest = {name: self.largest_inputs(run) for name, run in runs.items()}
        accuracy = {name: run.score("accuracy") for name, run in runs.items()}
        inactive = {name: values <= 0 for name, values in largest.items()}
        yield Table(
            f"{self.width} hidden units, the same initial weights, {self.epochs} epochs of gradient descent",
            ["units", "rate", "bias", "inactive at first", "inactive at last", "test accuracy"],
            [
                [name, rate, bias, int(inactive[name][0].sum()), int(inactive[name][-1].sum()), Share(accuracy[name])]
                for name, (_, rate, bias) in self.settings.items()
            ],
        )
        yield Chart(
            curves(
                runs[_USUAL].steps,
                {name: values.mean(axis=1) for name, values in inactive.items()},
                "Units that are inactive on every training row",
                "step",
                "fraction of the hidden units",
            ),
            "A curve of ReLU never falls, because dead units stay dead. The curve of leaky ReLU can fall: units come"
            " back.",
        )
        yield from self._killed_units(runs[_LARGE_RATE], largest[_LARGE_RATE])
        yield from self._biased_units(inactive[_NEGATIVE_BIAS], inactive[_LEAKY], accuracy)
        yield Suggestion("a rate that kills no unit", "thalweg lesson dead-relu --set large_rate=0.1")
        yield Suggestion("a bias from which some units survive", "thalweg lesson dead-relu --set bias=-1")
        yield Suggestion(
            "a smaller slope revives the units more slowly",
            "thalweg lesson dead-relu --set alpha=0.01 --set epochs=40",
        )

    def _train_all(self) -> Generator[ProgressMessage, None, dict[str, RecordedTraining]]:
        runs: dict[str, RecordedTraining] = {}
        for index, (name, setting) in enumerate(self.settings.items()):
            yield ProgressMessage(f"training: {name}", index / len(self.settings))
            runs[name] = self.training(*setting)
        return runs

    def training(self, activation: Layer, rate: float, bias: float) -> RecordedTraining:
        """A training, recorded at every step."""
        return record_training(self.table(activation, rate, bias), None)

    def table(self, activation: Layer, rate: float, bias: float) -> dict[str, object]:
        """The spec of a training in NumPy and float64, so that the traces hold its exact numbers."""
        hidden = {"kind": "dense", "width": self.width, "bias_init": {"kind": "constant", "value": bias}}
        classes = classification_rows(self.data, self.seed).outputs
        return {
            "data": {"source": self.data, "validation": 0.0},
            "network": {"layers": [hidden, activation, f"dense {classes}", "softmax"]},
            "optimizer": {"kind": "sgd", "learning_rate": rate},
            "training": {"epochs": self.epochs, "seed": self.seed, "engine": "eager"},
        }

    def largest_inputs(self, run: RecordedTraining) -> Array:
        """The largest z of each hidden unit over all training rows, before each step: (steps, units)."""
        rows = run.split.train
        hidden = run.network.layers[0]
        assert isinstance(rows, Dataset)
        x = rows.x.astype(float)
        context = ForwardContext(training=True)
        states = (point.state for point in run.points)
        net_inputs = (hidden.forward(state.params[0], state.layers[0], x, context)[0] for state in states)
        return np.array([z.max(axis=0) for z in net_inputs])

    def _killed_units(self, run: RecordedTraining, largest: Array) -> Iterator[Block]:
        """The units that die during a training."""
        dead = np.maximum.accumulate(largest <= 0, axis=0)
        grads = np.array([np.vstack(affine_at(trace.grads)) for trace in run.traces])
        bits = np.array([np.vstack(affine_at(point.state.params)) for point in run.points]).view(np.int64)
        changed = (bits[1:] != bits[:-1]).any(axis=1)
        died = int(dead[-1].sum())
        if died:
            yield self._first_death(run, largest, dead)
        yield Check(
            f"With the rate {number(self.large_rate)}, {died} of {self.width} units die: most of them",
            2 * died > self.width,
        )
        yield Check(
            "The largest gradient of a dead unit's weights and bias, over all steps after its death, is exactly 0",
            float(np.abs(np.where(dead[:, None], grads, 0)).max()),
            0.0,
        )
        yield Check(
            "No bit of a dead unit's weights and bias changes in any step after its death",
            int((changed & dead[:-1]).sum()),
            0,
        )
        yield Check("No unit comes back (number of units and steps)", int((dead & (largest > 0)).sum()), 0)

    def _first_death(self, run: RecordedTraining, largest: Array, dead: Array) -> Table:
        """The steps around the death of the unit that dies first."""
        first = dead.argmax(axis=0) + len(dead) * ~dead[-1]
        unit = int(first.argmin())
        around = range(max(0, first[unit] - 2), min(len(dead), first[unit] + 2))
        return Table(
            f"Unit {unit} with the rate {number(self.large_rate)}, around the step that kills it",
            ["step", "largest z of all rows", "|dL/dw|", "|Δw|"],
            [
                [
                    step + 1,
                    float(largest[step, unit]),
                    float(np.linalg.norm(affine_at(run.traces[step].grads).W[:, unit])),
                    float(np.linalg.norm(affine_at(run.traces[step].updates).W[:, unit])),
                ]
                for step in around
            ],
        )

    def _biased_units(self, dead: Array, inactive: Array, accuracy: Mapping[str, float]) -> Iterator[Check]:
        """The units that are inactive from the start: ReLU (dead) and leaky ReLU (inactive), by step and unit."""
        yield Check(
            f"With a bias of {number(self.bias)} every ReLU unit is dead before the first step, and after the last",
            np.array([dead[0].sum(), dead[-1].sum()]),
            np.array([self.width, self.width]),
        )
        guessed = accuracy[_NEGATIVE_BIAS]
        yield Check(
            f"That network guesses: accuracy {percent(guessed, 2)}, below {percent(_GUESSING)}", guessed < _GUESSING
        )
        revived = int((inactive[0] & ~inactive[-1]).sum())
        yield Check(
            f"Leaky ReLU starts with as many inactive units ({int(inactive[0].sum())}), and {revived} of these return",
            bool((inactive[0] == dead[0]).all()) and revived > 0,
        )
        learned = accuracy[_LEAKY]
        yield Check(
            f"The leaky network learns: accuracy {percent(learned, 2)}, at least {percent(_LEARNED)}",
            learned >= _LEARNED,
        )
