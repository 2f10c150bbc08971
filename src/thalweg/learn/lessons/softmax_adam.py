"""Softmax, cross-entropy, and the first step of Adam."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from ...core.arrays import Array
from ...core.errors import InputError, Problem
from ...core.progress import ProgressMessage
from ...models.network import Network
from ...pages.blocks import ArrayBlock, Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves
from ...pages.numbers import inline, number
from ...parts.initializers import Given, Zeros
from ...parts.layers import Dense
from ...parts.losses import SoftmaxCrossEntropy
from ...parts.optimizers import Adam, adam_moments
from ...parts.part import Count, Number, Positive
from ..affine import affine_at
from ..lesson import Lesson
from ..step_by_step import TrainingStep, training_steps, unweighted_batch


class AdamQuantities(NamedTuple):
    """The quantities of one step of Adam on the logits, each (classes,).

    Attributes:
        g: The gradient.
        m: The average of gradients.
        v: The average of squared gradients.
        m_hat: m with its bias corrected.
        v_hat: v with its bias corrected.
        update: The update Δ.
    """

    g: Array
    m: Array
    v: Array
    m_hat: Array
    v_hat: Array
    update: Array


@dataclass(frozen=True)
class SoftmaxAdamLesson(Lesson, kind="softmax-adam"):
    """Logits, their probabilities, the loss, its gradient, and the updates of Adam in its first step and later.

    Raises InputError if `target` is not the index of a logit.

    Source: Goodfellow, Bengio, Courville 2016, section 6.2.2.3; Kingma and Ba 2015, algorithm 1.

    Attributes:
        z: The logits before the first step.
        target: The class of the sample.
        learning_rate: The learning rate η.
        epsilon: Adam's ε.
        count: The number of steps.

    >>> step = SoftmaxAdamLesson().steps()[0]
    >>> round(float(step.trace.loss), 3), step.trace.deltas[-1].round(3).tolist()
    (0.417, [[-0.341, 0.242, 0.099]])
    """

    title = "Softmax, cross-entropy, and one step of Adam"
    subject = "From three logits to Adam's first update, and why that is the learning rate times a sign."
    chapter = "Outputs and losses"
    place = 2

    z: Annotated[tuple[Number, ...], Field(min_length=2)] = (2.0, 1.0, 0.1)
    target: Annotated[int, Field(ge=0)] = 0
    learning_rate: Positive = 0.01
    epsilon: Positive = 1e-8
    count: Count = 400

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target >= len(self.z):
            last = len(self.z) - 1
            raise InputError(
                self.kind, [Problem("target", f"expected a class from 0 to {last}, received {self.target}")]
            )

    @property
    def optimizer(self) -> Adam:
        """Adam with its usual averages."""
        return Adam(self.learning_rate, epsilon=self.epsilon)

    def steps(self) -> list[TrainingStep]:
        """The steps of a dense layer whose only input is 0, so that only its biases learn: they are the logits."""
        dense = Dense(len(self.z), init=Zeros(), bias_init=Given(self.z))
        batch = unweighted_batch(np.zeros((1, 1)), np.array([self.target]))
        steps = training_steps(Network((dense,)), SoftmaxCrossEntropy(), self.optimizer, repeat(batch))
        return list(islice(steps, self.count))

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        steps = self.steps()
        yield Text(
            f"A sample of class {self.target} has the logits z = {inline(self.z)}. Softmax turns them into "
            "probabilities, cross-entropy measures how wrong these are, and Adam moves the logits themselves."
        )
        yield from self._loss(steps[0])
        yield from self._first_update(steps[0])
        yield from self._later_steps(steps)
        yield Suggestion(
            "a sample of the class with the smallest probability",
            f"thalweg lesson softmax-adam --set target={int(np.argmin(self.z))}",
        )
        yield Suggestion(
            "a large ε, which affects the small gradients first", "thalweg lesson softmax-adam --set epsilon=0.01"
        )
        yield Suggestion(
            "logits so far apart that there is nothing left to learn",
            "thalweg lesson softmax-adam --set 'z=[30, 1, 0.1]'",
        )

    def _loss(self, step: TrainingStep) -> Iterator[Block]:
        yield Heading("Probabilities, loss, gradient")
        z = step.trace.outputs[-1]
        gradient = step.trace.deltas[-1]
        p = SoftmaxCrossEntropy().probabilities(z)
        yield ArrayBlock("z", z, remark="the logits")
        yield ArrayBlock("p", p, "p_k = exp(z_k) / Σ_j exp(z_j)", "the probabilities; they sum to 1")
        yield ArrayBlock("L", step.trace.loss, "L = -log p_t", f"t = {self.target}, the class of the sample")
        yield ArrayBlock("g", gradient, "dL/dz = p - t", "t as a row with a 1 at the class; the numbers sum to 0")
        yield Check("The probabilities are (0.659, 0.242, 0.099)", p[0], [0.659, 0.242, 0.099], 5e-4)
        yield Check("The loss is 0.417", float(step.trace.loss), 0.417, 5e-4)
        yield Check("The gradient is (-0.341, 0.242, 0.099)", gradient[0], [-0.341, 0.242, 0.099], 5e-4)
        yield Check(
            "The gradient sums to 0: adding the same number to all logits does not change softmax",
            float(gradient.sum()),
            0.0,
            1e-12,
        )

    def _first_update(self, step: TrainingStep) -> Iterator[Block]:
        yield Heading("Adam's first step")
        yield Formula(
            "m ← β₁ m + (1 - β₁) g;   v ← β₂ v + (1 - β₂) g²\n"
            "m̂ = m / (1 - β₁ᵗ);   v̂ = v / (1 - β₂ᵗ)\n"
            "Δ = -η m̂ / (√v̂ + ε)"
        )
        quantities = self._quantities(step)
        yield self._moments_table(quantities)
        yield Text(
            "At t = 1 both averages contain only one gradient, and the corrections remove exactly the effect of the "
            "start at 0: m̂ = g and v̂ = g². So m̂ / √v̂ = g / |g| is the sign of the gradient, and its size has no "
            "influence except through ε: the size of the update is η |g| / (|g| + ε) instead of η."
        )
        g = quantities.g
        size = np.abs(quantities.update) / self.learning_rate
        yield ArrayBlock("1 - |Δ| / η", 1 - size, "ε / (|g| + ε)", "one number for each class, about ε / |g|")
        yield Check("m̂ is the gradient", quantities.m_hat, g, 1e-12)
        yield Check("v̂ is the square of the gradient", quantities.v_hat, g * g, 1e-12)
        yield Check("The update goes against the sign of the gradient", np.sign(quantities.update), -np.sign(g))
        yield Check("Its size is η |g| / (|g| + ε)", size, np.abs(g) / (np.abs(g) + self.epsilon), 1e-12)
        yield Check("Its size is the learning rate, up to 1.1 parts in ten million", size, np.ones(len(g)), 1.1e-7)
        with np.errstate(invalid="ignore"):
            rounded = _rounded(quantities.m_hat, 3) / _rounded(np.sqrt(quantities.v_hat), 2)
        yield Text(
            "Some textbooks print an update like (0.01003, -0.01000, -0.01000) for the logits (2, 1, 0.1) at a "
            "learning rate of 0.01. A size that differs from the rate in the third digit comes from rounding in "
            "between: with three digits of m̂ and two of √v̂ the update here becomes "
            f"{inline(-self.learning_rate * rounded, 4)}."
        )

    def _moments_table(self, quantities: AdamQuantities) -> Table:
        optimizer = self.optimizer
        columns = [*quantities[:-1], np.sqrt(quantities.v_hat), quantities.update]
        return Table(
            f"t = 1, η = {number(self.learning_rate)}, β₁ = {number(optimizer.beta_1)}, "
            f"β₂ = {number(optimizer.beta_2)}, ε = {number(self.epsilon)}; m and v start at 0",
            ("class", "g", "m", "v", "m̂", "v̂", "√v̂", "Δ"),
            [(index, *row) for index, row in enumerate(np.stack(columns).T.tolist())],
        )

    def _later_steps(self, steps: list[TrainingStep]) -> Iterator[Block]:
        yield Heading("Later steps")
        quantities = [self._quantities(step) for step in steps]
        gradients = np.array([np.abs(step.g) for step in quantities])
        sizes = np.array([np.abs(step.update) for step in quantities]) / self.learning_rate
        yield Text(
            "The gradient shrinks while the loss falls. v̂ remembers the large old gradients for longer than m̂ does "
            "(β₂ > β₁), so m̂ / √v̂ falls below 1 and the steps become shorter, but less than the gradient itself. All "
            "classes move by the same amount, although their gradients differ: Adam compares each gradient with its "
            "own past, never with the others."
        )
        shown = sorted({0, 1, 9, len(steps) // 4, len(steps) // 2, len(steps) - 1} & set(range(len(steps))))
        classes = [f"class {index}" for index in range(len(self.z))]
        yield Table(
            "The length of the steps, |Δ| / η",
            ("step t", "loss before", *classes),
            [(index + 1, float(steps[index].trace.loss), *sizes[index].tolist()) for index in shown],
        )
        yield Check("No step is longer than the learning rate", bool(np.all(sizes <= 1 + 1e-9)))
        yield Check("In every step all classes move by the same amount", float(np.ptp(sizes, axis=1).max()), 0.0, 1e-6)
        yield Check("The last step is shorter than the first", bool(np.all(sizes[-1] < sizes[0])))
        yield Check(
            "The gradients have shrunk more than the steps",
            bool(np.all(gradients[-1] * sizes[0] < sizes[-1] * gradients[0])),
        )
        series = {f"|Δ| / η, class {self.target}": sizes[:, self.target]}
        series |= {f"|g|, {name}": gradients[:, index] for index, name in enumerate(classes)}
        yield Chart(
            curves(np.arange(1, len(steps) + 1), series, "Adam's steps and the gradients", "step t", "", log=True),
            "Adam's step starts at one learning rate for every class; the gradients start at different sizes and "
            "shrink faster.",
        )

    def _quantities(self, step: TrainingStep) -> AdamQuantities:
        grads = step.trace.grads
        corrected = self.optimizer.corrected(grads, adam_moments(step.after.moments), step.before.step)
        trees = (grads, corrected.m, corrected.v, corrected.m_hat, corrected.v_hat, step.trace.updates)
        return AdamQuantities(*(affine_at(tree).b for tree in trees))


def _rounded(values: Array, digits: int) -> Array:
    return np.array([float(f"{value:.{digits}g}") for value in values])
