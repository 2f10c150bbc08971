"""Output activations paired with losses: the delta of each pair, derived and measured side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from ...core.arrays import Array
from ...core.errors import InputError, Problem
from ...core.noise import generator
from ...core.progress import ProgressMessage
from ...engine.step import ForwardBackward, forward_backward, fused
from ...models.network import Network
from ...pages.blocks import ArrayBlock, Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves
from ...pages.numbers import inline, number
from ...parts.layers import Dense, Identity, Sigmoid, Softmax
from ...parts.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    SigmoidBinaryCrossEntropy,
    SoftmaxCrossEntropy,
    SquaredError,
    as_targets,
)
from ...parts.part import Count, ForwardContext, Layer, Loss, Number
from ..affine import affine_at
from ..lesson import Lesson
from ..step_by_step import unweighted_batch

_STEP = 1e-5


class OutputDelta(NamedTuple):
    """dL/dz at the output layer by the chain rule, its two factors, and its value by finite differences.

    Attributes:
        y: The outputs (n, K).
        by_output: dL/dy (n, K).
        slope: dy/dz summed over the outputs (n, K).
        delta: dL/dz (n, K).
        measured: dL/dz by central differences of the loss (n, K).
    """

    y: Array
    by_output: Array
    slope: Array
    delta: Array
    measured: Array


def output_delta(output: Layer, loss: Loss, z: Array, targets: Array) -> OutputDelta:
    """The chain rule from the loss of each sample back to the net inputs z (n, K) of the output layer.

    >>> result = output_delta(Sigmoid(), SquaredError(), np.array([[0.0]]), np.array([[1.0]]))
    >>> result.by_output.tolist(), result.slope.tolist(), result.delta.tolist()
    ([[-0.5]], [[0.25]], [[-0.125]])
    """
    context = ForwardContext(training=True)

    def loss_at(z: Array) -> Array:
        return loss.terms(output.forward((), (), z, context)[0], targets)[0]

    y, _, cache = output.forward((), (), z, context)
    _, by_output = loss.terms(y, targets)
    delta, _ = output.backward((), cache, by_output)
    slope, _ = output.backward((), cache, np.ones_like(y))
    steps = _STEP * np.eye(z.shape[1])
    measured = np.stack([(loss_at(z + step) - loss_at(z - step)) / (2 * _STEP) for step in steps], axis=1)
    return OutputDelta(y=y, by_output=by_output, slope=slope, delta=delta, measured=measured)


@dataclass(frozen=True)
class PairingsLesson(Lesson, kind="pairings"):
    """The delta at the output for each pair of activation and loss, by the chain rule and by finite differences.

    Raises InputError if `truth` is not the index of a logit.

    Source: Goodfellow, Bengio, Courville 2016, sections 6.2.1 and 6.2.2; Bishop 2006, section 5.2.

    Attributes:
        target: The target of the identity and of the sigmoid.
        saturated: A net input at which the sigmoid is saturated and wrong.
        logits: The logits of the softmax.
        truth: The true class.
        large: The size of the large logits.
        samples: The number of samples in the batch.
        features: The number of features of the batch.
        seed: Decides the batch and the weights.

    >>> result = output_delta(Identity(), SquaredError(), np.array([[2.0]]), np.array([[4.0]]))
    >>> result.delta.tolist(), result.measured.round(6).tolist()
    ([[-2.0]], [[-2.0]])
    """

    title = "Output and loss: the delta of each pairing"
    subject = "Why some pairings learn from their worst mistakes and others do not; stable softmax; means over a batch."
    chapter = "Outputs and losses"
    place = 1

    target: Literal[0, 1] = 1
    saturated: Number = -8.0
    logits: Annotated[tuple[Number, ...], Field(min_length=2)] = (2.0, 1.0, 0.1)
    truth: Annotated[int, Field(ge=0)] = 0
    large: Number = 1000.0
    samples: Count = 4
    features: Count = 3
    seed: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.truth >= len(self.logits):
            last = len(self.logits) - 1
            raise InputError(self.kind, [Problem("truth", f"expected a class from 0 to {last}, received {self.truth}")])

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "Learning starts with delta = dL/dz at the output: the derivative of the loss with respect to the net "
            "input of the last layer. It is the product of two factors, one of the loss and one of the activation. "
            "Each pairing below is computed by the chain rule and checked by finite differences of the loss."
        )
        yield Formula("dL/dz = dL/dy · dy/dz,   measured as (L(z + h) - L(z - h)) / 2h")
        yield from self._identity()
        yield from self._sigmoid()
        yield from self._softmax()
        yield from self._large_logits()
        yield from self._batch()
        yield Suggestion(
            "a target of 0: the other end saturates", "thalweg lesson pairings --set target=0 --set saturated=8"
        )
        yield Suggestion(
            "a logit so small that probabilities are clipped", "thalweg lesson pairings --set saturated=-40"
        )
        yield Suggestion("larger matrices", "thalweg lesson pairings --set samples=32 --set features=10")

    def _identity(self) -> Iterator[Block]:
        yield Heading("Identity and squared error")
        yield Formula("y = z,   L = ½ (y - t)²:   dL/dy = y - t,   dy/dz = 1,   dL/dz = y - t")
        z = np.array([[-2.0], [0.0], [0.5], [3.0]])
        result = output_delta(Identity(), SquaredError(), z, np.full_like(z, self.target))
        yield _factors_table(f"Identity and squared error, t = {self.target}", z, result)
        yield Check("delta is the error y - t", result.delta, z - self.target, 1e-12)
        yield Check("Identity: finite differences of the loss agree", result.measured, result.delta, 1e-8)

    def _sigmoid(self) -> Iterator[Block]:
        yield Heading("Sigmoid: squared error against binary cross-entropy")
        yield Formula(
            "y = 1 / (1 + exp(-z)),   dy/dz = y (1 - y)\n"
            "L = ½ (y - t)²:   dL/dz = (y - t) y (1 - y)\n"
            "L = -t log y - (1 - t) log(1 - y):   dL/dy = (y - t) / (y (1 - y)),   dL/dz = y - t"
        )
        z = np.array([[self.saturated], [self.saturated / 2], [0.0], [-self.saturated / 2], [-self.saturated]])
        targets = np.full_like(z, self.target)
        squared = output_delta(Sigmoid(), SquaredError(), z, targets)
        entropy = output_delta(Sigmoid(), BinaryCrossEntropy(), z, targets)
        _, short = SigmoidBinaryCrossEntropy().terms(z, targets)
        yield _factors_table(f"Sigmoid and squared error, t = {self.target}", z, squared)
        yield _factors_table(f"Sigmoid and binary cross-entropy, t = {self.target}", z, entropy)
        yield Text(
            f"At z = {number(self.saturated)} the output is y = {number(squared.y[0, 0], 3)} and the target "
            f"{self.target}. The slope of the sigmoid is {number(squared.slope[0, 0], 3)} there, so squared error "
            f"passes back a delta of only {number(squared.delta[0, 0], 3)}: the unit hardly learns from its worst "
            "mistake. Cross-entropy divides by the same slope that the chain rule multiplies with; its delta is "
            f"{number(short[0, 0], 6)}."
        )
        yield Check(
            "Squared error: delta is (y - t) y (1 - y)", squared.delta, (squared.y - targets) * squared.slope, 1e-12
        )
        yield Check("Sigmoid: finite differences of the squared error agree", squared.measured, squared.delta, 1e-8)
        yield Check("Cross-entropy: delta is y - t", entropy.delta, entropy.y - targets, 1e-9)
        yield Check(
            f"At z = {number(self.saturated)} squared error leaves less than a thousandth of that delta",
            bool(abs(squared.delta[0, 0]) < abs(short[0, 0]) / 1000),
        )
        yield from self._clipped_probability()
        yield self._delta_chart()

    def _clipped_probability(self) -> Iterator[Block]:
        """A net input at which the chain rule, factor by factor, loses the delta."""
        z = np.array([[-40.0 if self.target else 40.0]])
        targets = np.full_like(z, self.target)
        by_factors = output_delta(Sigmoid(), BinaryCrossEntropy(), z, targets).delta.item()
        fused_delta = SigmoidBinaryCrossEntropy().terms(z, targets)[1].item()
        yield Text(
            f"At z = {number(z.item())} one factor is close to 0 and the other close to infinity. The loss on "
            f"probabilities clips y to at least 1e-7, so the product of the factors is {number(by_factors, 6)} there. "
            "Therefore the engine fuses this pair, and also softmax with cross-entropy, into one loss on z. Its delta "
            f"is y - t, here {number(fused_delta, 6)}."
        )
        yield Check("Fused, delta is still y - t there", fused_delta, float(-self.target or 1), 1e-12)

    def _delta_chart(self) -> Chart:
        z = np.linspace(-10, 10, 201)[:, None]
        targets = np.full_like(z, self.target)
        series = {
            "sigmoid + squared error": np.abs(output_delta(Sigmoid(), SquaredError(), z, targets).delta[:, 0]),
            "sigmoid + binary cross-entropy": np.abs(SigmoidBinaryCrossEntropy().terms(z, targets)[1][:, 0]),
        }
        wrong = "left" if self.target else "right"
        return Chart(
            curves(z[:, 0], series, f"|delta| over z, target {self.target}", "z", "|delta|", log=True),
            f"On the {wrong} the output is wrong. There the delta of cross-entropy approaches 1, and that of squared "
            "error approaches 0.",
        )

    def _softmax(self) -> Iterator[Block]:
        yield Heading("Softmax and cross-entropy: the full Jacobian against y - t")
        yield Formula(
            "y = softmax(z),   J_kj = dy_k/dz_j = y_k (1[k = j] - y_j)\n"
            "L = -Σ t log(y / Σ y):   dL/dy_k = 1 - t_k / y_k   (where Σ y = 1)\n"
            "dL/dz = J dL/dy = y - t"
        )
        yield Text(
            "Textbooks write L = -Σ t log y, with dL/dy_k = -t_k / y_k. That is the same loss where Σ y = 1, as after "
            "softmax, and the same dL/dz. Divided by Σ y, larger outputs alone do not make the loss smaller: this "
            "matters after another last layer."
        )
        z = np.array([self.logits])
        targets = as_targets(z, np.array([self.truth]))
        result = output_delta(Softmax(), CrossEntropy(), z, targets)
        _, _, cache = Softmax().forward((), (), np.repeat(z, z.shape[1], axis=0), ForwardContext(training=True))
        # Row k is the backward pass from y_k alone.
        jacobian, _ = Softmax().backward((), cache, np.eye(z.shape[1]))
        _, short = SoftmaxCrossEntropy().terms(z, targets)
        yield ArrayBlock("y", result.y, "softmax(z)", f"z = {inline(self.logits)}")
        yield ArrayBlock("J", jacobian, "y_k (1[k = j] - y_j)", "one row for each output, one column for each logit")
        yield ArrayBlock("dL/dy", result.by_output, "1 - t_k / y_k", f"t is 1 for class {self.truth}")
        yield ArrayBlock("J dL/dy", result.delta, remark="by the chain rule")
        yield ArrayBlock("y - t", short, remark="the short form that the engine uses")
        yield ArrayBlock("differences", result.measured, "(L(z + h) - L(z - h)) / 2h")
        yield Check(
            "J times dL/dy is the result of the engine's backward pass",
            result.by_output @ jacobian,
            result.delta,
            1e-12,
        )
        yield Check("J dL/dy is y - t", result.delta, short, 1e-9)
        yield Check("Softmax: finite differences of the loss agree", result.measured, short, 1e-8)
        yield Check("Each row of J sums to 0", jacobian.sum(axis=1), np.zeros(z.shape[1]), 1e-12)

    def _large_logits(self) -> Iterator[Block]:
        yield Heading("Large logits")
        z = self.large + np.arange(3.0)[None]
        with np.errstate(over="ignore", invalid="ignore"):
            naive = np.exp(z) / np.exp(z).sum()
        y, _, _ = Softmax().forward((), (), z, ForwardContext(training=True))
        loss, delta = SoftmaxCrossEntropy().terms(z, np.array([[1.0, 0.0, 0.0]]))
        yield Text(
            f"Computed literally, the formula of softmax needs exp({number(self.large)}). Numbers of 64 bits overflow "
            "at about exp(709), and infinity divided by infinity is not a number. Subtracting the maximum from all "
            "logits changes no ratio and leaves exponents of at most 0."
        )
        yield Formula("softmax(z) = softmax(z - max z);   log softmax(z) = s - log Σ exp(s),   s = z - max z")
        yield ArrayBlock("naive", naive, "exp(z_k) / Σ_j exp(z_j)", f"z = {inline(z)}")
        yield ArrayBlock("y", y, "softmax(z - max z)")
        yield ArrayBlock("L", loss, "-log softmax(z)_t", "for class 0")
        yield ArrayBlock("delta", delta, "y - t")
        small, _, _ = Softmax().forward((), (), z - self.large, ForwardContext(training=True))
        yield Check("The naive softmax is not a number", bool(np.isnan(naive).all()))
        yield Check("The engine's softmax is that of (0, 1, 2)", y, small, 1e-12)
        yield Check("Its loss and its delta are finite", bool(np.isfinite(loss).all() and np.isfinite(delta).all()))

    def _batch(self) -> Iterator[Block]:
        yield Heading("A batch: shapes and means")
        rng = generator(self.seed, "lesson")
        classes = len(self.logits)
        x = rng.standard_normal((self.samples, self.features))
        labels = rng.integers(classes, size=self.samples)
        network, loss = fused(Network((Dense(classes), Softmax())), CrossEntropy())
        start = network.initialize(self.seed, (self.features,))

        def gradients_of(rows: slice) -> ForwardBackward:
            batch = unweighted_batch(x[rows], labels[rows])
            return forward_backward(network, loss, start.params, start.states, batch, ForwardContext(training=True))

        whole = gradients_of(slice(None))
        single = [gradients_of(slice(row, row + 1)) for row in range(self.samples)]
        z = whole.outputs[0]
        delta = whole.deltas[0]
        grads = affine_at(whole.grads)
        params = affine_at(start.params)
        yield Text(
            "The loss of a batch is the mean over its samples, so each row of delta contains the factor 1/n. The sum "
            "in xᵀ delta is then a mean: the gradient does not grow with the batch, and one learning rate suits all "
            "batch sizes."
        )
        arrays = [
            ("x", "one row for each sample", x),
            ("W", "one row for each feature, one column for each class", params.W),
            ("b", "", params.b),
            ("z", "x W + b", z),
            ("y", "softmax(z)", loss.probabilities(z)),
            ("t", "a 1 in each row", as_targets(z, labels)),
            ("delta", "(y - t) / n", delta),
            ("dL/dW", "xᵀ delta", grads.W),
            ("dL/db", "Σ delta over the samples", grads.b),
        ]
        yield Table(
            f"n = {self.samples} samples, {self.features} features, {classes} classes",
            ("matrix", "formula", "shape"),
            [(name, formula, _shape(array)) for name, formula, array in arrays],
        )
        yield ArrayBlock("delta", delta, "(y - t) / n")
        yield ArrayBlock("dL/dW", grads.W, "xᵀ delta")
        yield ArrayBlock("dL/db", grads.b, "Σ delta")
        losses = [float(sample.loss) for sample in single]
        mean_W = np.mean([affine_at(sample.grads).W for sample in single], axis=0)
        mean_b = np.mean([affine_at(sample.grads).b for sample in single], axis=0)
        yield Check("The loss is the mean of the samples' losses", float(whole.loss), float(np.mean(losses)), 1e-12)
        yield Check("dL/dW is the mean of the samples' gradients", grads.W, mean_W, 1e-12)
        yield Check("dL/db is the mean of the samples' gradients", grads.b, mean_b, 1e-12)


def _factors_table(caption: str, z: Array, result: OutputDelta) -> Table:
    columns = (z, result.y, result.by_output, result.slope, result.delta, result.measured)
    rows = np.concatenate(columns, axis=1).tolist()
    return Table(caption, ("z", "y", "dL/dy", "dy/dz", "delta", "by differences"), rows)


def _shape(array: Array) -> str:
    return " × ".join(str(size) for size in array.shape)
