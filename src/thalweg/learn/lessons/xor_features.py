"""XOR by features: if the product of the inputs is added as a third input, the classes are linearly separable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np
import plotly.graph_objects as go

from ...core.arrays import Array
from ...core.progress import ProgressMessage
from ...engine.step import State
from ...models.linear_theory import safe_online_rate, separable
from ...models.linear_units import Adaline
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves, plane
from ...pages.numbers import inline, number
from ...parts.initializers import Given
from ...parts.layers import Products
from ...parts.part import Count, ForwardContext, Number, Positive
from ...spec.spec import Spec
from ..affine import affine_at
from ..lesson import Lesson
from ..step_by_step import load_rows, single_row_batches, training_steps

_SHOWN_EPOCHS = (0, 1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class XorFeaturesLesson(Lesson, kind="xor-features"):
    """XOR by a linear unit on (x₁, x₂, x₁x₂): first the weights of the textbook, then weights learned by the LMS rule.

    Source: Minsky and Papert 1969; Cover 1965; Widrow and Hoff 1960.

    Attributes:
        w: The given weights.
        b: The given bias.
        threshold: The decision threshold of the net input.
        learning_rate: The learning rate η.
        epochs: The number of epochs.

    >>> XorFeaturesLesson().answers()[-1].tolist()
    [[0.0], [1.0], [1.0], [0.0]]
    """

    title = "XOR by features"
    subject = "With the product of the two inputs as a third input, XOR becomes linear, and ADALINE learns it."
    chapter = "More than a line"
    place = 1

    w: tuple[Number, Number, Number] = (1.0, 1.0, -2.0)
    b: Number = 0.0
    threshold: Number = 0.5
    learning_rate: Positive = 0.4
    epochs: Count = 200

    @property
    def unit(self) -> Adaline:
        """ADALINE on the inputs and their product, which starts from zero weights."""
        return Adaline(self.learning_rate, features=(Products(),), threshold=self.threshold)

    def answers(self, x: Array | None = None) -> tuple[Array, ...]:
        """Features and net inputs with the given weights, for rows x (n, 2) or by default for the four points."""
        weights = Given(tuple((weight,) for weight in self.w))
        network = replace(self.unit, init=weights, bias_init=Given((self.b,))).network(2)
        start = network.initialize(0, (2,))
        rows = load_rows("xor").x if x is None else x
        return network.forward(start.params, start.states, rows, ForwardContext(training=False)).outputs

    def learned(self, unit: Adaline) -> list[State]:
        """The states before the first epoch and after each, online on the four rows in their order."""
        batches = cycle(single_row_batches(load_rows("xor")))
        steps = training_steps(unit.network(2), unit.loss, unit.optimizer, batches)
        return [step.before for step in islice(steps, 0, 4 * self.epochs + 1, 4)]

    @property
    def playground(self) -> Spec:
        data = {"source": "xor", "scale": "none"}
        return Spec.of({"data": data, "network": self.unit, "training": {"epochs": self.epochs}})

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        samples = load_rows("xor")
        yield Text(
            "No line separates the classes of XOR in the plane of the two inputs. A third input, their product, lifts "
            "the point (1, 1) out of that plane, and then a plane separates the classes. The unit is still linear; "
            "only its inputs have changed."
        )
        yield Formula("z = w₁ x₁ + w₂ x₂ + w₃ x₁x₂ + b;   the answer is yes where z > threshold")
        yield Check("No line separates the classes by the two inputs", separable(samples.x, samples.y) is False)
        yield Check(
            "A plane separates the classes by inputs and product", separable(self.answers()[0], samples.y) is True
        )
        yield from self._given()
        yield from self._learned()
        yield Suggestion("a threshold of 0 for the same weights", "thalweg lesson xor-features --set threshold=0")
        yield Suggestion("other weights that solve XOR", "thalweg lesson xor-features --set 'w=[2, 2, -4]'")
        yield Suggestion(
            "a learning rate that is too large",
            "thalweg lesson xor-features --set learning_rate=1.2 --set epochs=20",
        )

    def _given(self) -> Iterator[Block]:
        yield Heading("Weights that solve XOR")
        samples = load_rows("xor")
        features, z = self.answers()
        answers = (z[:, 0] > self.unit.loss.threshold).astype(int)
        rows = zip(features.tolist(), z[:, 0].tolist(), answers.tolist(), samples.y.tolist(), strict=True)
        yield Table(
            f"w = {inline(self.w)}, b = {number(self.b)}, threshold {number(self.threshold)}",
            ("x₁", "x₂", "x₁x₂", "z", "answer", "target"),
            [(*inputs, *rest) for inputs, *rest in rows],
        )
        yield Check("The net inputs are 0, 1, 1, 0", z[:, 0], [0.0, 1.0, 1.0, 0.0], 1e-12)
        yield Check("All four answers are right", answers, samples.y)
        yield Chart(
            self._boundary(),
            "In the plane of the two inputs the decision boundary is a hyperbola, not a line. At a threshold of ½ its "
            "two branches touch and form a cross.",
        )

    def _boundary(self) -> go.Figure:
        samples = load_rows("xor")
        axis = np.linspace(-0.5, 1.5, 161)
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        values = self.answers(grid)[-1].reshape(len(axis), len(axis))
        names = ("class 0", "class 1")
        title = "Where z is above the threshold"
        return plane(axis, axis, values, samples.x, samples.y, names, title, levels=[self.threshold])

    def _learned(self) -> Iterator[Block]:
        yield Heading("Learned by the LMS rule")
        units = {"with the product": self.unit, "without": replace(self.unit, features=())}
        states = {name: self.learned(unit) for name, unit in units.items()}
        losses = {name: [_loss(unit, state) for state in states[name]] for name, unit in units.items()}
        final = affine_at(states["with the product"][-1].params, -1)
        limit = safe_online_rate(self.answers()[0])
        yield Text(
            f"From zero, one sample after the other, with η = {number(self.learning_rate)}; below {number(limit)} no "
            f"single step overshoots. After {number(self.epochs)} epochs w = {inline(final.W[:, 0], 4)} and "
            f"b = {number(final.b[0])}. The four targets determine exactly these weights: four equations for four "
            "numbers."
        )
        shown = sorted({*_SHOWN_EPOCHS, self.epochs} & set(range(self.epochs + 1)))
        yield Table(
            "Loss over the four rows",
            ("epochs", *losses),
            [(epoch, *(loss[epoch] for loss in losses.values())) for epoch in shown],
        )
        learned = [*final.W[:, 0].tolist(), final.b.item()]
        yield Check("The rule finds w = (1, 1, -2), b = 0", learned, [1.0, 1.0, -2.0, 0.0], 1e-3)
        yield Check("With the product the loss goes to 0", losses["with the product"][-1], 0.0, 1e-6)
        least = min(loss for loss in losses["without"] if np.isfinite(loss))
        yield Check(
            "Without the product the loss is at least ⅛, the loss of the answer ½ to all", least >= 0.125 - 1e-9
        )
        yield Chart(
            curves(np.arange(self.epochs + 1), losses, "Loss over the four rows", "epoch", "loss", log=True),
            "With the product the loss falls along a straight line down to rounding errors. Without it the unit has "
            "nothing to find.",
        )


def _loss(unit: Adaline, state: State) -> float:
    samples = load_rows("xor")
    network = unit.network(2)
    with np.errstate(all="ignore"):
        z = network.forward(state.params, state.layers, samples.x, ForwardContext(training=False)).outputs[-1]
        return float(unit.loss(z, samples.y[:, None], samples.weight)[0])
