"""One step of gradient descent, and what the learning rate makes of those that follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, repeat

import numpy as np
import plotly.graph_objects as go

from ...core.errors import InputError
from ...core.progress import ProgressMessage
from ...models.linear_theory import safe_rate
from ...models.network import Network
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import contours, curves
from ...parts.initializers import Given
from ...parts.layers import Affine, Dense
from ...parts.losses import SquaredError
from ...parts.optimizers import SGD
from ...parts.part import Count, ForwardContext, Number, Positive
from ..lesson import Lesson
from ..step_by_step import TrainingStep, training_steps, unweighted_batch


@dataclass(frozen=True)
class GradientStepLesson(Lesson, kind="gradient-step"):
    """One weight, one bias, one sample: a step of gradient descent by hand, and on to convergence.

    Raises InputError where the prediction is right before the first step.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, sections 4.3 and 5.9.

    >>> step = GradientStepLesson().steps(0.1)[0]
    >>> step.after.params[0].W.round(6).tolist(), step.after.params[0].b.round(6).tolist()
    ([[1.4]], [0.2])
    """

    title = "One step of gradient descent"
    subject = "A linear unit takes one step by hand, then goes on; which rates converge, and which do not."

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
                f"expected a start that is wrong, received one whose prediction is the target {self.target:g}; "
                "choose another w",
            )

    @property
    def limit(self) -> float:
        """The rate above which the steps lead away: 2 / (x² + 1)."""
        return safe_rate(np.array([[self.x]]))

    def steps(self, rate: float) -> list[TrainingStep]:
        """The first `count` steps and one more, which is looked at only for where it starts."""
        dense = Dense(1, init=Given(((self.w,),)), bias_init=Given((self.b,)))
        batch = unweighted_batch(np.array([[self.x]]), np.array([[self.target]]))
        return list(islice(training_steps(Network((dense,)), SquaredError(), SGD(rate), repeat(batch)), self.count + 1))

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        """The page."""
        steps = self.steps(self.learning_rate)
        yield Text(
            "One linear unit with one input meets one sample. It predicts, the loss says how wrong it is, the gradient "
            "says which way is uphill, and the step goes a little way down. Then the same again, until nothing is left "
            "to learn."
        )
        yield Formula(
            "z = x w + b\n"
            "L = ½ (z - t)²\n"
            "dL/dz = z - t;   dL/dw = x dL/dz;   dL/db = dL/dz\n"
            "w ← w - η dL/dw;   b ← b - η dL/db"
        )
        yield from self._first(steps[0])
        yield from self._onwards(steps)
        yield from self._rates()
        yield Suggestion(
            "a rate that leads away", f"thalweg lesson gradient-step --set learning_rate={1.2 * self.limit:.3g}"
        )
        yield Suggestion(
            "the rate that is there in one step",
            f"thalweg lesson gradient-step --set learning_rate={self.limit / 2:.6g} --set count=5",
        )
        yield Suggestion("a larger input: the same rate is too large now", "thalweg lesson gradient-step --set x=5")

    def _first(self, step: TrainingStep) -> Iterator[Block]:
        yield Heading("One step")
        params, grads, after = (tree[0] for tree in (step.before.params, step.trace.grads, step.after.params))
        updates, z, delta = step.trace.updates[0], step.trace.outputs[-1], step.trace.deltas[-1]
        yield Table(
            f"x = {self.x:g}, t = {self.target:g}, η = {self.learning_rate:g}; with one sample every matrix is 1 × 1",
            ("quantity", "formula", "value"),
            [
                ("weight before", "w", params.W.item()),
                ("bias before", "b", params.b.item()),
                ("prediction", "z = x w + b", z.item()),
                ("loss", "L = ½ (z - t)²", float(step.trace.loss)),
                ("delta", "dL/dz = z - t", delta.item()),
                ("gradient of the weight", "dL/dw = x dL/dz", grads.W.item()),
                ("gradient of the bias", "dL/db = dL/dz", grads.b.item()),
                ("update of the weight", "-η dL/dw", updates.W.item()),
                ("update of the bias", "-η dL/db", updates.b.item()),
                ("weight after", "w", after.W.item()),
                ("bias after", "b", after.b.item()),
            ],
        )
        gradients = [grads.W.item(), grads.b.item()]
        yield Check("The prediction is 2", z.item(), 2.0, 1e-12)
        yield Check("The loss is 2", float(step.trace.loss), 2.0, 1e-12)
        yield Check("The gradients are dL/dw = -4 and dL/db = -2", gradients, [-4.0, -2.0], 1e-12)
        yield Check("After the step w = 1.4 and b = 0.2", [after.W.item(), after.b.item()], [1.4, 0.2], 1e-12)

    def _onwards(self, steps: list[TrainingStep]) -> Iterator[Block]:
        yield Heading("On to convergence")
        errors = _errors(steps)
        factor = 1 - self.learning_rate * (self.x**2 + 1)
        yield Text(
            "A step changes the prediction by x Δw + Δb = -η (x² + 1) (z - t). So each step multiplies the error z - t "
            f"by the same factor, here {factor:.4g}, and the loss by its square."
        )
        yield Formula("e = z - t;   e ← (1 - η (x² + 1)) e")
        way = np.array([[step.before.params[0].W.item(), step.before.params[0].b.item()] for step in steps])
        shown = [*range(min(5, len(steps))), *range(5, len(steps), max(1, self.count // 3))]
        yield Table(
            "The steps",
            ("steps done", "w", "b", "prediction", "error z - t", "loss"),
            [
                (index, *way[index].tolist(), steps[index].trace.outputs[-1].item(), errors[index], loss)
                for index, loss in ((index, float(steps[index].trace.loss)) for index in shown)
            ],
        )
        yield Check("A step multiplies the error by 1 - η (x² + 1)", errors[1] / errors[0], factor, 1e-9)
        yield Check(f"After {self.count} steps the prediction is the target", errors[-1], 0.0, 1e-6)
        moved = way[-1] - way[0]
        yield Text(
            f"Every gradient is a multiple of (x, 1) = ({self.x:g}, 1). So the way is straight, at a right angle to "
            "the floor of the valley, the line x w + b = t. Where it converges, it ends at the nearest of all weights "
            f"that solve the task. After {self.count} steps w = {way[-1, 0]:.4g} and b = {way[-1, 1]:.4g}."
        )
        rounding = float(1e-9 * (1 + np.abs(moved).sum()))
        yield Check("The way is a multiple of (x, 1)", float(moved[0] - self.x * moved[1]), 0.0, rounding)
        yield Chart(
            self._valley(way),
            "The loss over w and b is a valley with a straight floor. The way starts at the open circle and goes "
            "straight down its side.",
        )

    def _valley(self, way: np.ndarray) -> go.Figure:
        way = way[np.abs(way).max(axis=1) < 1e3]
        low, high = way.min(axis=0) - 1, way.max(axis=0) + 1
        w, b = np.linspace(low[0], high[0], 81), np.linspace(low[1], high[1], 81)
        # Each point of the plane is a unit of its own.
        units = Affine(np.tile(w, len(b))[None], np.repeat(b, len(w)))
        z, _, _ = Dense(w.size * b.size).forward(units, (), np.array([[self.x]]), ForwardContext(training=False))
        loss, _ = SquaredError().terms(z.T, np.full_like(z.T, self.target))
        values = loss.reshape(len(b), len(w))
        figure = contours(w, b, values, {"gradient descent": way}, "The way through the valley", ("w", "b"))
        # With one scale for both axes a right angle looks like one.
        return figure.update_xaxes(constrain="domain").update_yaxes(scaleanchor="x", constrain="domain")

    def _rates(self) -> Iterator[Block]:
        yield Heading("Which rates converge")
        yield Text(
            "The factor 1 - η (x² + 1) lies between -1 and 1 as long as η < 2 / (x² + 1), which is "
            f"{self.limit:.4g} here. Below half of that the error keeps its sign; above half of it, it changes sign in "
            "every step and shrinks nevertheless; above the limit it grows."
        )
        shares = (0.5, 0.9, 1.0, 1.1)
        rates = sorted({self.learning_rate, *(share * self.limit for share in shares)})
        walks = {rate: self.steps(rate) for rate in rates}
        yield Table(
            "The same start with other rates",
            ("rate η", "η / limit", "error before", "after 1 step", f"loss after {self.count} steps"),
            [
                (rate, rate / self.limit, *_errors(steps[:2]), float(steps[-1].trace.loss))
                for rate, steps in walks.items()
            ],
        )
        # Later on an error may be as small as rounding, or too large for a number.
        half, below, level, above = (np.abs(_errors(walks[share * self.limit][:20])) for share in shares)
        yield Check("At half of the limit one step is enough", float(half[1] / half[0]), 0.0, 1e-9)
        yield Check("At 0.9 of the limit the error becomes smaller step by step", bool(np.all(below[1:] < below[:-1])))
        yield Check("At the limit the error keeps its size", float(level[-1] / level[0]), 1.0, 1e-9)
        yield Check("At 1.1 of the limit the error becomes larger step by step", bool(np.all(above[1:] > above[:-1])))
        series = {f"η = {rate:.3g}": [float(step.trace.loss) for step in steps] for rate, steps in walks.items()}
        yield Chart(
            curves(np.arange(self.count + 1), series, "Loss by step", "steps done", "loss", log=True),
            "The logarithm of the loss runs along a straight line: down below the limit, level at it, up above it. "
            "Where one step is enough there is no line, for 0 has no logarithm.",
        )


def _errors(steps: list[TrainingStep]) -> list[float]:
    return [step.trace.deltas[-1].item() for step in steps]
