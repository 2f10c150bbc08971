"""ADALINE: one step by hand, batch against online, and the rate at which it runs away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ...core.noise import generator
from ...core.progress import ProgressMessage
from ...engine.step import Batch
from ...models.linear_theory import safe_online_rate, safe_rate
from ...models.linear_units import Adaline
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves
from ...parts.layers import Affine
from ...parts.part import Count, ForwardContext, Number, Positive
from .lesson import Lesson
from .walk import batch_of, one_by_one, rows_of, walk


@dataclass(frozen=True)
class AdalineStep(Lesson, kind="adaline"):
    """The rule of Widrow and Hoff: a step on one sample by hand, then four samples one by one and all at once.

    Source: Widrow and Hoff 1960; Widrow and Stearns 1985, chapter 6.

    >>> lesson = AdalineStep()
    >>> step = next(walk(lesson.unit.network(2), lesson.unit.loss, lesson.unit.optimizer, [lesson.sample]))
    >>> step.after.params[0].W.tolist(), step.after.params[0].b.tolist()
    ([[0.1], [0.1]], [0.1])
    """

    title = "ADALINE: the rule of least mean squares"
    subject = (
        "One step by hand; batch against online on the four rows of a gate; which rate is safe, and what lies above."
    )

    x: tuple[Number, Number] = (1.0, 1.0)
    target: Literal[0, 1] = 1
    learning_rate: Positive = 0.1
    gate: Literal["and", "or", "xor"] = "and"
    epochs: Count = 400
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def unit(self) -> Adaline:
        """The unit that learns from zero."""
        return Adaline(self.learning_rate)

    @property
    def sample(self) -> Batch:
        """The sample of the step by hand."""
        return batch_of(np.array([self.x]), np.array([self.target]))

    @property
    def rows(self) -> Batch:
        """The four rows of the gate."""
        return rows_of(self.gate)

    def way(self, rate: float, online: bool = False) -> list[Affine]:
        """The weights before the first epoch and after each: one step on all rows, or one step on each in turn."""
        unit, rows, steps = Adaline(rate), self.rows, 4 if online else 1
        batches = self._one_by_one() if online else repeat(rows)
        found = walk(unit.network(2), unit.loss, unit.optimizer, batches)
        return [step.before.params[0] for step in islice(found, 0, steps * self.epochs + 1, steps)]

    def _one_by_one(self) -> Iterator[Batch]:
        rows = one_by_one(self.rows)
        for epoch in range(self.epochs + 1):
            yield from (rows[row] for row in generator(self.seed, "order", epoch).permutation(4))

    def losses(self, way: list[Affine]) -> np.ndarray:
        """The loss over all rows for each of the weights."""
        rows, (dense,), loss = self.rows, self.unit.network(2).layers, self.unit.loss
        with np.errstate(all="ignore"):
            z = (dense.forward(weights, (), rows.x, ForwardContext(training=False))[0] for weights in way)
            return np.array([loss(outputs, rows.y[:, None], rows.weight)[0] for outputs in z])

    def tell(self) -> Iterator[Block | ProgressMessage]:
        """The page."""
        yield Text(
            "ADALINE learns from the net input itself, not from the answer yes or no. So every sample moves the "
            "weights, a wrong one and a right one, by as much as its net input misses the target."
        )
        yield Formula("z = x w + b;   L = ½ (t - z)²\nw ← w + η (t - z) x;   b ← b + η (t - z)")
        yield from self._by_hand()
        yield from self._compared()
        yield from self._rates()
        yield Suggestion(
            "a rate too large: the weights run away", "thalweg lesson adaline --set learning_rate=1.3 --set epochs=50"
        )
        yield Suggestion("XOR: the best line answers ½ to everything", "thalweg lesson adaline --set gate=xor")
        yield Suggestion(
            "another sample for the step by hand", "thalweg lesson adaline --set 'x=[2, -1]' --set target=0"
        )

    def _by_hand(self) -> Iterator[Block]:
        yield Heading("One step by hand")
        unit = self.unit
        first, second = islice(walk(unit.network(2), unit.loss, unit.optimizer, repeat(self.sample)), 2)
        before, after = first.before.params[0], first.after.params[0]
        z, error = first.trace.outputs[-1], -first.trace.deltas[-1]
        updates = first.trace.updates[0]
        yield Table(
            f"x = ({self.x[0]:g}, {self.x[1]:g}), t = {self.target}, η = {self.learning_rate:g}",
            ("quantity", "formula", "value"),
            [
                ("weights before", "w", _row(before.W)),
                ("bias before", "b", _row(before.b)),
                ("net input", "z = x w + b", _row(z)),
                ("error", "t - z", _row(error)),
                ("change of the weights", "η (t - z) x", _row(updates.W)),
                ("change of the bias", "η (t - z)", _row(updates.b)),
                ("weights after", "w", _row(after.W)),
                ("bias after", "b", _row(after.b)),
                ("net input after", "z", _row(second.trace.outputs[-1])),
            ],
        )
        yield Check("After the step w = (0.1, 0.1)", after.W[:, 0], [0.1, 0.1], 1e-12)
        yield Check("After the step b = 0.1", after.b.item(), 0.1, 1e-12)
        left = -second.trace.deltas[-1].item()
        factor = 1 - self.learning_rate * (1 + float(np.square(self.x).sum()))
        yield Check(
            "The error of this sample is now 1 - η (|x|² + 1) times what it was", left, factor * error.item(), 1e-12
        )

    def _compared(self) -> Iterator[Block]:
        yield Heading("Batch against online")
        batch, online = self.way(self.learning_rate), self.way(self.learning_rate, online=True)
        by_batch, by_sample = self.losses(batch), self.losses(online)
        unit = self.unit
        yield Text(
            f"Now the four rows of {self.gate.upper()}. By batch an epoch is one step, the mean of the four changes; "
            "online it is four steps, each by the change for one sample, in an order that is drawn anew each time."
        )
        shown = sorted({0, 1, 2, 5, 10, 20, 50, 100, 200, self.epochs} & set(range(self.epochs + 1)))
        yield Table(
            f"The loss over all four rows, η = {self.learning_rate:g}",
            ("epochs", "batch", "online"),
            [(epoch, float(by_batch[epoch]), float(by_sample[epoch])) for epoch in shown],
        )
        firsts = [next(walk(unit.network(2), unit.loss, unit.optimizer, [row])) for row in one_by_one(self.rows)]
        mean = np.mean([step.trace.updates[0].W for step in firsts], axis=0)
        yield Check("The first step by batch is the mean of the changes for each sample", batch[1].W, mean, 1e-12)
        yield Check(
            "After the first epoch online is lower: four steps instead of one", bool(by_sample[1] < by_batch[1])
        )
        yield Check("By batch the loss never rises", bool(np.all(np.diff(by_batch) <= 1e-12)))
        yield Check("Online it does, now and then", bool(np.any(np.diff(by_sample) > 1e-6)))
        yield Check("In the end batch is lower", bool(by_batch[-1] < by_sample[-1]))
        late, slower = self.epochs // 2, self.losses(self.way(self.learning_rate / 2, online=True))
        end, excess = batch[-1], [float(loss[late:].mean() - by_batch.min()) for loss in (by_sample, slower)]
        yield Text(
            f"After {self.epochs} epochs by batch w = ({end.W[0, 0]:.4g}, {end.W[1, 0]:.4g}) and b = {end.b[0]:.4g}, "
            f"with a loss of {by_batch[-1]:.4g}. It can not be 0, for no line takes these four targets as its values. "
            "Online each sample pulls the weights its own way for ever: over the second half of the epochs the loss is "
            f"on average {excess[0]:.2g} above the least by batch, and at half of the rate {excess[1]:.2g}."
        )
        yield Check("Online a smaller rate stays closer to the least squares", excess[1] < excess[0])
        least = [0.5, 0.5, -0.25]
        yield Check("The least squares of AND are w = (½, ½), b = -¼", np.append(end.W, end.b), least, 1e-3)
        series = {"batch": by_batch, "online": by_sample}
        yield Chart(
            curves(np.arange(self.epochs + 1), series, "Loss over all four rows", "epoch", "loss"),
            "Online falls faster and does not come to rest; batch goes down to the least squares and stays.",
        )

    def _rates(self) -> Iterator[Block]:
        yield Heading("The rate that is safe")
        x = self.rows.x
        safe, single = safe_rate(x), safe_online_rate(x)
        scaled = (x - x.mean(axis=0)) / x.std(axis=0)
        yield Formula("R = mean of x xᵀ, each x with the bias's 1\nη < 2 / λ by batch, λ the largest eigenvalue of R")
        yield Text(
            f"Here λ = {2 / safe:.4g}, and by batch rates below {safe:.4g} are safe. Online no single step overshoots "
            f"below 2 / |x|² = {single:.4g}, x the longest sample with its 1. Standardised inputs, ADALINE's custom, "
            f"move the limit by batch to {safe_rate(scaled):.4g}."
        )
        shares = (0.5, 0.9, 1.1, 1.2)
        found = {share: self.losses(self.way(share * safe)[:21]) for share in shares}
        yield Table(
            "By batch from zero",
            ("rate", "rate / safe", "loss at first", "loss after 10 epochs", f"after {len(found[0.5]) - 1}"),
            [
                (share * safe, share, *(float(loss[at]) for at in (0, min(10, self.epochs), -1)))
                for share, loss in found.items()
            ],
        )
        yield Check("At 0.9 of the safe rate the loss falls", bool(found[0.9][-1] < found[0.9][0]))
        yield Check("At 1.1 of it the loss has grown", bool(found[1.1][-1] > found[1.1][0]))
        series = {f"η = {share * safe:.3g}": loss for share, loss in found.items()}
        yield Chart(
            curves(np.arange(len(found[0.5])), series, "Loss by batch at four rates", "epoch", "loss", log=True),
            "Below the safe rate the loss falls; above it, it grows by the same factor in every epoch.",
        )


def _row(values: np.ndarray) -> str:
    return (
        "(" + ", ".join(f"{value:.6g}" for value in values.ravel()) + ")" if values.size > 1 else f"{values.item():.6g}"
    )
