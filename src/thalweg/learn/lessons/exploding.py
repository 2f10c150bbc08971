"""Exploding gradients: weights that are slightly too large in many layers, and clipping that lets the network learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, ClassVar

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
from ...pages.numbers import number, percent
from ...parts.clipping import ClipGlobalNorm
from ...parts.initializers import Normal
from ...parts.layers import Dense, ReLU
from ...parts.losses import SoftmaxCrossEntropy
from ...parts.part import Count, ForwardContext, Positive
from ...runs.run import Run
from ...runs.train import run_to_end
from ...spec.spec import Spec
from ...training.batch_plan import as_batch
from ..affine import affine_at
from ..lesson import DEEPEST_SHOWN, Lesson
from ..recorded_training import RecordedTraining, classification_rows, record_training

_ROWS = 256
_FIRST_STEPS = 6
_LEARNED = 0.6

Depths = Annotated[tuple[Annotated[int, Field(ge=1, strict=True)], ...], Field(min_length=2)]


@dataclass(frozen=True)
class ExplodingLesson(Lesson, kind="exploding"):
    """The gradient by depth for several sizes of the weights, and a training that diverges unless it is clipped.

    Source: Pascanu, Mikolov, Bengio 2013, sections 2 and 3.2; He et al. 2015, section 2.2.

    Attributes:
        depths: The numbers of hidden layers before training.
        deviations: The standard deviations of the weights; the last one is that of the network that is trained.
        draws: The number of initialisations; each figure before training is their geometric mean.
        width: The number of units of each hidden layer.
        depth: The number of hidden layers of the network that is trained.
        learning_rate: The learning rate of gradient descent.
        limit: The largest norm of the clipped gradient.
        epochs: The number of epochs.
        seed: Decides the weights and the order of the rows.
        data: The rows of classes.

    >>> lesson = ExplodingLesson()
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
    subject = "Weights that are slightly too large, their effect on the gradient through many layers, and clipping."
    chapter = "The flow of delta"
    place = 2
    quick: ClassVar[Mapping[str, object]] = {"depths": (2, 10), "draws": 2, "epochs": 6}

    @property
    def playground(self) -> Spec:
        shallower = replace(self, depth=min(self.depth, DEEPEST_SHOWN))
        return Spec.of(shallower.table(None, self.epochs))

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "The factor that multiplies delta in each layer can also be above 1. Then the gradient grows with depth, "
            "one step of gradient descent moves the weights far, and a few steps later the numbers are infinite."
        )
        yield Formula(
            "rms delta(l) / rms delta(l+1) ≈ √(n · σ² / 2)   (ReLU, n units, weights of standard deviation σ)"
        )
        yield from self._before_training()
        yield from self._during_training()
        yield Suggestion(
            "a learning rate ten times smaller instead of clipping", "thalweg lesson exploding --set learning_rate=0.01"
        )
        yield Suggestion(
            "the standard deviation that suits the width",
            "thalweg lesson exploding --set deviations=[0.125,0.177]",
        )
        yield Suggestion("a smaller limit", "thalweg lesson exploding --set limit=0.3")

    def norm(self, deviation: float, depth: int, seed: int = 0) -> float:
        """|dL/dW(1)| of an untrained network of ReLU layers, for the first rows of the data."""
        network = self.network(deviation, depth)
        start = network.initialize(seed, (self._rows.features,))
        batch = Eager().place(Batch(*(array[:_ROWS] for array in as_batch(self._rows))))
        context = ForwardContext(True, batch.weight)
        result = forward_backward(network, SoftmaxCrossEntropy(), start.params, start.states, batch, context)
        return norm_of(affine_at(result.grads).W)

    @cached_property
    def _rows(self) -> Dataset:
        return classification_rows(self.data, self.seed)

    @property
    def clip(self) -> ClipGlobalNorm:
        """The clipping of the gradient."""
        return ClipGlobalNorm(self.limit)

    def network(self, deviation: float, depth: int) -> Network:
        """`depth` hidden layers of ReLU, and the output layer, with weights of that standard deviation."""
        hidden = (Dense(self.width), ReLU()) * depth
        return Network((*hidden, Dense(self._rows.outputs)), Normal(deviation))

    def _before_training(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("Before training")
        yield ProgressMessage("gradients before training", 0.0)
        depths = sorted(self.depths)
        norms = {sigma: [self._mean(sigma, depth) for depth in depths] for sigma in self.deviations}
        predicted = {sigma: sigma * (self.width / 2) ** 0.5 for sigma in norms}
        measured = {
            sigma: (by_depth[-1] / by_depth[0]) ** (1 / (depths[-1] - depths[0])) for sigma, by_depth in norms.items()
        }
        yield Table(
            f"|dL/dW(1)|, the norm of the first layer's gradient, by number of hidden layers ({self.width} ReLU units"
            " each), and the factor for one more layer",
            ["standard deviation σ", *(f"{depth} layers" for depth in depths), "measured", "√(n σ²/2)"],
            [[sigma, *by_depth, measured[sigma], predicted[sigma]] for sigma, by_depth in norms.items()],
        )
        yield Chart(
            curves(
                depths,
                {
                    f"σ = {number(sigma)}, factor {number(predicted[sigma], 3)}": by_depth
                    for sigma, by_depth in norms.items()
                },
                "Gradient of the first layer before training",
                "hidden layers",
                "|dL/dW(1)|",
                log=True,
            ),
            "Straight lines on a logarithmic scale: the same factor for each layer. Only if the factor is near 1, the"
            " gradient of the first layer is about as large in a deep network as in a shallow one.",
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

    def _during_training(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("During training")
        yield ProgressMessage("training without and with clipping", 0.5)
        clipped = record_training(self.table(self.clip, self.epochs))
        unclipped = run_to_end(Spec.of(self.table(None, self.epochs)))
        yield Text(
            f"{self.depth} hidden layers with weights of standard deviation {number(self.deviations[-1])}, gradient"
            f" descent with a learning rate of {number(self.learning_rate)}, the same start and the same batches: once"
            f" without clipping, and once with the gradient g shortened to g · {number(self.limit)} / |g| if its norm"
            f" |g| is above {number(self.limit)}."
        )
        yield self._first_steps_table()
        yield self._clipped_chart(clipped)
        yield Text(
            f"The engine's message about the training without clipping: {unclipped.diverged or unclipped.outcome}."
        )
        yield from self._checks(clipped, unclipped)

    def _first_steps_table(self) -> Table:
        without, with_clip = (record_training(self.table(clip, 1), None).traces for clip in (None, self.clip))
        # Without clipping the training may diverge within these steps, and then it has no further traces.
        pairs = zip(without[:_FIRST_STEPS], with_clip[:_FIRST_STEPS], strict=False)
        return Table(
            "The first steps: loss of the batch and norm of its whole gradient before clipping",
            ["step", "loss", "|g|", "loss, clipped", "|g|, clipped"],
            [
                [step, *(value for trace in pair for value in (float(trace.loss), norm_of(trace.grads)))]
                for step, pair in enumerate(pairs, 1)
            ],
        )

    def _clipped_chart(self, clipped: RecordedTraining) -> Chart:
        norms = [norm_of(trace.grads) for trace in clipped.traces]
        losses = [float(trace.loss) for trace in clipped.traces]
        return Chart(
            curves(
                clipped.steps,
                {"loss": losses, "|g| before clipping": norms, "the limit": [self.limit for _ in norms]},
                "The training with clipping",
                "step",
                "loss of the batch, norm of its gradient",
                log=True,
            ),
            f"From the first step to the last the loss of the batch goes from {number(losses[0], 3)} to"
            f" {number(losses[-1], 3)}, and the norm of its gradient from {number(norms[0], 3)} to"
            f" {number(norms[-1], 3)}; the clipped gradient has a norm of at most {number(self.limit)}.",
        )

    def _checks(self, clipped: RecordedTraining, unclipped: Run) -> Iterator[Check]:
        losses = [float(trace.loss) for trace in clipped.traces]
        accuracy = clipped.score("accuracy")
        yield Check(
            "Without clipping the training stops early: a number became NaN or infinite", bool(unclipped.diverged)
        )
        yield Check("With clipping every loss stays finite", bool(np.isfinite(losses).all()))
        yield Check(
            f"With clipping the network learns: after {self.epochs} epochs its test accuracy is {percent(accuracy, 2)},"
            f" at least {percent(_LEARNED)} (without clipping {percent(unclipped.measures['test']['accuracy'], 2)})",
            accuracy >= _LEARNED,
        )

    def table(self, clip: ClipGlobalNorm | None, epochs: int) -> dict[str, object]:
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
