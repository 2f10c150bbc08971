"""One iteration of a network of two layers, from a batch of images to the new weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import numpy as np
import plotly.graph_objects as go
from pydantic import Field

from ...core.arrays import Array, Tree, arrays_of, rms
from ...core.progress import ProgressMessage
from ...data import ImageShape, Source, Split
from ...engine.step import Batch, Plan, State, Trace, forward_backward
from ...pages.blocks import ArrayBlock, Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import TEMPLATE, delta_by_layer
from ...pages.numbers import number, percent
from ...parts.losses import as_targets
from ...parts.optimizers import Adam, adam_moments
from ...parts.part import Count, ForwardContext, Positive
from ...spec.spec import Spec
from ...training.replay import replay, trace_step
from ...training.session import Session
from ..affine import affine_at
from ..lesson import Lesson
from ..recorded_training import classification_rows

_PARAMETERS = ("W1", "b1", "W2", "b2")


class IterationStep(NamedTuple):
    """One step of the training.

    Attributes:
        split: The rows of the training, and how they were prepared.
        plan: Network, loss and optimizer.
        before: The state before the step.
        trace: All numbers of the step.
        after: The state after the step.
    """

    split: Split
    plan: Plan
    before: State
    trace: Trace
    after: State


@dataclass(frozen=True)
class IterationLesson(Lesson, kind="iteration"):
    """Forward, loss, backward and Adam for one batch: images -> dense -> ReLU -> dense -> softmax, with He's weights.

    Raises InputError for data without classes.

    Source: Goodfellow, Bengio, Courville 2016, algorithms 6.3 and 6.4; Kingma and Ba 2015, algorithm 1.

    Attributes:
        batch_size: The number of images in the batch.
        hidden: The number of hidden units.
        learning_rate: The learning rate of Adam.
        step: The iteration that is shown, counted from 1; the earlier ones are run first.
        seed: Decides the weights and the order of the images.
        data: The images.

    >>> trace = IterationLesson().compute_step().trace
    >>> [delta.shape for delta in trace.deltas[:3]], trace.grads[0].W.shape
    ([(32, 32), (32, 32), (32, 10)], (64, 32))
    """

    batch_size: Count = 32
    hidden: Count = 32
    learning_rate: Positive = 0.01
    step: Count = 1
    seed: Annotated[int, Field(ge=0, strict=True)] = 0
    data: Source = field(default_factory=lambda: Source.of("digits"))

    title = "A whole iteration"
    subject = "A batch of images through two layers and back, with the shape of every matrix, to Adam's update."
    chapter = "Outputs and losses"
    place = 3

    def compute_step(self) -> IterationStep:
        """The step that is shown."""
        session = Session.load(self._spec(classification_rows(self.data, self.seed).outputs))
        (point,) = replay(session, [self.step - 1]).states
        # The last batch of an epoch may be padded with rows of weight 0.
        real = point.batch.weight > 0
        point = point._replace(batch=Batch(*(array[real] for array in point.batch)))
        after, trace = trace_step(session.plan, point)
        return IterationStep(split=session.split, plan=session.plan, before=point.state, trace=trace, after=after)

    @property
    def playground(self) -> Spec:
        return self._spec(classification_rows(self.data, self.seed).outputs)

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield ProgressMessage(f"step {self.step}", None)
        step = self.compute_step()
        batch = step.trace.batch
        n, inputs = batch.x.shape
        classes = step.trace.outputs[2].shape[1]
        yield Text(
            f"{n} images of {inputs} pixels go through {self.hidden} ReLU units and {classes} outputs, and their errors"
            " come back as delta, layer by layer. Samples are rows: x has one row for each image."
        )
        if step.split.preprocessing.image_shape:
            names = step.split.preprocessing.target_names
            yield _first_image(batch, step.split.preprocessing.image_shape, names)
        yield Table("All arrays of the step", ["array", "content", "shape"], _shapes(step))
        yield from self._forward(step)
        yield from self._backward(step)
        yield from self._update(step)
        yield Suggestion(
            "the hundredth iteration: Adam's averages have filled", "thalweg lesson iteration --set step=100"
        )
        yield Suggestion(
            "a batch of four, small enough to follow each image", "thalweg lesson iteration --set batch_size=4"
        )
        yield Suggestion(
            "a learning rate that is far too large for the batch",
            "thalweg lesson iteration --set learning_rate=1.0",
        )

    def _spec(self, classes: int) -> Spec:
        layers = [f"dense {self.hidden}", "relu", f"dense {classes}", "softmax"]
        return Spec.of(
            {
                "data": {"source": self.data, "validation": 0.0},
                "network": {"layers": layers, "init": "he_normal"},
                "optimizer": {"kind": "adam", "learning_rate": self.learning_rate},
                "training": {
                    "epochs": self.step,
                    "batch_size": self.batch_size,
                    "seed": self.seed,
                    "engine": "eager",
                },
            }
        )

    def _forward(self, step: IterationStep) -> Iterator[Block]:
        z1, a1, z2 = step.trace.outputs[:3]
        p = step.plan.loss.probabilities(z2)
        losses, _ = step.plan.loss.terms(z2, as_targets(z2, step.trace.batch.y))
        loss = float(step.trace.loss)
        yield Heading("Forward")
        yield Formula("z1 = x W1 + b1,  a1 = max(z1, 0),  z2 = a1 W2 + b2,  p = softmax(z2)\nL = mean of -log p[class]")
        yield ArrayBlock("z1", z1, "x W1 + b1")
        yield ArrayBlock("a1", a1, "max(z1, 0)", f"{percent(float(np.mean(z1 > 0)), 2)} of the outputs are positive")
        yield ArrayBlock("z2", z2, "a1 W2 + b2")
        yield ArrayBlock("p", p, "softmax(z2)", "each row sums to 1")
        yield ArrayBlock(
            "L",
            np.asarray(loss),
            "mean of -log p[class]",
            f"the images' losses range from {number(losses.min(), 3)} to {number(losses.max(), 3)}",
        )
        yield Check("Each row of p sums to 1 (largest difference)", _largest(p.sum(axis=1) - 1), 0.0, 1e-12)
        yield Check("L is the mean of the images' losses", loss, float(losses.mean()), 1e-12)

    def _backward(self, step: IterationStep) -> Iterator[Block]:
        trace = step.trace
        first, hidden, output = trace.deltas[:3]
        targets = as_targets(trace.outputs[2], trace.batch.y)
        error = step.plan.loss.probabilities(trace.outputs[2]) - targets
        yield Heading("Backward")
        yield Formula(
            "δ2 = dL/dz2 = (p - t) / n\n"
            "dL/dW2 = a1ᵀ δ2,  dL/db2 = Σ δ2,  dL/da1 = δ2 W2ᵀ\n"
            "δ1 = dL/dz1 = dL/da1 · 1[z1 > 0]\n"
            "dL/dW1 = xᵀ δ1,  dL/db1 = Σ δ1"
        )
        yield ArrayBlock("δ2", output, "(p - t) / n", "t: each row has a single 1, at the class")
        yield ArrayBlock("dL/da1", hidden, "δ2 W2ᵀ")
        zeros = percent(float(np.mean(first == 0)), 2)
        yield ArrayBlock("δ1", first, "dL/da1 · 1[z1 > 0]", f"{zeros} of its entries are exactly 0")
        yield Chart(
            delta_by_layer(
                {"rms of delta": [rms(first), rms(hidden), rms(output)]},
                ["δ1 = dL/dz1", "dL/da1", "δ2 = dL/dz2"],
                "Delta by layer",
            ),
            f"On the way back, from right to left: W2 turns the RMS {number(rms(output), 3)} of δ2 into "
            f"{number(rms(hidden), 3)}, and ReLU removes what belongs to inactive units; {number(rms(first), 3)} is "
            "left.",
        )
        yield Check("δ2 is (p - t) / n (largest difference)", _largest(output - error / len(error)), 0.0, 1e-15)
        yield Check("Each row of δ2 sums to 0 (largest difference)", _largest(output.sum(axis=1)), 0.0, 1e-12)
        inactive = trace.outputs[0] <= 0
        yield Check("δ1 is exactly 0 where z1 ≤ 0 (largest size)", _largest(np.where(inactive, first, 0)), 0.0)

    def _update(self, step: IterationStep) -> Iterator[Block]:
        yield Heading("Adam")
        yield Formula(
            "m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²\n"
            f"m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ),  Δ = -η m̂ / (√v̂ + ε),  t = {self.step}"
        )
        yield _moments_table(step)
        yield ArrayBlock("dL/db2", affine_at(step.trace.grads, 2).b, "Σ δ2")
        yield ArrayBlock("Δb2", affine_at(step.trace.updates, 2).b, "-η m̂ / (√v̂ + ε)")
        yield ArrayBlock("b2 after the step", affine_at(step.after.params, 2).b, "b2 + Δb2")
        before = float(step.trace.loss)
        after = _loss_after(step)
        yield Text(
            f"The loss of the same {len(step.trace.batch.x)} images was {number(before)}; with the new weights it is "
            f"{number(after)}."
        )
        if self.step == 1:
            yield Check(
                "In its first step Adam moves a weight by the learning rate, whatever its gradient (median of |Δ|)",
                _median_update(step),
                self.learning_rate,
                1e-3 * self.learning_rate,
            )
        yield Check("The loss of the batch is lower after the step", after < before)


def _moments_table(step: IterationStep) -> Table:
    """The RMS of all arrays that the update is computed from."""
    optimizer = step.plan.optimizer
    assert isinstance(optimizer, Adam)
    corrected = optimizer.corrected(step.trace.grads, adam_moments(step.after.moments), step.before.step)
    trees = (
        step.before.params,
        step.trace.grads,
        corrected.m,
        corrected.v,
        corrected.m_hat,
        corrected.v_hat,
        step.trace.updates,
    )
    rows = [[rms(array) for array in arrays] for arrays in zip(*map(_arrays, trees), strict=True)]
    return Table(
        "Root mean squares",
        ["array", "value", "gradient g", "m", "v", "m̂", "v̂", "update Δ"],
        [[name, *row] for name, row in zip(_PARAMETERS, rows, strict=True)],
    )


def _median_update(step: IterationStep) -> float:
    """The median of |Δ| over all parameters with a gradient."""
    pairs = zip(_arrays(step.trace.updates), _arrays(step.trace.grads), strict=True)
    return float(np.median(np.concatenate([np.abs(update[grad != 0]) for update, grad in pairs])))


def _loss_after(step: IterationStep) -> float:
    """The loss of the same batch after the step."""
    batch = step.trace.batch
    context = ForwardContext(True, batch.weight)
    result = forward_backward(step.plan.network, step.plan.loss, step.after.params, step.after.layers, batch, context)
    return float(result.loss)


def _largest(array: Array) -> float:
    return float(np.abs(array).max())


def _arrays(tree: Tree) -> list[Array]:
    """W1, b1, W2, b2."""
    return [array for _, array in arrays_of(tree)]


def _shapes(step: IterationStep) -> list[list[str]]:
    """The name, the content and the shape of each array of the step."""
    trace = step.trace
    params = zip(_PARAMETERS, _arrays(step.before.params), strict=True)
    grads = zip(_PARAMETERS, _arrays(trace.grads), strict=True)
    arrays = [
        ("x", "the images", trace.batch.x),
        *((name, "weights" if "W" in name else "biases", array) for name, array in params),
        ("z1, a1", "net inputs and outputs of the hidden units", trace.outputs[0]),
        ("z2, p, t", "logits, probabilities, targets", trace.outputs[2]),
        ("δ2", "dL/dz2", trace.deltas[2]),
        ("δ1", "dL/dz1", trace.deltas[0]),
        *((f"dL/d{name}", "gradient; m, v and Δ have the same shape", array) for name, array in grads),
    ]
    return [[name, content, " × ".join(map(str, np.shape(array)))] for name, content, array in arrays]


def _first_image(batch: Batch, shape: ImageShape, names: tuple[str, ...]) -> Chart:
    label = names[int(batch.y[0])]
    figure = go.Figure(
        go.Heatmap(z=batch.x[0].reshape(*shape[:2], -1).mean(axis=-1), colorscale="Greys", showscale=False)
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    figure.update_layout(template=TEMPLATE, title=f"First image of the batch: class {label}", height=260, width=320)
    return Chart(
        figure, f"The first of the {len(batch.x)} images, {shape[0]} × {shape[1]} pixels; its class is {label}."
    )
