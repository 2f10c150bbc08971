"""The perceptron: it learns AND update by update, and XOR sends it round and round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from ...core.progress import ProgressMessage
from ...engine.step import Batch
from ...models.linear_theory import separable
from ...models.linear_units import Perceptron
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves, plane
from ...parts.layers import Affine, Dense
from ...parts.part import Count, ForwardContext, Number, Positive
from .lesson import Lesson
from .walk import Step, one_by_one, rows_of, walk

_SHOWN = 24
_COLUMNS = ("epoch", "x₁", "x₂", "z", "y", "t", "t - y", "w₁", "w₂", "b")


@dataclass(frozen=True)
class AndPerceptron(Lesson, kind="perceptron"):
    """Rosenblatt's rule on AND and on XOR, sample by sample in the order (0, 0), (0, 1), (1, 0), (1, 1).

    Source: Rosenblatt 1958; Minsky and Papert 1969; Novikoff 1962.

    >>> step = AndPerceptron().steps("and")[-1]
    >>> step.after.params[0].W.tolist(), step.after.params[0].b.tolist()
    ([[2.0], [1.0]], [-2.0])
    """

    title = "The perceptron: AND, and why XOR defeats it"
    subject = "A unit that learns from mistakes alone: it ends when there are none, and never when no line will do."

    w: tuple[Number, Number] = (1.0, 1.0)
    b: Number = -1.5
    gate: Literal["and", "or"] = "and"
    learning_rate: Positive = 1.0
    epochs: Count = 30

    @property
    def unit(self) -> Perceptron:
        """The perceptron that learns from zero."""
        return Perceptron(self.learning_rate)

    def steps(self, gate: str) -> list[Step]:
        """The steps on the four rows until an epoch has no mistake, for `epochs` epochs at most."""
        unit, taken = self.unit, list[Step]()
        for step in walk(unit.network(2), unit.loss, unit.optimizer, one_by_one(rows_of(gate)) * self.epochs):
            taken.append(step)
            if len(taken) % 4 == 0 and not any(map(_wrong, taken[-4:])):
                break
        return taken

    def tell(self) -> Iterator[Block | ProgressMessage]:
        """The page."""
        yield Text(
            "A perceptron says yes where its net input is above 0. It looks at one sample after the other and changes "
            "its weights where it is wrong, towards the sample or away from it. On AND this comes to an end; on XOR it "
            "can not."
        )
        yield Formula("z = x w + b;   y = 1 where z > 0, else 0\nw ← w + η (t - y) x;   b ← b + η (t - y)")
        steps, xor = self.steps(self.gate), self.steps("xor")
        yield from self._written()
        yield from self._learned(steps)
        yield from self._xor(xor)
        series = {self.gate.upper(): _mistakes(steps), "XOR": _mistakes(xor)}
        yield Chart(
            curves(np.arange(1, self.epochs + 1), series, "Mistakes by epoch", "epoch", "mistakes of four"),
            f"On {self.gate.upper()} the mistakes come to an end, on XOR they repeat for ever.",
        )
        yield Suggestion("OR is separable too", "thalweg lesson perceptron --set gate=or --set b=-0.5")
        yield Suggestion(
            "a rate that scales all weights and changes no answer", "thalweg lesson perceptron --set learning_rate=0.25"
        )
        yield Suggestion("a line that does not do it", "thalweg lesson perceptron --set b=-0.5")

    def _written(self) -> Iterator[Block]:
        yield Heading("A line that does it")
        samples = rows_of(self.gate)
        z = _net(self._weights, samples.x)
        y = (z > self.unit.loss.threshold).astype(int)
        yield Table(
            f"w = ({self.w[0]:g}, {self.w[1]:g}), b = {self.b:g}",
            ("x₁", "x₂", "z", "y", "t"),
            [
                (*x, *rest)
                for x, *rest in zip(samples.x.tolist(), z.tolist(), y.tolist(), samples.y.tolist(), strict=True)
            ],
        )
        yield Check(f"These weights tell all four rows of {self.gate.upper()} right", y, samples.y)

    @property
    def _weights(self) -> Affine:
        return Affine(np.array(self.w)[:, None], np.array([self.b]))

    def _learned(self, steps: list[Step]) -> Iterator[Block]:
        yield Heading("Learned from zero")
        mistakes, name, samples = _mistakes(steps), self.gate.upper(), rows_of(self.gate)
        yield Table(
            f"{name} from w = (0, 0), b = 0 with η = {self.learning_rate:g}: each sample, and the weights after it",
            _COLUMNS,
            [_row(number, step) for number, step in enumerate(steps[:_SHOWN])],
        )
        learned = steps[-1].after.params[0]
        yield Text(
            f"{_counted(sum(mistakes), 'mistake')} in {_counted(len(mistakes), 'epoch')}, {mistakes[-1]} of them in "
            "the last. Weights that make no mistake do not change any more. In the end "
            f"w = ({learned.W[0, 0]:g}, {learned.W[1, 0]:g}) and b = {learned.b[0]:g}."
        )
        yield Check("The last epoch has no mistake", mistakes[-1], 0)
        margin = _margin(self._weights, samples)
        if margin > 0:
            longest = float(np.sqrt(1 + np.square(samples.x).sum(axis=1)).max())
            yield Text(
                "How long it can take is known beforehand (Novikoff). With the bias's 1 appended, the longest sample "
                f"has the length R = {longest:.4g}, and all are at least γ = {margin:.4g} away from the line above. "
                f"Then the rule makes at most (R/γ)² = {(longest / margin) ** 2:.4g} mistakes from zero, in whatever "
                "order it meets the samples."
            )
            yield Check("There are no more mistakes than (R/γ)²", sum(mistakes) <= (longest / margin) ** 2)
        yield Chart(
            _plane(
                samples,
                learned,
                {"learned": learned, "written": self._weights},
                f"{name}: learned and written",
            ),
            "The rule stops at the first line without a mistake. It may pass through a point: z = 0 is a no.",
        )

    def _xor(self, steps: list[Step]) -> Iterator[Block]:
        yield Heading("XOR")
        samples, mistakes = rows_of("xor"), _mistakes(steps)
        middle = [samples.x[samples.y == label].mean(axis=0) for label in (0, 1)]
        yield Text(
            "(0, 0) and (1, 1) belong to class 0, (0, 1) and (1, 0) to class 1. The middle of either pair is the same "
            f"point, ({middle[0][0]:g}, {middle[0][1]:g}). A line with both points of a pair on one side has their "
            "middle on that side too. So the middle would have to be on both sides: there is no such line."
        )
        yield Check("The middles of the two classes are one point", middle[0], middle[1], 1e-12)
        yield Check(
            "No line separates XOR, says the linear program that looks for one", separable(samples.x, samples.y), False
        )
        yield Check(f"In {_counted(len(mistakes), 'epoch')} none is without a mistake", min(mistakes) > 0)
        cycle = _cycle(steps, self.learning_rate)
        yield Check("The weights come back to what they were", bool(cycle))
        if cycle:
            first, again = cycle
            yield Text(
                f"Before epoch {again + 1} the weights are those from before epoch {first + 1}. From there on all "
                f"repeats itself, with a period of {_counted(again - first, 'epoch')}: the rule never comes to rest, "
                "and more epochs would not help."
            )
            turn = range(4 * first, min(4 * again, 4 * first + _SHOWN))
            yield Table("One turn of the cycle", _COLUMNS, [_row(number, steps[number]) for number in turn])
        right = [int(((_net(step.after.params[0], samples.x) > 0) == (samples.y == 1)).sum()) for step in steps]
        yield Check("No weights on the way tell more than three of four right", max(right) <= 3)
        lines = {f"after step {number}": step.after.params[0] for number, step in list(enumerate(steps, 1))[-4:]}
        yield Chart(
            _plane(samples, steps[-1].after.params[0], lines, "XOR: the lines of the last four steps"),
            "Whatever line the weights stand for, at least one point is on its wrong side. A line that does not cross "
            "the picture is left out.",
        )


def _wrong(step: Step) -> bool:
    return bool(np.any(step.trace.deltas[-1] != 0))


def _mistakes(steps: list[Step]) -> list[int]:
    """How many by epoch."""
    return [sum(map(_wrong, steps[start : start + 4])) for start in range(0, len(steps), 4)]


def _row(number: int, step: Step) -> tuple[float, ...]:
    """Of the table of steps. delta is y - t, so that y is the target and delta."""
    (x,), (target,), delta = step.trace.batch.x.tolist(), step.trace.batch.y.tolist(), int(step.trace.deltas[-1].item())
    z, weights = step.trace.outputs[-1].item(), step.after.params[0]
    return number // 4 + 1, *x, z, target + delta, target, -delta, *weights.W[:, 0].tolist(), weights.b.item()


def _net(weights: Affine, x: np.ndarray) -> np.ndarray:
    """The net inputs (n,)."""
    return Dense(1).forward(weights, (), x, ForwardContext(training=False))[0][:, 0]


def _margin(weights: Affine, samples: Batch) -> float:
    """How far from the line the nearest sample is, its 1 appended; below 0 where one is on the wrong side."""
    signs = np.where(samples.y == 1, 1, -1)
    return float((signs * _net(weights, samples.x)).min() / np.hypot(np.linalg.norm(weights.W), weights.b[0]))


def _cycle(steps: list[Step], rate: float) -> tuple[int, int] | None:
    """The first two epochs before which the weights are the same."""
    seen: dict[tuple[float, ...], int] = {}
    for epoch, step in enumerate(steps[::4]):
        weights = step.before.params[0]
        # From zero they are whole multiples of the rate.
        multiples = tuple(np.round(np.append(weights.W, weights.b) / rate).tolist())
        if multiples in seen:
            return seen[multiples], epoch
        seen[multiples] = epoch
    return None


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _plane(samples: Batch, weights: Affine, lines: dict[str, Affine], title: str) -> go.Figure:
    axis = np.linspace(-0.5, 1.5, 81)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    values = _net(weights, grid.reshape(-1, 2)).reshape(grid.shape[:2])
    drawn = [(name, line.W[:, 0], line.b.item()) for name, line in lines.items()]
    return plane(axis, axis, values, samples.x, samples.y, ("class 0", "class 1"), title, lines=drawn, levels=[0.0])
