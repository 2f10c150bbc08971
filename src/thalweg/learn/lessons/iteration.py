"""One iteration of a network of two layers, from a batch of images to the new weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import plotly.graph_objects as go
from pydantic import Field

from ...core.arrays import arrays_of, rms
from ...core.progress import ProgressMessage
from ...data import Source, Split
from ...engine.step import Batch, Plan, State, Trace, forward_backward
from ...pages.blocks import ArrayBlock, Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import TEMPLATE, delta_by_layer
from ...parts.losses import as_targets
from ...parts.optimizers import Adam
from ...parts.part import Count, ForwardContext, Positive
from ...spec.spec import Spec
from ...training.replay import replay, trace_step
from ...training.session import Session
from .deltas import classes_of
from .lesson import Lesson

_PARAMETERS = ("W1", "b1", "W2", "b2")


class Step(NamedTuple):
    """A step of a training: the state before it, all its numbers, and the state after it."""

    split: Split
    plan: Plan
    before: State
    trace: Trace
    after: State


@dataclass(frozen=True)
class Iteration(Lesson, kind="iteration"):
    """Forward, loss, backward and Adam for one batch: images -> dense -> ReLU -> dense -> softmax, He's start.

    `step` is the iteration that is shown, counted from 1; those before it are run.

    Raises InputError for data without classes.

    Source: Goodfellow, Bengio, Courville 2016, algorithms 6.3 and 6.4; Kingma and Ba 2015, algorithm 1.

    >>> trace = Iteration().work().trace
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
    quick: ClassVar[Mapping[str, Any]] = {}

    def work(self) -> Step:
        """The step, on the engine."""
        given = self._spec(classes_of(self.data, self.seed).outputs)
        session = Session.load(given)
        (point,) = replay(session, [self.step - 1]).states
        # The last batch of an epoch may be filled up with rows that weigh nothing.
        kept = point.batch.weight > 0
        point = point._replace(batch=Batch(*(array[kept] for array in point.batch)))
        after, trace = trace_step(session.plan, point)
        return Step(session.split, session.plan, point.state, trace, after)

    def tell(self) -> Iterator[Block | ProgressMessage]:
        yield ProgressMessage(f"step {self.step}", None)
        step = self.work()
        batch, trace = step.trace.batch, step.trace
        n, inputs = batch.x.shape
        classes = trace.outputs[2].shape[1]
        yield Text(
            f"{n} images of {inputs} pixels go through {self.hidden} ReLU units and {classes} outputs, and their errors"
            " come back as delta, layer by layer. Samples are rows: x has one row an image."
        )
        if step.split.preprocessing.image_shape:
            names = step.split.preprocessing.target_names
            yield _picture(batch, step.split.preprocessing.image_shape, names)
        yield Table("Every array of the step", ["array", "what it is", "shape"], _shapes(step))
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
            "a rate that is far too large for the batch", "thalweg lesson iteration --set learning_rate=1.0"
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

    def _forward(self, step: Step) -> Iterator[Block]:
        z1, a1, z2 = step.trace.outputs[:3]
        targets = as_targets(z2, step.trace.batch.y)
        p = step.plan.loss.probabilities(z2)
        losses, _ = step.plan.loss.terms(z2, targets)
        yield Heading("Forward")
        yield Formula("z1 = x W1 + b1,  a1 = max(z1, 0),  z2 = a1 W2 + b2,  p = softmax(z2)\nL = mean of -log p[class]")
        yield ArrayBlock("z1", z1, "x W1 + b1")
        yield ArrayBlock("a1", a1, "max(z1, 0)", f"{np.mean(z1 > 0):.0%} of the units answer")
        yield ArrayBlock("z2", z2, "a1 W2 + b2")
        yield ArrayBlock("p", p, "softmax(z2)", "each row sums to 1")
        yield ArrayBlock(
            "L", np.asarray(step.trace.loss), "mean of -log p[class]", f"from {losses.min():.3g} to {losses.max():.3g}"
        )
        yield Check("Each row of p sums to 1 (largest difference)", _largest(p.sum(axis=1) - 1), 0.0, 1e-12)
        yield Check("L is the mean of the images' losses", float(step.trace.loss), float(losses.mean()), 1e-12)

    def _backward(self, step: Step) -> Iterator[Block]:
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
        yield ArrayBlock("δ2", output, "(p - t) / n", "t: one 1 a row, at the class")
        yield ArrayBlock("dL/da1", hidden, "δ2 W2ᵀ")
        yield ArrayBlock("δ1", first, "dL/da1 · 1[z1 > 0]", f"exactly 0 in {np.mean(first == 0):.0%} of its places")
        yield Chart(
            delta_by_layer(
                {"rms of delta": [rms(first), rms(hidden), rms(output)]},
                ["δ1 = dL/dz1", "dL/da1", "δ2 = dL/dz2"],
                "Delta by layer",
            ),
            f"On the way back, from right to left: W2 makes {rms(output):.3g} of δ2 into {rms(hidden):.3g}, and ReLU"
            f" takes away what belongs to silent units; {rms(first):.3g} is left.",
        )
        yield Check("δ2 is (p - t) / n (largest difference)", _largest(output - error / len(error)), 0.0, 1e-15)
        yield Check("Each row of δ2 sums to 0 (largest difference)", _largest(output.sum(axis=1)), 0.0, 1e-12)
        silent = trace.outputs[0] <= 0
        yield Check("δ1 is exactly 0 where z1 ≤ 0 (largest size)", _largest(np.where(silent, first, 0)), 0.0)

    def _update(self, step: Step) -> Iterator[Block]:
        optimizer, moments = step.plan.optimizer, step.after.moments
        assert isinstance(optimizer, Adam)
        made = optimizer.corrected(step.trace.grads, moments, step.before.step)
        yield Heading("Adam")
        yield Formula(
            "m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²\n"
            f"m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ),  Δ = -η m̂ / (√v̂ + ε),  t = {self.step}"
        )
        trees = (step.before.params, step.trace.grads, moments.m, moments.v, made.m_hat, made.v_hat, step.trace.updates)
        rows = [[rms(array) for array in arrays] for arrays in zip(*map(_arrays, trees), strict=True)]
        yield Table(
            "Root mean squares",
            ["array", "value", "gradient g", "m", "v", "m̂", "v̂", "update Δ"],
            [[name, *row] for name, row in zip(_PARAMETERS, rows, strict=True)],
        )
        yield ArrayBlock("dL/db2", step.trace.grads[2].b, "Σ δ2")
        yield ArrayBlock("Δb2", step.trace.updates[2].b, "-η m̂ / (√v̂ + ε)")
        yield ArrayBlock("b2 after the step", step.after.params[2].b, "b2 + Δb2")
        after = self._loss_after(step)
        yield Text(
            f"The same {len(step.trace.batch.x)} images once more, with the new weights: the loss was"
            f" {float(step.trace.loss):.4f}, and is {after:.4f}."
        )
        if self.step == 1:
            strides = [
                np.abs(u[g != 0]) for u, g in zip(*map(_arrays, (step.trace.updates, step.trace.grads)), strict=True)
            ]
            yield Check(
                "In its first step Adam moves a weight by the learning rate, whatever its gradient (median of |Δ|)",
                float(np.median(np.concatenate(strides))),
                self.learning_rate,
                1e-3 * self.learning_rate,
            )
        yield Check("The loss of the batch is lower after the step", after < float(step.trace.loss))

    def _loss_after(self, step: Step) -> float:
        batch, mode = step.trace.batch, ForwardContext(True, step.trace.batch.weight)
        seen = forward_backward(step.plan.network, step.plan.loss, step.after.params, step.after.layers, batch, mode)
        return float(seen.loss)


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max())


def _arrays(tree: Any) -> list[np.ndarray]:
    """W1, b1, W2, b2."""
    return [array for _, array in arrays_of(tree)]


def _shapes(step: Step) -> list[list[str]]:
    """Each array of the step: its name, what it is, its shape."""
    trace = step.trace
    named = [
        ("x", "the images", trace.batch.x),
        *(
            (name, "weights" if "W" in name else "biases", array)
            for name, array in zip(_PARAMETERS, _arrays(step.before.params), strict=True)
        ),
        ("z1, a1", "net inputs and answers of the hidden units", trace.outputs[0]),
        ("z2, p, t", "logits, probabilities, targets", trace.outputs[2]),
        ("δ2", "dL/dz2", trace.deltas[2]),
        ("δ1", "dL/dz1", trace.deltas[0]),
        *(
            (f"dL/d{name}", "gradient; m, v and Δ are of this shape", array)
            for name, array in zip(_PARAMETERS, _arrays(trace.grads), strict=True)
        ),
    ]
    return [[name, what, " × ".join(map(str, np.shape(array)))] for name, what, array in named]


def _picture(batch: Batch, shape: tuple[int, int], names: tuple[str, ...]) -> Chart:
    """The first image of the batch."""
    label = names[int(batch.y[0])]
    figure = go.Figure(go.Heatmap(z=batch.x[0].reshape(shape), colorscale="Greys", showscale=False))
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    figure.update_layout(template=TEMPLATE, title=f"First image of the batch: class {label}", height=260, width=320)
    return Chart(
        figure, f"The first of the {len(batch.x)} images, {shape[0]} × {shape[1]} pixels; its class is {label}."
    )
