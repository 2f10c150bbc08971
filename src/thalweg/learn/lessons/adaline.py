"""ADALINE: one step by hand, batch against online, and the learning rate at which it diverges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ...core.arrays import Array
from ...core.noise import generator
from ...core.progress import ProgressMessage
from ...engine.step import Batch
from ...models.linear_theory import safe_online_rate, safe_rate
from ...models.linear_units import Adaline
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves
from ...pages.numbers import inline, number
from ...parts.layers import Affine
from ...parts.part import Count, ForwardContext, Number, Positive
from ...spec.spec import Spec
from ..affine import affine_at
from ..lesson import Lesson
from ..step_by_step import TrainingStep, load_rows, single_row_batches, training_steps, unweighted_batch

_SHOWN_EPOCHS = (0, 1, 2, 5, 10, 20, 50, 100, 200)
_RATE_FACTORS = (0.5, 0.9, 1.1, 1.2)
_RATE_EPOCHS = 20


@dataclass(frozen=True)
class AdalineLesson(Lesson, kind="adaline"):
    """The rule of Widrow and Hoff: a step on one sample by hand, then four samples one by one and all at once.

    Source: Widrow and Hoff 1960; Widrow and Stearns 1985, chapter 6.

    Attributes:
        x: The sample of the step by hand.
        target: Its target.
        learning_rate: The learning rate η.
        gate: The four rows that are learned.
        epochs: The number of epochs.
        seed: Decides the order of the samples online.

    >>> lesson = AdalineLesson()
    >>> step = next(training_steps(lesson.unit.network(2), lesson.unit.loss, lesson.unit.optimizer, [lesson.sample]))
    >>> step.after.params[0].W.tolist(), step.after.params[0].b.tolist()
    ([[0.1], [0.1]], [0.1])
    """

    title = "ADALINE: the rule of least mean squares"
    subject = "One step by hand; batch against online on the four rows of a gate; which learning rates are safe."
    chapter = "One unit"
    place = 2

    x: tuple[Number, Number] = (1.0, 1.0)
    target: Literal[0, 1] = 1
    learning_rate: Positive = 0.1
    gate: Literal["and", "or", "xor"] = "and"
    epochs: Count = 400
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def unit(self) -> Adaline:
        """The unit, which starts from zero weights."""
        return Adaline(self.learning_rate)

    @property
    def sample(self) -> Batch:
        """The sample of the step by hand."""
        return unweighted_batch(np.array([self.x]), np.array([self.target]))

    @property
    def rows(self) -> Batch:
        """The four rows of the gate."""
        return load_rows(self.gate)

    def weights_by_epoch(self, rate: float, online: bool = False) -> list[Affine]:
        """The weights before the first epoch and after each.

        An epoch is one step on all rows, or with `online` one step on each row in random order.
        """
        unit = Adaline(rate)
        steps_per_epoch = 4 if online else 1
        batches = self._shuffled_rows() if online else repeat(self.rows)
        steps = training_steps(unit.network(2), unit.loss, unit.optimizer, batches)
        return [
            affine_at(step.before.params)
            for step in islice(steps, 0, steps_per_epoch * self.epochs + 1, steps_per_epoch)
        ]

    def _shuffled_rows(self) -> Iterator[Batch]:
        rows = single_row_batches(self.rows)
        for epoch in range(self.epochs + 1):
            yield from (rows[row] for row in generator(self.seed, "order", epoch).permutation(4))

    def losses(self, weights: list[Affine]) -> Array:
        """The loss over all rows for each of the weights."""
        rows = self.rows
        loss = self.unit.loss
        (dense,) = self.unit.network(2).layers
        with np.errstate(all="ignore"):
            z = (dense.forward(params, (), rows.x, ForwardContext(training=False))[0] for params in weights)
            return np.array([loss(outputs, rows.y[:, None], rows.weight)[0] for outputs in z])

    @property
    def playground(self) -> Spec:
        data = {"source": self.gate, "scale": "none"}
        return Spec.of({"data": data, "network": self.unit, "training": {"epochs": self.epochs, "seed": self.seed}})

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "ADALINE learns from the net input itself, not from the answer yes or no. So every sample moves the "
            "weights, also one that is answered correctly, in proportion to the distance of its net input from the "
            "target."
        )
        yield Formula("z = x w + b;   L = ½ (t - z)²\nw ← w + η (t - z) x;   b ← b + η (t - z)")
        yield from self._by_hand()
        yield from self._batch_and_online()
        yield from self._rates()
        yield Suggestion(
            "a learning rate that is too large: the weights diverge",
            "thalweg lesson adaline --set learning_rate=1.3 --set epochs=50",
        )
        yield Suggestion("XOR: the best line answers ½ to everything", "thalweg lesson adaline --set gate=xor")
        yield Suggestion(
            "another sample for the step by hand", "thalweg lesson adaline --set 'x=[2, -1]' --set target=0"
        )

    def _by_hand(self) -> Iterator[Block]:
        yield Heading("One step by hand")
        unit = self.unit
        first, second = islice(training_steps(unit.network(2), unit.loss, unit.optimizer, repeat(self.sample)), 2)
        yield _step_table(f"x = {inline(self.x)}, t = {self.target}, η = {number(self.learning_rate)}", first, second)
        after = affine_at(first.after.params)
        yield Check("After the step w = (0.1, 0.1)", after.W[:, 0], [0.1, 0.1], 1e-12)
        yield Check("After the step b = 0.1", after.b.item(), 0.1, 1e-12)

    def _batch_and_online(self) -> Iterator[Block]:
        yield Heading("Batch against online")
        weights = self.weights_by_epoch(self.learning_rate)
        batch = self.losses(weights)
        online = self.losses(self.weights_by_epoch(self.learning_rate, online=True))
        yield Text(
            f"Now the four rows of {self.gate.upper()}. With batch updates an epoch is one step, by the mean of the "
            "four changes. Online it is four steps, each by the change for one sample, in an order that is drawn anew "
            "for each epoch."
        )
        shown = sorted({*_SHOWN_EPOCHS, self.epochs} & set(range(self.epochs + 1)))
        yield Table(
            f"The loss over all four rows, η = {number(self.learning_rate)}",
            ("epochs", "batch", "online"),
            [(epoch, float(batch[epoch]), float(online[epoch])) for epoch in shown],
        )
        yield Check(
            "The first batch step is the mean of the changes for each sample",
            weights[1].W,
            self._mean_first_update(),
            1e-12,
        )
        yield Check(
            "After the first epoch the online loss is lower: four steps instead of one", bool(online[1] < batch[1])
        )
        yield Check("The batch loss never rises", bool(np.all(np.diff(batch) <= 1e-12)))
        yield Check("The online loss sometimes rises", bool(np.any(np.diff(online) > 1e-6)))
        yield Check("At the end the batch loss is lower", bool(batch[-1] < online[-1]))
        yield from self._least_squares(weights[-1], batch, online)
        yield Chart(
            curves(
                np.arange(self.epochs + 1),
                {"batch": batch, "online": online},
                "Loss over all four rows",
                "epoch",
                "loss",
            ),
            "The online loss falls faster and never settles; the batch loss falls to the least squares and stays "
            "there.",
        )

    def _mean_first_update(self) -> Array:
        unit = self.unit
        firsts = [
            next(training_steps(unit.network(2), unit.loss, unit.optimizer, [row]))
            for row in single_row_batches(self.rows)
        ]
        return np.mean([affine_at(step.trace.updates).W for step in firsts], axis=0)

    def _least_squares(self, weights: Affine, batch: Array, online: Array) -> Iterator[Block]:
        """How far the final losses are from the least squares."""
        slower = self.losses(self.weights_by_epoch(self.learning_rate / 2, online=True))
        half = self.epochs // 2
        excess, slower_excess = (float(loss[half:].mean() - batch.min()) for loss in (online, slower))
        yield Text(
            f"After {number(self.epochs)} epochs of batch updates w = {inline(weights.W[:, 0], 4)} and "
            f"b = {number(weights.b[0])}, with a loss of {number(batch[-1])}. The loss cannot be 0, because no line "
            "takes these four targets as its values. Online, each sample keeps pulling the weights in its own "
            f"direction: over the second half of the epochs the loss is on average {number(excess, 2)} above the "
            f"smallest batch loss, and with half the learning rate {number(slower_excess, 2)}."
        )
        yield Check("Online, a smaller learning rate stays closer to the least squares", slower_excess < excess)
        yield Check(
            "The least squares of AND are w = (½, ½), b = -¼",
            np.append(weights.W, weights.b),
            [0.5, 0.5, -0.25],
            1e-3,
        )

    def _rates(self) -> Iterator[Block]:
        yield Heading("The safe learning rate")
        x = self.rows.x
        safe = safe_rate(x)
        standardised = (x - x.mean(axis=0)) / x.std(axis=0)
        yield Formula("R = mean of x xᵀ, each x with a 1 for the bias\nbatch: η < 2 / λ, λ the largest eigenvalue of R")
        yield Text(
            f"Here λ = {number(2 / safe)}, and batch learning rates below {number(safe)} are safe. Online, no single "
            f"step overshoots if η < 2 / |x|² = {number(safe_online_rate(x))}, where x is the longest sample with its "
            f"1. Standardised inputs, which are usual for ADALINE, move the batch limit to "
            f"{number(safe_rate(standardised))}."
        )
        losses = {
            factor: self.losses(self.weights_by_epoch(factor * safe)[: _RATE_EPOCHS + 1]) for factor in _RATE_FACTORS
        }
        epochs = len(losses[0.5]) - 1
        yield Table(
            "Batch updates from zero",
            ("rate", "rate / safe", "first loss", "loss after 10 epochs", f"after {epochs}"),
            [
                (factor * safe, factor, *(float(loss[epoch]) for epoch in (0, min(10, self.epochs), -1)))
                for factor, loss in losses.items()
            ],
        )
        yield Check("At 0.9 times the safe rate the loss falls", bool(losses[0.9][-1] < losses[0.9][0]))
        yield Check("At 1.1 times the safe rate the loss grows", bool(losses[1.1][-1] > losses[1.1][0]))
        series = {f"η = {number(factor * safe, 3)}": loss for factor, loss in losses.items()}
        yield Chart(
            curves(np.arange(epochs + 1), series, "Batch loss at four learning rates", "epoch", "loss", log=True),
            "Below the safe rate the loss falls; above it, it grows by the same factor in every epoch.",
        )


def _step_table(caption: str, first: TrainingStep, second: TrainingStep) -> Table:
    """All quantities of the first step, and the net input of the second."""
    before = affine_at(first.before.params)
    after = affine_at(first.after.params)
    updates = affine_at(first.trace.updates)
    rows = [
        ("weights before", "w", before.W),
        ("bias before", "b", before.b),
        ("net input", "z = x w + b", first.trace.outputs[-1]),
        ("error", "t - z", -first.trace.deltas[-1]),
        ("change of the weights", "η (t - z) x", updates.W),
        ("change of the bias", "η (t - z)", updates.b),
        ("weights after", "w", after.W),
        ("bias after", "b", after.b),
        ("net input after", "z", second.trace.outputs[-1]),
    ]
    return Table(caption, ("quantity", "formula", "value"), [(name, how, inline(values)) for name, how, values in rows])
