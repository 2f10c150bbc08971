"""One step of gradient descent, and how the learning rate shapes the steps that follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, repeat

import numpy as np
import plotly.graph_objects as go

from ...core.arrays import Array
from ...core.errors import InputError
from ...core.progress import ProgressMessage
from ...models.linear_theory import safe_rate
from ...models.network import Network
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import contours, curves
from ...pages.numbers import number
from ...parts.initializers import Given
from ...parts.layers import Affine, Dense
from ...parts.losses import SquaredError
from ...parts.optimizers import SGD
from ...parts.part import Count, ForwardContext, Number, Positive
from ..affine import affine_at
from ..lesson import Lesson
from ..step_by_step import TrainingStep, training_steps, unweighted_batch

_RATE_FACTORS = (0.5, 0.9, 1.0, 1.1)


@dataclass(frozen=True)
class GradientStepLesson(Lesson, kind="gradient-step"):
    """One weight, one bias, one sample: a step of gradient descent by hand, then on to convergence.

    Raises InputError if the prediction is right before the first step.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, sections 4.3 and 5.9.

    Attributes:
        w: The weight before the first step.
        b: The bias before the first step.
        x: The input of the sample.
        target: The target of the sample.
        learning_rate: The learning rate η.
        count: The number of steps.

    >>> step = GradientStepLesson().steps(0.1)[0]
    >>> step.after.params[0].W.round(6).tolist(), step.after.params[0].b.round(6).tolist()
    ([[1.4]], [0.2])
    """

    title = "One step of gradient descent"
    subject = "A linear unit takes one step by hand, then goes on; which learning rates converge, and which do not."
    chapter = "One unit"
    place = 3

    w: Number = 1.0
    b: Number = 0.0
    x: Number = 2.0
    target: Number = 4.0
    learning_rate: Positive = 0.1
    count: Count = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.x * self.w + self.b == self.target:
            raise InputError(
                self.kind,
                f"expected a wrong prediction at the start, received the target {self.target:g}; choose another w",
            )

    @property
    def limit(self) -> float:
        """The learning rate above which the steps diverge: 2 / (x² + 1)."""
        return safe_rate(np.array([[self.x]]))

    def steps(self, rate: float) -> list[TrainingStep]:
        """The first `count` steps, and one more that shows the state after them."""
        dense = Dense(1, init=Given(((self.w,),)), bias_init=Given((self.b,)))
        batch = unweighted_batch(np.array([[self.x]]), np.array([[self.target]]))
        steps = training_steps(Network((dense,)), SquaredError(), SGD(rate), repeat(batch))
        return list(islice(steps, self.count + 1))

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        steps = self.steps(self.learning_rate)
        yield Text(
            "One linear unit with one input receives one sample. It predicts, the loss measures how wrong the "
            "prediction is, the gradient points uphill, and the step goes a small distance downhill. This repeats "
            "until there is nothing left to learn."
        )
        yield Formula(
            "z = x w + b\n"
            "L = ½ (z - t)²\n"
            "dL/dz = z - t;   dL/dw = x dL/dz;   dL/db = dL/dz\n"
            "w ← w - η dL/dw;   b ← b - η dL/db"
        )
        yield from self._first_step(steps[0])
        yield from self._convergence(steps)
        yield from self._rates()
        yield Suggestion(
            "a learning rate that diverges",
            f"thalweg lesson gradient-step --set learning_rate={1.2 * self.limit:.3g}",
        )
        yield Suggestion(
            "the learning rate that needs only one step",
            f"thalweg lesson gradient-step --set learning_rate={self.limit / 2:.6g} --set count=5",
        )
        yield Suggestion(
            "a larger input: the same learning rate is too large now", "thalweg lesson gradient-step --set x=5"
        )

    def _first_step(self, step: TrainingStep) -> Iterator[Block]:
        yield Heading("One step")
        before, grads, after, updates = (
            affine_at(tree) for tree in (step.before.params, step.trace.grads, step.after.params, step.trace.updates)
        )
        z = step.trace.outputs[-1].item()
        loss = float(step.trace.loss)
        yield Table(
            f"x = {number(self.x)}, t = {number(self.target)}, η = {number(self.learning_rate)}; with one sample every "
            "matrix is 1 × 1",
            ("quantity", "formula", "value"),
            [
                ("weight before", "w", before.W.item()),
                ("bias before", "b", before.b.item()),
                ("prediction", "z = x w + b", z),
                ("loss", "L = ½ (z - t)²", loss),
                ("delta", "dL/dz = z - t", step.trace.deltas[-1].item()),
                ("gradient of the weight", "dL/dw = x dL/dz", grads.W.item()),
                ("gradient of the bias", "dL/db = dL/dz", grads.b.item()),
                ("update of the weight", "-η dL/dw", updates.W.item()),
                ("update of the bias", "-η dL/db", updates.b.item()),
                ("weight after", "w", after.W.item()),
                ("bias after", "b", after.b.item()),
            ],
        )
        gradients = [grads.W.item(), grads.b.item()]
        yield Check("The prediction is 2", z, 2.0, 1e-12)
        yield Check("The loss is 2", loss, 2.0, 1e-12)
        yield Check("The gradients are dL/dw = -4 and dL/db = -2", gradients, [-4.0, -2.0], 1e-12)
        yield Check("After the step w = 1.4 and b = 0.2", [after.W.item(), after.b.item()], [1.4, 0.2], 1e-12)

    def _convergence(self, steps: list[TrainingStep]) -> Iterator[Block]:
        yield Heading("On to convergence")
        errors = _errors(steps)
        factor = 1 - self.learning_rate * (self.x**2 + 1)
        yield Text(
            "A step changes the prediction by x Δw + Δb = -η (x² + 1) (z - t). So each step multiplies the error z - t "
            f"by the same factor, here {number(factor)}, and the loss by its square."
        )
        yield Formula("e = z - t;   e ← (1 - η (x² + 1)) e")
        weights = [affine_at(step.before.params) for step in steps]
        path = np.array([[params.W.item(), params.b.item()] for params in weights])
        shown = [*range(min(5, len(steps))), *range(5, len(steps), max(1, self.count // 3))]
        yield Table(
            "The steps",
            ("steps done", "w", "b", "prediction", "error z - t", "loss"),
            [
                (
                    index,
                    *path[index].tolist(),
                    steps[index].trace.outputs[-1].item(),
                    errors[index],
                    float(steps[index].trace.loss),
                )
                for index in shown
            ],
        )
        yield Check("A step multiplies the error by 1 - η (x² + 1)", errors[1] / errors[0], factor, 1e-9)
        yield Check(f"After {self.count} steps the prediction is the target", errors[-1], 0.0, 1e-6)
        moved = path[-1] - path[0]
        yield Text(
            f"Every gradient is a multiple of (x, 1) = ({number(self.x)}, 1). So the path is straight, at a right "
            "angle to the floor of the valley, which is the line x w + b = t. If it converges, it ends at the nearest "
            f"of all weights that solve the task. After {self.count} steps w = {number(path[-1, 0])} and "
            f"b = {number(path[-1, 1])}."
        )
        rounding = float(1e-9 * (1 + np.abs(moved).sum()))
        yield Check("The path is a multiple of (x, 1)", float(moved[0] - self.x * moved[1]), 0.0, rounding)
        yield Chart(
            self._valley(path),
            "The loss over w and b is a valley with a straight floor. The path starts at the open circle and goes "
            "straight down the slope.",
        )

    def _valley(self, path: Array) -> go.Figure:
        path = path[np.abs(path).max(axis=1) < 1e3]
        low = path.min(axis=0) - 1
        high = path.max(axis=0) + 1
        w = np.linspace(low[0], high[0], 81)
        b = np.linspace(low[1], high[1], 81)
        # One unit for each point of the plane.
        units = Affine(np.tile(w, len(b))[None], np.repeat(b, len(w)))
        z, _, _ = Dense(w.size * b.size).forward(units, (), np.array([[self.x]]), ForwardContext(training=False))
        loss, _ = SquaredError().terms(z.T, np.full_like(z.T, self.target))
        values = loss.reshape(len(b), len(w))
        figure = contours(w, b, values, {"gradient descent": path}, "The path through the valley", ("w", "b"))
        # The right angle is visible only if both axes have the same scale.
        return figure.update_xaxes(constrain="domain").update_yaxes(scaleanchor="x", constrain="domain")

    def _rates(self) -> Iterator[Block]:
        yield Heading("Which learning rates converge")
        yield Text(
            f"The factor 1 - η (x² + 1) lies between -1 and 1 as long as η < 2 / (x² + 1) = {number(self.limit)}. "
            "Below half of this limit the error keeps its sign. Between half of it and the limit the error changes "
            "sign in every step but still shrinks. Above the limit it grows."
        )
        rates = sorted({self.learning_rate, *(factor * self.limit for factor in _RATE_FACTORS)})
        by_rate = {rate: self.steps(rate) for rate in rates}
        yield Table(
            "The same start with other learning rates",
            ("rate η", "η / limit", "error before", "after 1 step", f"loss after {self.count} steps"),
            [
                (rate, rate / self.limit, *_errors(steps[:2]), float(steps[-1].trace.loss))
                for rate, steps in by_rate.items()
            ],
        )
        # After more steps an error may be as small as rounding, or overflow.
        half, below, level, above = (np.abs(_errors(by_rate[factor * self.limit][:20])) for factor in _RATE_FACTORS)
        yield Check("At half of the limit one step is enough", float(half[1] / half[0]), 0.0, 1e-9)
        yield Check("At 0.9 times the limit the error shrinks in every step", bool(np.all(below[1:] < below[:-1])))
        yield Check("At the limit the error keeps its size", float(level[-1] / level[0]), 1.0, 1e-9)
        yield Check("At 1.1 times the limit the error grows in every step", bool(np.all(above[1:] > above[:-1])))
        series = {
            f"η = {number(rate, 3)}": [float(step.trace.loss) for step in steps] for rate, steps in by_rate.items()
        }
        yield Chart(
            curves(np.arange(self.count + 1), series, "Loss by step", "steps done", "loss", log=True),
            "On a logarithmic scale each loss is a straight line: falling below the limit, level at it, rising above "
            "it. A rate for which one step is enough has no line, because 0 has no logarithm.",
        )


def _errors(steps: list[TrainingStep]) -> list[float]:
    return [step.trace.deltas[-1].item() for step in steps]
