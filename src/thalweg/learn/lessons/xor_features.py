"""XOR by features: with the product of the inputs beside them, one line is enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np
import plotly.graph_objects as go

from ...core.progress import ProgressMessage
from ...engine.step import State
from ...models.linear_theory import safe_online_rate, separable
from ...models.linear_units import Adaline
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves, plane
from ...parts.initializers import Given
from ...parts.layers import Products
from ...parts.part import Count, ForwardContext, Number, Positive
from .lesson import Lesson
from .walk import one_by_one, rows_of, walk


@dataclass(frozen=True)
class XorFeatures(Lesson, kind="xor-features"):
    """XOR by a linear unit on (x₁, x₂, x₁x₂): the weights of the textbook, then weights learned by the LMS rule.

    Source: Minsky and Papert 1969; Cover 1965; Widrow and Hoff 1960.

    >>> XorFeatures().answers()[-1].tolist()
    [[0.0], [1.0], [1.0], [0.0]]
    """

    title = "XOR by features"
    subject = "The product of the two inputs as a third one: XOR becomes linear, and ADALINE learns it."

    w: tuple[Number, Number, Number] = (1.0, 1.0, -2.0)
    b: Number = 0.0
    threshold: Number = 0.5
    learning_rate: Positive = 0.4
    epochs: Count = 200

    @property
    def unit(self) -> Adaline:
        """ADALINE on the inputs and their product, from zero."""
        return Adaline(self.learning_rate, features=(Products(),), threshold=self.threshold)

    def answers(self, x: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """Features and net inputs for rows x (n, 2), for the four points if there are none, with the weights given."""
        given = Given(tuple((weight,) for weight in self.w))
        network = replace(self.unit, init=given, bias_init=Given((self.b,))).network(2)
        start = network.initialize(0, (2,))
        rows = rows_of("xor").x if x is None else x
        return network.forward(start.params, start.states, rows, ForwardContext(training=False)).outputs

    def learned(self, unit: Adaline) -> list[State]:
        """The states before the first epoch and after each, online on the four rows in their order."""
        steps = walk(unit.network(2), unit.loss, unit.optimizer, cycle(one_by_one(rows_of("xor"))))
        return [step.before for step in islice(steps, 0, 4 * self.epochs + 1, 4)]

    def tell(self) -> Iterator[Block | ProgressMessage]:
        """The page."""
        samples = rows_of("xor")
        yield Text(
            "No line separates the classes of XOR in the plane of the two inputs. A third input, their product, lifts "
            "the point (1, 1) out of that plane, and then a plane separates them. The unit stays linear; only what it "
            "sees has changed."
        )
        yield Formula("z = w₁ x₁ + w₂ x₂ + w₃ x₁x₂ + b;   the answer is yes where z > threshold")
        yield Check("No line separates the two inputs", separable(samples.x, samples.y), False)
        yield Check("A plane separates inputs and product", separable(self.answers()[0], samples.y), True)
        yield from self._written()
        yield from self._learned()
        yield Suggestion("a threshold of 0 for the same weights", "thalweg lesson xor-features --set threshold=0")
        yield Suggestion("other weights that do it", "thalweg lesson xor-features --set 'w=[2, 2, -4]'")
        yield Suggestion("a rate too large", "thalweg lesson xor-features --set learning_rate=1.2 --set epochs=20")

    def _written(self) -> Iterator[Block]:
        yield Heading("Weights that do it")
        samples, (features, z) = rows_of("xor"), self.answers()
        said = (z[:, 0] > self.unit.loss.threshold).astype(int)
        rows = zip(features.tolist(), z[:, 0].tolist(), said.tolist(), samples.y.tolist(), strict=True)
        yield Table(
            f"w = ({', '.join(f'{weight:g}' for weight in self.w)}), b = {self.b:g}, threshold {self.threshold:g}",
            ("x₁", "x₂", "x₁x₂", "z", "answer", "target"),
            [(*three, *rest) for three, *rest in rows],
        )
        yield Check("The net inputs are 0, 1, 1, 0", z[:, 0], [0.0, 1.0, 1.0, 0.0], 1e-12)
        yield Check("All four answers are right", said, samples.y)
        yield Chart(
            self._border(),
            "Seen in the plane of the two inputs, the border is no line but a hyperbola. At a threshold of ½ its two "
            "branches touch and make a cross.",
        )

    def _border(self) -> go.Figure:
        samples, axis = rows_of("xor"), np.linspace(-0.5, 1.5, 161)
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        values, names = self.answers(grid)[-1].reshape(len(axis), len(axis)), ("class 0", "class 1")
        title = "Where z is above the threshold"
        return plane(axis, axis, values, samples.x, samples.y, names, title, levels=[self.threshold])

    def _learned(self) -> Iterator[Block]:
        yield Heading("Learned by the LMS rule")
        with_product, without = self.unit, replace(self.unit, features=())
        ways = {"with the product": self.learned(with_product), "without": self.learned(without)}
        losses = {
            name: [_loss(unit, state) for state in ways[name]]
            for name, unit in (("with the product", with_product), ("without", without))
        }
        final = ways["with the product"][-1].params[-1]
        limit = safe_online_rate(self.answers()[0])
        yield Text(
            f"From zero, one sample after the other, with η = {self.learning_rate:g}; below {limit:.4g} no single step "
            f"overshoots. After {self.epochs} epochs w = ({', '.join(f'{w:.4g}' for w in final.W[:, 0])}) and b = "
            f"{final.b[0]:.4g}. The four targets ask for exactly these weights: four equations for four numbers."
        )
        shown = sorted({0, 1, 2, 5, 10, 20, 50, 100, self.epochs} & set(range(self.epochs + 1)))
        yield Table(
            "Loss over the four rows",
            ("epochs", *losses),
            [(epoch, *(loss[epoch] for loss in losses.values())) for epoch in shown],
        )
        learned = [*final.W[:, 0].tolist(), final.b.item()]
        yield Check("The rule finds w = (1, 1, -2), b = 0", learned, [1.0, 1.0, -2.0, 0.0], 1e-3)
        yield Check("Its loss goes to 0", losses["with the product"][-1], 0.0, 1e-6)
        least = min(loss for loss in losses["without"] if np.isfinite(loss))
        yield Check(
            "Without the product it stays at ⅛ or above, the loss of the answer ½ to all", least >= 0.125 - 1e-9
        )
        yield Chart(
            curves(np.arange(self.epochs + 1), losses, "Loss over the four rows", "epoch", "loss", log=True),
            "With the product the loss falls to rounding along a straight line. Without it there is nothing to find.",
        )


def _loss(unit: Adaline, state: State) -> float:
    samples, network = rows_of("xor"), unit.network(2)
    with np.errstate(all="ignore"):
        z = network.forward(state.params, state.layers, samples.x, ForwardContext(training=False)).outputs[-1]
        return float(unit.loss(z, samples.y[:, None], samples.weight)[0])
