"""The perceptron: it learns AND update by update, and XOR makes it repeat the same weights without end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from ...core.arrays import Array
from ...core.progress import ProgressMessage
from ...engine.step import Batch
from ...models.linear_theory import separable
from ...models.linear_units import Perceptron
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves, plane
from ...pages.numbers import count_noun, inline, number
from ...parts.layers import Affine, Dense
from ...parts.part import Count, ForwardContext, Number, Positive
from ...spec.spec import Spec
from ..affine import affine_at
from ..lesson import Lesson
from ..step_by_step import TrainingStep, load_rows, single_row_batches, training_steps

_SHOWN = 24
_COLUMNS = ("epoch", "x₁", "x₂", "z", "y", "t", "t - y", "w₁", "w₂", "b")


@dataclass(frozen=True)
class PerceptronLesson(Lesson, kind="perceptron"):
    """Rosenblatt's rule on AND and on XOR, one sample at a time in the order (0, 0), (0, 1), (1, 0), (1, 1).

    Source: Rosenblatt 1958; Minsky and Papert 1969; Novikoff 1962.

    Attributes:
        w: The weights of a line that is given, not learned.
        b: The bias of that line.
        gate: What is learned before XOR.
        learning_rate: The learning rate η.
        epochs: The largest number of epochs.

    >>> step = PerceptronLesson().steps("and")[-1]
    >>> step.after.params[0].W.tolist(), step.after.params[0].b.tolist()
    ([[2.0], [1.0]], [-2.0])
    """

    title = "The perceptron: AND, and why XOR defeats it"
    subject = "A unit that learns only from its mistakes; it stops only if a line separates the classes."
    chapter = "One unit"
    place = 1

    w: tuple[Number, Number] = (1.0, 1.0)
    b: Number = -1.5
    gate: Literal["and", "or"] = "and"
    learning_rate: Positive = 1.0
    epochs: Count = 30

    @property
    def unit(self) -> Perceptron:
        """The perceptron, which starts from zero weights."""
        return Perceptron(self.learning_rate)

    def steps(self, gate: str) -> list[TrainingStep]:
        """The steps on the four rows until an epoch has no mistake, for at most `epochs` epochs."""
        unit = self.unit
        steps: list[TrainingStep] = []
        batches = single_row_batches(load_rows(gate)) * self.epochs
        for step in training_steps(unit.network(2), unit.loss, unit.optimizer, batches):
            steps.append(step)
            if len(steps) % 4 == 0 and not any(map(_wrong, steps[-4:])):
                break
        return steps

    @property
    def playground(self) -> Spec:
        return Spec.of({"data": self.gate, "network": self.unit, "training": {"epochs": self.epochs}})

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "A perceptron answers yes if its net input is above 0. It takes one sample after the other. If its answer "
            "is wrong, it moves its weights towards the sample or away from it. On AND this process stops; on XOR it "
            "cannot."
        )
        yield Formula("z = x w + b;   y = 1 where z > 0, else 0\nw ← w + η (t - y) x;   b ← b + η (t - y)")
        steps = self.steps(self.gate)
        xor = self.steps("xor")
        yield from self._given()
        yield from self._learned(steps)
        yield from self._xor(xor)
        mistakes = {self.gate.upper(): _mistakes(steps), "XOR": _mistakes(xor)}
        yield Chart(
            curves(np.arange(1, self.epochs + 1), mistakes, "Mistakes by epoch", "epoch", "mistakes of four"),
            f"On {self.gate.upper()} the mistakes stop, on XOR they repeat without end.",
        )
        yield Suggestion("OR is separable too", "thalweg lesson perceptron --set gate=or --set b=-0.5")
        yield Suggestion(
            "a learning rate that scales all weights and changes no answer",
            "thalweg lesson perceptron --set learning_rate=0.25",
        )
        yield Suggestion("a line that does not separate the classes", "thalweg lesson perceptron --set b=-0.5")

    def _given(self) -> Iterator[Block]:
        yield Heading("A line that separates the classes")
        samples = load_rows(self.gate)
        z = _net_inputs(self._given_weights, samples.x)
        y = (z > self.unit.loss.threshold).astype(int)
        rows = zip(samples.x.tolist(), z.tolist(), y.tolist(), samples.y.tolist(), strict=True)
        yield Table(
            f"w = {inline(self.w)}, b = {number(self.b)}",
            ("x₁", "x₂", "z", "y", "t"),
            [(*x, *values) for x, *values in rows],
        )
        yield Check(f"These weights classify all four rows of {self.gate.upper()} correctly", y, samples.y)

    @property
    def _given_weights(self) -> Affine:
        return Affine(np.array(self.w)[:, None], np.array([self.b]))

    def _learned(self, steps: list[TrainingStep]) -> Iterator[Block]:
        yield Heading("Learned from zero")
        mistakes = _mistakes(steps)
        name = self.gate.upper()
        samples = load_rows(self.gate)
        yield Table(
            f"{name} from w = (0, 0), b = 0 with η = {number(self.learning_rate)}: each sample, and the weights after "
            "it",
            _COLUMNS,
            [_row(index, step) for index, step in enumerate(steps[:_SHOWN])],
        )
        learned = affine_at(steps[-1].after.params)
        yield Text(
            f"{count_noun(sum(mistakes), 'mistake')} in {count_noun(len(mistakes), 'epoch')}, {mistakes[-1]} of them "
            "in the last. Weights that make no mistake no longer change. The final weights are "
            f"w = {inline(learned.W[:, 0])} and b = {number(learned.b[0])}."
        )
        yield Check("The last epoch has no mistake", mistakes[-1], 0)
        yield from self._bound(samples, sum(mistakes))
        lines = {"learned": learned, "given": self._given_weights}
        yield Chart(
            _plane(samples, learned, lines, f"{name}: the learned and the given line"),
            "The rule stops at the first line without a mistake. This line may pass through a point: at z = 0 the "
            "answer is no.",
        )

    def _bound(self, samples: Batch, mistakes: int) -> Iterator[Block]:
        """Novikoff's bound, if the given line separates the classes."""
        margin = _margin(self._given_weights, samples)
        if margin <= 0:
            return
        longest = float(np.sqrt(1 + np.square(samples.x).sum(axis=1)).max())
        yield Text(
            "Novikoff's theorem bounds the number of mistakes in advance. With a 1 appended for the bias, the longest "
            f"sample has the length R = {number(longest)}, and all samples are at least γ = {number(margin)} away from "
            f"the given line. Then the rule makes at most (R/γ)² = {number((longest / margin) ** 2)} mistakes from "
            "zero, in whatever order the samples come."
        )
        yield Check("There are at most (R/γ)² mistakes", mistakes <= (longest / margin) ** 2)

    def _xor(self, steps: list[TrainingStep]) -> Iterator[Block]:
        yield Heading("XOR")
        samples = load_rows("xor")
        mistakes = _mistakes(steps)
        middle = [samples.x[samples.y == label].mean(axis=0) for label in (0, 1)]
        yield Text(
            "(0, 0) and (1, 1) belong to class 0, (0, 1) and (1, 0) to class 1. Both pairs have the same middle, "
            f"{inline(middle[0])}. If both points of a pair are on one side of a line, their middle is on that side "
            "too. The middle would have to be on both sides, so there is no such line."
        )
        yield Check("The middles of the two classes are the same point", middle[0], middle[1], 1e-12)
        yield Check(
            "No line separates XOR, according to the linear program that searches for one",
            separable(samples.x, samples.y) is False,
        )
        yield Check(f"None of {count_noun(len(mistakes), 'epoch')} is without a mistake", min(mistakes) > 0)
        yield from self._cycle(steps)
        right = [
            int(((_net_inputs(affine_at(step.after.params), samples.x) > 0) == (samples.y == 1)).sum())
            for step in steps
        ]
        yield Check("No weights on the way classify more than three of four points correctly", max(right) <= 3)
        lines = {f"after step {index}": affine_at(step.after.params) for index, step in list(enumerate(steps, 1))[-4:]}
        yield Chart(
            _plane(samples, affine_at(steps[-1].after.params), lines, "XOR: the lines of the last four steps"),
            "With every line at least one point is on the wrong side. A line that does not cross the picture is left "
            "out.",
        )

    def _cycle(self, steps: list[TrainingStep]) -> Iterator[Block]:
        """The weights that come back, and the steps between."""
        cycle = _first_cycle(steps, self.learning_rate)
        yield Check("The weights return to earlier values", bool(cycle))
        if not cycle:
            return
        first, again = cycle
        yield Text(
            f"Before epoch {again + 1} the weights are the same as before epoch {first + 1}. From there on everything "
            f"repeats, with a period of {count_noun(again - first, 'epoch')}: the rule never stops, and more epochs do "
            "not help."
        )
        indices = range(4 * first, min(4 * again, 4 * first + _SHOWN))
        yield Table("One period of the cycle", _COLUMNS, [_row(index, steps[index]) for index in indices])


def _wrong(step: TrainingStep) -> bool:
    return bool(np.any(step.trace.deltas[-1] != 0))


def _mistakes(steps: list[TrainingStep]) -> list[int]:
    """The number of mistakes in each epoch."""
    return [sum(map(_wrong, steps[start : start + 4])) for start in range(0, len(steps), 4)]


def _row(index: int, step: TrainingStep) -> tuple[float, ...]:
    """A row of the table of steps. delta is y - t, so that y = t + delta."""
    (x,) = step.trace.batch.x.tolist()
    (target,) = step.trace.batch.y.tolist()
    delta = int(step.trace.deltas[-1].item())
    z = step.trace.outputs[-1].item()
    weights = affine_at(step.after.params)
    return index // 4 + 1, *x, z, target + delta, target, -delta, *weights.W[:, 0].tolist(), weights.b.item()


def _net_inputs(weights: Affine, x: Array) -> Array:
    """The net inputs (n,)."""
    return Dense(1).forward(weights, (), x, ForwardContext(training=False))[0][:, 0]


def _margin(weights: Affine, samples: Batch) -> float:
    """The distance of the nearest sample, with a 1 appended, from the line; negative if one is on the wrong side."""
    signs = np.where(samples.y == 1, 1, -1)
    return float((signs * _net_inputs(weights, samples.x)).min() / np.hypot(np.linalg.norm(weights.W), weights.b[0]))


def _first_cycle(steps: list[TrainingStep], rate: float) -> tuple[int, int] | None:
    """The first two epochs that start from the same weights."""
    epochs: dict[tuple[float, ...], int] = {}
    for epoch, step in enumerate(steps[::4]):
        weights = affine_at(step.before.params)
        # From zero the weights are whole multiples of the rate.
        multiples = tuple(float(value) for value in np.round(np.append(weights.W, weights.b) / rate))
        if multiples in epochs:
            return epochs[multiples], epoch
        epochs[multiples] = epoch
    return None


def _plane(samples: Batch, weights: Affine, lines: dict[str, Affine], title: str) -> go.Figure:
    axis = np.linspace(-0.5, 1.5, 81)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    values = _net_inputs(weights, grid.reshape(-1, 2)).reshape(grid.shape[:2])
    drawn = [(name, line.W[:, 0], line.b.item()) for name, line in lines.items()]
    return plane(axis, axis, values, samples.x, samples.y, ("class 0", "class 1"), title, lines=drawn, levels=[0.0])
