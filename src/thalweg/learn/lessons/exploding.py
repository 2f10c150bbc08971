"""Exploding gradients: weights a little too large, many layers, and a bound on the norm that lets the network learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ...core.arrays import Tree, arrays_of
from ...core.progress import ProgressMessage
from ...data import Dataset, Source
from ...engine.eager import Eager
from ...engine.step import Batch, forward_backward
from ...models.network import Network
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves
from ...parts.clipping import ClipGlobalNorm
from ...parts.initializers import Normal
from ...parts.layers import Dense, ReLU
from ...parts.losses import SoftmaxCrossEntropy
from ...parts.part import Count, ForwardContext, Positive
from ...runs.train import run_to_end
from ...spec.spec import Spec
from ...training.batch_plan import as_batch
from .deltas import classes_of, watched
from .lesson import Lesson

_ROWS, _FIRST = 256, 6
_LEARNT = 0.6

Depths = Annotated[tuple[Annotated[int, Field(ge=1, strict=True)], ...], Field(min_length=2)]


@dataclass(frozen=True)
class Exploding(Lesson, kind="exploding"):
    """The gradient by depth for several sizes of the weights, and a training that ends at infinity unless clipped.

    `deviations` are those of the weights before training, the last of them that of the network of `depth` hidden layers
    that is trained; `limit` bounds the norm of its gradient.

    Source: Pascanu, Mikolov, Bengio 2013, sections 2 and 3.2; He et al. 2015, section 2.2.

    >>> lesson = Exploding()
    >>> bool(lesson.norm(0.25, depth=20) > 100 * lesson.norm(0.177, depth=20))
    True
    """

    depths: Depths = (2, 5, 10, 20, 30)
    deviations: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.125, 0.177, 0.21, 0.25)
    draws: Count = 5
    width: Count = 64
    depth: Count = 10
    learning_rate: Positive = 0.1
    limit: Positive = 3.0
    epochs: Count = 15
    seed: Annotated[int, Field(ge=0, strict=True)] = 0
    data: Source = field(default_factory=lambda: Source.of("digits"))

    title = "Exploding gradients"
    subject = "Weights that are a little too large, what many layers make of the gradient, and clipping."
    quick: ClassVar[Mapping[str, Any]] = {"depths": (2, 10), "draws": 2, "epochs": 6}

    def tell(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "What multiplies delta in each layer may also lie above 1. Then the gradient grows with the depth, one step"
            " of gradient descent throws the weights far away, and a few steps later the numbers are infinite."
        )
        yield Formula("rms delta(l) / rms delta(l+1) ≈ √(n · σ² / 2)   (ReLU, n units, weights of deviation σ)")
        yield from self._before_training()
        yield from self._in_training()
        yield Suggestion(
            "a rate ten times smaller, in place of clipping", "thalweg lesson exploding --set learning_rate=0.01"
        )
        yield Suggestion(
            "the deviation that suits the width", "thalweg lesson exploding --set deviations=[0.125,0.177]"
        )
        yield Suggestion("a tighter bound", "thalweg lesson exploding --set limit=0.3")

    def norm(self, deviation: float, depth: int, seed: int = 0) -> float:
        """|dL/dW(1)| of an untrained stack of ReLU layers on the first rows of the data."""
        start = (network := self.network(deviation, depth)).initialize(seed, (self._rows.features,))
        batch = Eager().place(Batch(*(array[:_ROWS] for array in as_batch(self._rows))))
        mode = ForwardContext(True, batch.weight)
        seen = forward_backward(network, SoftmaxCrossEntropy(), start.params, start.states, batch, mode)
        return norm_of(seen.grads[0].W)

    @cached_property
    def _rows(self) -> Dataset:
        return classes_of(self.data, self.seed)

    @property
    def bound(self) -> ClipGlobalNorm:
        """What the gradient is clipped by."""
        return ClipGlobalNorm(self.limit)

    def network(self, deviation: float, depth: int) -> Network:
        """`depth` hidden layers of ReLU, and the outputs, with weights of that deviation."""
        hidden = (Dense(self.width), ReLU()) * depth
        return Network((*hidden, Dense(self._rows.outputs)), Normal(deviation))

    def _before_training(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("Before training")
        yield ProgressMessage("gradients before training", 0.0)
        depths = sorted(self.depths)
        norms = {deviation: [self._mean(deviation, depth) for depth in depths] for deviation in self.deviations}
        predicted = {deviation: deviation * (self.width / 2) ** 0.5 for deviation in norms}
        measured = {
            deviation: (found[-1] / found[0]) ** (1 / (depths[-1] - depths[0])) for deviation, found in norms.items()
        }
        yield Table(
            f"|dL/dW(1)|, the norm of the first layer's gradient, by number of hidden layers ({self.width} ReLU units"
            " each), and by how much one more layer multiplies it",
            ["deviation σ", *(f"{depth} layers" for depth in depths), "measured", "√(n σ²/2)"],
            [[sigma, *found, measured[sigma], predicted[sigma]] for sigma, found in norms.items()],
        )
        yield Chart(
            curves(
                depths,
                {f"σ = {sigma:g}, factor {predicted[sigma]:.2f}": found for sigma, found in norms.items()},
                "Gradient of the first layer before training",
                "hidden layers",
                "|dL/dW(1)|",
                log=True,
            ),
            "Straight lines on a logarithmic scale: a factor for each layer. Only where it is near 1 is the gradient of"
            " the first layer in a deep network of the size that it has in a shallow one.",
        )
        yield Check(
            "One more layer multiplies the gradient of the first layer by √(n σ²/2)",
            np.array(list(measured.values())),
            np.array(list(predicted.values())),
            0.1,
        )

    def _mean(self, deviation: float, depth: int) -> float:
        """The geometric mean over the draws."""
        norms = [self.norm(deviation, depth, self.seed + draw) for draw in range(self.draws)]
        return float(np.exp(np.mean(np.log(norms))))

    def _in_training(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("In training")
        yield ProgressMessage("training without and with clipping", 0.5)
        clips = {"free": None, "clipped": self.bound}
        starts = {name: watched(self.table(clip, 1), None).traces[:_FIRST] for name, clip in clips.items()}
        whole = watched(self.table(self.bound, self.epochs))
        norms = [norm_of(trace.grads) for trace in whole.traces]
        losses = [float(trace.loss) for trace in whole.traces]
        free = run_to_end(Spec.of(self.table(None, self.epochs)))
        yield Text(
            f"{self.depth} hidden layers with weights of deviation {self.deviations[-1]:g}, gradient descent at"
            f" {self.learning_rate:g}, the same start and the same batches, once as it is and once with the gradient"
            f" g shortened to g · {self.limit:g} / |g| where its norm |g| is above {self.limit:g}."
        )
        yield Table(
            "The first steps: loss of the batch and norm of its whole gradient, before it is clipped",
            ["step", "loss", "|g|", "loss, clipped", "|g|, clipped"],
            [
                [step, *(number for trace in pair for number in (float(trace.loss), norm_of(trace.grads)))]
                for step, pair in enumerate(zip(starts["free"], starts["clipped"], strict=True), 1)
            ],
        )
        yield Chart(
            curves(
                whole.steps,
                {
                    "loss": losses,
                    "|g| before it is clipped": norms,
                    "the bound": [self.limit for _ in whole.traces],
                },
                "The training with clipping",
                "step",
                "loss of the batch, norm of its gradient",
                log=True,
            ),
            f"From the first step to the last the loss of the batch goes from {losses[0]:.3g} to {losses[-1]:.3g}, and"
            f" the norm of its gradient from {norms[0]:.3g} to {norms[-1]:.3g}; {self.limit:g} of it are let through.",
        )
        yield Text(f"What the engine says of the training without a bound: {free.diverged or free.outcome}.")
        yield Check("Without a bound the training breaks off: a number became NaN or infinite", bool(free.diverged))
        right = {"free": free.measures["test"]["accuracy"], "clipped": whole.score("accuracy")}
        yield Check("With the bound every loss stays finite", bool(np.isfinite(losses).all()))
        yield Check(
            f"With the bound the network learns: after {self.epochs} epochs it tells {right['clipped']:.0%} of the test"
            f" rows right, at least {_LEARNT:.0%} (without the bound {right['free']:.0%})",
            right["clipped"] >= _LEARNT,
        )

    def table(self, clip: ClipGlobalNorm | None, epochs: int) -> dict[str, Any]:
        """The spec of the training, in NumPy and float64, with or without clipping."""
        network = self.network(self.deviations[-1], self.depth)
        return {
            "data": {"source": self.data, "validation": 0.0},
            "network": network,
            "loss": SoftmaxCrossEntropy(),
            "optimizer": {"kind": "sgd", "learning_rate": self.learning_rate},
            "training": {"epochs": epochs, "seed": self.seed, "clip": clip, "engine": "eager"},
        }


def norm_of(grads: Tree) -> float:
    """√(Σ g²) over all numbers of a gradient."""
    with np.errstate(all="ignore"):
        return float(np.sqrt(sum(np.sum(np.square(array)) for _, array in arrays_of(grads))))
