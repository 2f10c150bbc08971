"""Output activations and losses in pairs: the delta of each, derived and measured side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from ...core.errors import InputError, Problem
from ...core.noise import generator
from ...core.progress import ProgressMessage
from ...engine.step import forward_backward, fused
from ...models.network import Network
from ...pages.blocks import ArrayBlock, Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves
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
from ..lesson import Lesson
from ..step_by_step import unweighted_batch

_ASIDE = 1e-5


class OutputDelta(NamedTuple):
    """dL/dz of each row by the chain rule, its two factors, and what central differences of the loss give."""

    y: np.ndarray
    by_output: np.ndarray
    slope: np.ndarray
    delta: np.ndarray
    measured: np.ndarray


def output_delta(output: Layer, loss: Loss, z: np.ndarray, targets: np.ndarray) -> OutputDelta:
    """The way from the loss of each sample back to the net inputs z (n, K) of the output layer.

    >>> found = output_delta(Sigmoid(), SquaredError(), np.array([[0.0]]), np.array([[1.0]]))
    >>> found.by_output.tolist(), found.slope.tolist(), found.delta.tolist()
    ([[-0.5]], [[0.25]], [[-0.125]])
    """
    mode = ForwardContext(training=True)

    def loss_at(z: np.ndarray) -> np.ndarray:
        return loss.terms(output.forward((), (), z, mode)[0], targets)[0]

    y, _, cache = output.forward((), (), z, mode)
    _, by_output = loss.terms(y, targets)
    delta, _ = output.backward((), cache, by_output)
    slope, _ = output.backward((), cache, np.ones_like(y))
    aside = _ASIDE * np.eye(z.shape[1])
    measured = np.stack([(loss_at(z + step) - loss_at(z - step)) / (2 * _ASIDE) for step in aside], axis=1)
    return OutputDelta(y, by_output, slope, delta, measured)


@dataclass(frozen=True)
class PairingsLesson(Lesson, kind="pairings"):
    """Delta of the output for each pairing of activation and loss, by the chain rule and by differences of the loss.

    Raises InputError where a logit has no class beside it.

    Source: Goodfellow, Bengio, Courville 2016, sections 6.2.1 and 6.2.2; Bishop 2006, section 5.2.

    >>> found = output_delta(Identity(), SquaredError(), np.array([[2.0]]), np.array([[4.0]]))
    >>> found.delta.tolist(), found.measured.round(6).tolist()
    ([[-2.0]], [[-2.0]])
    """

    title = "Output and loss: the delta of each pairing"
    subject = "Why some pairings learn from their worst mistakes and others do not; stable softmax; means over a batch."

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
        """The page."""
        yield Text(
            "Learning starts with delta = dL/dz at the output: the derivative of the loss by the net input of the last "
            "layer. It is the product of two factors, one of the loss and one of the activation. Each pairing below is "
            "worked out by the chain rule and checked by differences of the loss itself."
        )
        yield Formula("dL/dz = dL/dy · dy/dz,   measured as (L(z + h) - L(z - h)) / 2h")
        yield from self._identity()
        yield from self._sigmoid()
        yield from self._softmax()
        yield from self._large()
        yield from self._batch()
        yield Suggestion(
            "a target of 0: the other end saturates", "thalweg lesson pairings --set target=0 --set saturated=8"
        )
        yield Suggestion("a logit so small that probabilities are cut", "thalweg lesson pairings --set saturated=-40")
        yield Suggestion("larger matrices", "thalweg lesson pairings --set samples=32 --set features=10")

    def _identity(self) -> Iterator[Block]:
        yield Heading("Identity and squared error")
        yield Formula("y = z,   L = ½ (y - t)²:   dL/dy = y - t,   dy/dz = 1,   dL/dz = y - t")
        z = np.array([[-2.0], [0.0], [0.5], [3.0]])
        found = output_delta(Identity(), SquaredError(), z, np.full_like(z, self.target))
        yield _side_by_side(f"Identity and squared error, t = {self.target}", z, found)
        yield Check("delta is the error y - t", found.delta, z - self.target, 1e-12)
        yield Check("Differences of the loss give the same", found.measured, found.delta, 1e-8)

    def _sigmoid(self) -> Iterator[Block]:
        yield Heading("Sigmoid: squared error against binary cross-entropy")
        yield Formula(
            "y = 1 / (1 + exp(-z)),   dy/dz = y (1 - y)\n"
            "L = ½ (y - t)²:   dL/dz = (y - t) y (1 - y)\n"
            "L = -t log y - (1 - t) log(1 - y):   dL/dy = (y - t) / (y (1 - y)),   dL/dz = y - t"
        )
        z = np.array([[self.saturated], [self.saturated / 2], [0.0], [-self.saturated / 2], [-self.saturated]])
        targets = np.full_like(z, self.target)
        squared, entropy = (
            output_delta(Sigmoid(), loss, z, targets) for loss in (SquaredError(), BinaryCrossEntropy())
        )
        _, short = SigmoidBinaryCrossEntropy().terms(z, targets)
        yield _side_by_side(f"Sigmoid and squared error, t = {self.target}", z, squared)
        yield _side_by_side(f"Sigmoid and binary cross-entropy, t = {self.target}", z, entropy)
        yield Text(
            f"At z = {self.saturated:g} the answer is y = {squared.y[0, 0]:.3g} and the target {self.target}. The "
            f"slope of the sigmoid is {squared.slope[0, 0]:.3g} there, and the squared error passes on a delta of "
            f"{squared.delta[0, 0]:.3g}: the unit hardly learns from its worst mistake. Cross-entropy divides by the "
            f"very slope that the chain rule multiplies with; its delta is {short[0, 0]:.6g}."
        )
        yield Check(
            "Squared error: delta is (y - t) y (1 - y)", squared.delta, (squared.y - targets) * squared.slope, 1e-12
        )
        yield Check("Differences of the loss give the same", squared.measured, squared.delta, 1e-8)
        yield Check("Cross-entropy: delta is y - t", entropy.delta, entropy.y - targets, 1e-9)
        weak = bool(abs(squared.delta[0, 0]) < abs(short[0, 0]) / 1000)
        yield Check(f"At z = {self.saturated:g} squared error leaves less than a thousandth of that delta", weak)
        far = np.array([[-40.0 if self.target else 40.0]])
        by_factors = output_delta(Sigmoid(), BinaryCrossEntropy(), far, targets[:1]).delta.item()
        as_one = SigmoidBinaryCrossEntropy().terms(far, targets[:1])[1].item()
        yield Text(
            f"At z = {far.item():g} one factor is next to 0 and the other next to infinity. The loss on probabilities "
            f"cuts y to at least 1e-7, so that factor by factor delta is {by_factors:g} there. So the engine runs this "
            f"pair as one, and softmax with cross-entropy too: y - t, which is {as_one:g}."
        )
        yield Check("Run as one, delta is still y - t there", as_one, float(-self.target or 1), 1e-12)
        axis = np.linspace(-10, 10, 201)[:, None]
        wanted = np.full_like(axis, self.target)
        series = {
            "sigmoid + squared error": np.abs(output_delta(Sigmoid(), SquaredError(), axis, wanted).delta[:, 0]),
            "sigmoid + binary cross-entropy": np.abs(SigmoidBinaryCrossEntropy().terms(axis, wanted)[1][:, 0]),
        }
        wrong = "left" if self.target else "right"
        yield Chart(
            curves(axis[:, 0], series, f"|delta| over z, target {self.target}", "z", "|delta|", log=True),
            f"To the {wrong} the answer is wrong. There the delta of cross-entropy comes close to 1, and that of the "
            "squared error to 0.",
        )

    def _softmax(self) -> Iterator[Block]:
        yield Heading("Softmax and cross-entropy: the full Jacobian against y - t")
        yield Formula(
            "y = softmax(z),   J_kj = dy_k/dz_j = y_k (1[k = j] - y_j)\n"
            "L = -Σ t log(y / Σ y):   dL/dy_k = 1 - t_k / y_k   (where Σ y = 1)\n"
            "dL/dz = J dL/dy = y - t"
        )
        z = np.array([self.logits])
        targets = as_targets(z, np.array([self.truth]))
        found = output_delta(Softmax(), CrossEntropy(), z, targets)
        _, _, cache = Softmax().forward((), (), np.repeat(z, z.shape[1], axis=0), ForwardContext(training=True))
        # Row k: how delta comes from y_k alone.
        jacobian, _ = Softmax().backward((), cache, np.eye(z.shape[1]))
        _, short = SoftmaxCrossEntropy().terms(z, targets)
        yield ArrayBlock("y", found.y, "softmax(z)", f"z = {', '.join(f'{value:g}' for value in self.logits)}")
        yield ArrayBlock("J", jacobian, "y_k (1[k = j] - y_j)", "a row an output, a column a logit")
        yield ArrayBlock("dL/dy", found.by_output, "1 - t_k / y_k", f"t is 1 for class {self.truth}")
        yield ArrayBlock("J dL/dy", found.delta, remark="by the chain rule")
        yield ArrayBlock("y - t", short, remark="the short form, as the engine runs it")
        yield ArrayBlock("differences", found.measured, "(L(z + h) - L(z - h)) / 2h")
        yield Check(
            "J times dL/dy is what the engine's backward pass gives", found.by_output @ jacobian, found.delta, 1e-12
        )
        yield Check("It is y - t", found.delta, short, 1e-9)
        yield Check("Differences of the loss give the same", found.measured, short, 1e-8)
        yield Check("Each row of J sums to 0", jacobian.sum(axis=1), np.zeros(z.shape[1]), 1e-12)

    def _large(self) -> Iterator[Block]:
        yield Heading("Large logits")
        z = self.large + np.arange(3.0)[None]
        with np.errstate(over="ignore", invalid="ignore"):
            naive = np.exp(z) / np.exp(z).sum()
        y, _, _ = Softmax().forward((), (), z, ForwardContext(training=True))
        value, delta = SoftmaxCrossEntropy().terms(z, np.array([[1.0, 0.0, 0.0]]))
        yield Text(
            f"Taken by its word, the formula of softmax asks for exp({self.large:g}). Numbers of 64 bits end at about "
            f"exp(709), and infinity divided by infinity is no number. Subtracting the maximum from all logits changes "
            "no ratio and leaves exponents of at most 0."
        )
        yield Formula("softmax(z) = softmax(z - max z);   log softmax(z) = s - log Σ exp(s),   s = z - max z")
        yield ArrayBlock(
            "naive", naive, "exp(z_k) / Σ_j exp(z_j)", f"z = {', '.join(f'{number:g}' for number in z[0])}"
        )
        yield ArrayBlock("y", y, "softmax(z - max z)")
        yield ArrayBlock("L", value, "-log softmax(z)_t", "for class 0")
        yield ArrayBlock("delta", delta, "y - t")
        small, _, _ = Softmax().forward((), (), z - self.large, ForwardContext(training=True))
        yield Check("The naive softmax is no number", bool(np.isnan(naive).all()))
        yield Check("The engine's is that of (0, 1, 2)", y, small, 1e-12)
        yield Check(
            "Its loss is finite, and so is its delta", bool(np.isfinite(value).all() and np.isfinite(delta).all())
        )

    def _batch(self) -> Iterator[Block]:
        yield Heading("A batch: shapes and means")
        rng, classes = generator(self.seed, "lesson"), len(self.logits)
        x, labels = rng.standard_normal((self.samples, self.features)), rng.integers(classes, size=self.samples)
        network, loss = fused(Network((Dense(classes), Softmax())), CrossEntropy())
        start = network.initialize(self.seed, (self.features,))

        def surveyed(rows: slice) -> Any:
            batch = unweighted_batch(x[rows], labels[rows])
            return forward_backward(network, loss, start.params, start.states, batch, ForwardContext(training=True))

        whole, single = surveyed(slice(None)), [surveyed(slice(row, row + 1)) for row in range(self.samples)]
        W, z, delta, grads = start.params[0].W, whole.outputs[0], whole.deltas[0], whole.grads[0]
        yield Text(
            "The loss of a batch is the mean over its samples, so each row of delta carries the factor 1/n. The sum in "
            "xᵀ delta is then a mean: the gradient does not grow with the batch, and one learning rate suits them all."
        )
        yield Table(
            f"n = {self.samples} samples, {self.features} features, {classes} classes",
            ("matrix", "formula", "shape"),
            [
                ("x", "a row a sample", _shape(x)),
                ("W", "a row a feature, a column a class", _shape(W)),
                ("b", "", _shape(start.params[0].b)),
                ("z", "x W + b", _shape(z)),
                ("y", "softmax(z)", _shape(loss.probabilities(z))),
                ("t", "a 1 in each row", _shape(as_targets(z, labels))),
                ("delta", "(y - t) / n", _shape(delta)),
                ("dL/dW", "xᵀ delta", _shape(grads.W)),
                ("dL/db", "Σ delta over the samples", _shape(grads.b)),
            ],
        )
        yield ArrayBlock("delta", delta, "(y - t) / n")
        yield ArrayBlock("dL/dW", grads.W, "xᵀ delta")
        yield ArrayBlock("dL/db", grads.b, "Σ delta")
        yield Check(
            "The loss is the mean of the samples' losses", float(whole.loss), _mean([one.loss for one in single]), 1e-12
        )
        means = [_mean([one.grads[0].W for one in single]), _mean([one.grads[0].b for one in single])]
        yield Check("dL/dW is the mean of the samples' gradients", grads.W, means[0], 1e-12)
        yield Check("dL/db is the mean of the samples' gradients", grads.b, means[1], 1e-12)


def _side_by_side(caption: str, z: np.ndarray, found: OutputDelta) -> Table:
    columns = (z, found.y, found.by_output, found.slope, found.delta, found.measured)
    rows = np.concatenate(columns, axis=1).tolist()
    return Table(caption, ("z", "y", "dL/dy", "dy/dz", "delta", "by differences"), rows)


def _mean(values: list[Any]) -> Any:
    return np.mean(values, axis=0)


def _shape(array: np.ndarray) -> str:
    return " × ".join(str(size) for size in array.shape)
