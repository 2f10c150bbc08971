"""Vanishing gradients: how delta shrinks on its way back through a deep network, and how to prevent it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from ...core.arrays import Array, Params, rms
from ...core.progress import ProgressMessage
from ...data import Dataset, Source
from ...engine.eager import Eager
from ...engine.step import Batch, ForwardBackward, forward_backward
from ...models.network import Network
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import delta_by_layer
from ...pages.numbers import Share, number, percent
from ...parts.initializers import GlorotNormal, HeNormal, Normal
from ...parts.layers import GELU, Activation, Dense, LeakyReLU, ReLU, Sigmoid, Tanh
from ...parts.losses import SoftmaxCrossEntropy
from ...parts.part import Count, ForwardContext, Initializer, Positive
from ...spec.spec import Spec
from ...training.batch_plan import as_batch
from ..affine import affine_at
from ..lesson import DEEPEST_SHOWN, Lesson
from ..recorded_training import RecordedTraining, classification_rows, delta_rms, record_training

_ROWS = 128
_GUESSING = 0.2
_LEARNED = 0.6
ACTIVATIONS: tuple[Activation, ...] = (Sigmoid(), Tanh(), ReLU(), LeakyReLU(), GELU())

Depths = Annotated[tuple[Annotated[int, Field(ge=2, le=200, strict=True)], ...], Field(min_length=1)]


# Some parameters lead to overflow; the page then shows inf or nan.
_SILENT = np.errstate(all="ignore")


class DeltaByDepth(NamedTuple):
    """The RMS of delta at each hidden layer, first to last, and the predicted factor between each two."""

    deltas: Array
    factors: Array

    @property
    @_SILENT
    def ratio(self) -> float:
        """delta of the first hidden layer as a fraction of that of the last."""
        return float(self.deltas[0] / self.deltas[-1])

    @property
    def predicted(self) -> float:
        """The same fraction, predicted by the formula."""
        return float(np.prod(self.factors))

    @property
    @_SILENT
    def decades_off(self) -> float:
        """The error of the formula, in powers of ten."""
        return float(np.abs(np.log10(np.divide(self.ratio, self.predicted))))


@dataclass(frozen=True)
class VanishingLesson(Lesson, kind="vanishing"):
    """delta by depth for five activations and three initialisations, measured and predicted, and three remedies.

    Source: Hochreiter 1991; Glorot and Bengio 2010, section 4.2.1; He et al. 2015, section 2.2.

    Attributes:
        depths: The numbers of hidden layers before training.
        draws: The number of initialisations; each figure before training is their geometric mean.
        width: The number of units of each hidden layer.
        depth: The number of hidden layers of the networks that are trained.
        trained: The activations of the networks that are trained.
        activation: The activation of the plain network and of each remedy.
        deviation: The standard deviation of the weights that are too small.
        learning_rate: The learning rate of gradient descent.
        epochs: The number of epochs.
        seed: Decides the weights and the order of the rows.
        data: The rows of classes.

    >>> flow = VanishingLesson().flow(Sigmoid(), GlorotNormal(), depth=10, seed=0)
    >>> bool(1e-7 < flow.ratio < 1e-5), bool(0.5 < flow.ratio / flow.predicted < 2)
    (True, True)
    """

    depths: Depths = (2, 5, 10, 20, 50)
    draws: Count = 3
    width: Count = 64
    depth: Count = 20
    trained: tuple[Activation, ...] = ACTIVATIONS
    activation: Activation = Tanh()
    deviation: Positive = 0.05
    learning_rate: Positive = 0.02
    epochs: Count = 20
    seed: Annotated[int, Field(ge=0, strict=True)] = 0
    data: Source = field(default_factory=lambda: Source.of("digits"))

    title = "Vanishing gradients"
    subject = "How delta shrinks from layer to layer, and what initialisation, normalisation and residuals change."
    chapter = "The flow of delta"
    place = 1
    quick: ClassVar[Mapping[str, object]] = {
        "depths": (2, 20),
        "draws": 2,
        "width": 32,
        "depth": 12,
        "epochs": 8,
        "trained": ("sigmoid", "relu"),
    }

    @property
    def playground(self) -> Spec:
        shallower = replace(self, depth=min(self.depth, DEEPEST_SHOWN))
        return Spec.of(shallower.table([Dense(self.width), self.activation], Normal(self.deviation)))

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "On the way back each layer multiplies delta by its weights and by the slope of its activation. If the"
            " product is below 1, almost nothing arrives at the first layers of a deep network, and they do not learn."
        )
        yield Formula(
            "delta(l) = (delta(l+1) W(l+1)ᵀ) f'(z(l))\n"
            "rms delta(l) / rms delta(l+1) ≈ √(n · mean W(l+1)² · mean f'(z(l))²),  n units in layer l+1"
        )
        yield from self._before_training()
        yield from self._during_training()
        yield from self._remedies()
        yield Suggestion("twice as many layers", "thalweg lesson vanishing --set depths=[50,100]")
        yield Suggestion("sigmoids in the remedies", "thalweg lesson vanishing --set activation=sigmoid")
        yield Suggestion("weights that are too large", "thalweg lesson vanishing --set deviation=0.3")

    @_SILENT
    def flow(self, activation: Activation, init: Initializer, depth: int, seed: int) -> DeltaByDepth:
        """delta in an untrained network of that depth, for the first rows of the data."""
        hidden = [layer for _ in range(depth) for layer in (Dense(self.width), activation)]
        network = Network((*hidden, Dense(self._rows.outputs)), init)
        start = network.initialize(seed, (self._rows.features,))
        batch = Eager().place(Batch(*(array[:_ROWS] for array in as_batch(self._rows))))
        result = forward_backward(
            network, SoftmaxCrossEntropy(), start.params, start.states, batch, ForwardContext(True, batch.weight)
        )
        return DeltaByDepth(delta_rms(network, result.deltas)[:-1], _factors(network, start.params, result))

    @cached_property
    def _rows(self) -> Dataset:
        return classification_rows(self.data, self.seed)

    def _before_training(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("Before training")
        depths = sorted(self.depths)
        rows: list[list[str | float]] = []
        flows: dict[tuple[str, str], DeltaByDepth] = {}
        for index, activation in enumerate(ACTIVATIONS):
            yield ProgressMessage(f"delta through {activation.kind}", index / len(ACTIVATIONS))
            for init in (GlorotNormal(), HeNormal(), Normal(self.deviation)):
                by_depth = [self._mean(activation, init, depth) for depth in depths]
                deepest = by_depth[-1]
                flows[activation.kind, init.kind] = deepest
                factor = float(deepest.factors.prod() ** (1 / deepest.factors.size))
                values = (*(flow.ratio for flow in by_depth), deepest.predicted, factor)
                rows.append([activation.kind, init.kind, *map(_two_digits, values)])
        yield Table(
            f"The RMS of delta at the first hidden layer as a fraction of that at the last: mean of {self.draws} draws,"
            f" layers of {self.width} units; the prediction of the formula for {depths[-1]} layers, and its factor for "
            "one layer",
            ["activation", "weights", *(f"{depth} layers" for depth in depths), "predicted", "one layer"],
            rows,
        )
        matched = {kind: flows[kind, _suited(kind)] for kind, init in flows if init == _suited(kind)}
        yield Chart(
            delta_by_layer(
                {f"{kind}, {_suited(kind)}": flow.deltas for kind, flow in matched.items()},
                range(1, depths[-1] + 1),
                "Delta before training, each activation with its suited initialisation",
            ),
            f"Delta in {depths[-1]} hidden layers. The fraction that reaches the first one: "
            + _listed({kind: flow.ratio for kind, flow in matched.items()})
            + ". The sigmoid loses most: its slope is at most 1/4, whatever the weights.",
        )
        yield from self._checks_before_training(flows, depths[-1])

    def _checks_before_training(self, flows: Mapping[tuple[str, str], DeltaByDepth], depth: int) -> Iterator[Block]:
        ratio = {name: flow.ratio for name, flow in flows.items()}
        sigmoid = ratio["sigmoid", "glorot_normal"]
        tanh = ratio["tanh", "glorot_normal"]
        grown = ratio["tanh", "he_normal"]
        he = ratio["relu", "he_normal"]
        glorot = ratio["relu", "glorot_normal"]
        small = max(ratio[kind, "normal"] for kind, _ in flows)
        decades_off = max(flow.decades_off for flow in flows.values())
        bound = 3.0 ** (1 - depth)
        yield Check(
            f"Sigmoid, Glorot's weights: a layer costs more than a factor of 3; {number(sigmoid, 2)} is left, below "
            f"{number(bound, 2)}",
            sigmoid < bound,
        )
        yield Check(
            f"ReLU, He's weights: delta keeps its size within a factor of 10; {number(he, 2)} is left", 0.1 < he < 10
        )
        yield Check(
            f"Tanh, Glorot's weights: less than a factor of 100 is lost; {number(tanh, 2)} is left", 0.01 < tanh < 10
        )
        yield Check(
            "ReLU: Glorot's weights lose a factor of √½ in each layer compared with He's",
            (glorot / he) ** (1 / (depth - 1)),
            0.5**0.5,
            0.03,
        )
        yield Check(
            f"Tanh, He's weights: too large, delta grows towards the input; {number(grown, 3)} times as much arrives",
            grown > 1,
        )
        yield Check(
            f"Weights of standard deviation {number(self.deviation)}: too small for every activation; at most "
            f"{number(small, 2)} is left",
            small < 2.0 ** (1 - depth),
        )
        yield Check("The formula is right within a factor of 10 for every pair (powers of ten)", decades_off, 0.0, 1.0)

    @_SILENT
    def _mean(self, activation: Activation, init: Initializer, depth: int) -> DeltaByDepth:
        """The geometric mean over the draws."""
        flows = [self.flow(activation, init, depth, self.seed + draw) for draw in range(self.draws)]
        return DeltaByDepth(*(np.exp(np.mean(np.log(values), axis=0)) for values in zip(*flows, strict=True)))

    def _during_training(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("During training")
        runs: dict[tuple[str, str], RecordedTraining] = {}
        pairs = [(activation, init) for activation in self.trained for init in (GlorotNormal(), HeNormal())]
        for index, (activation, init) in enumerate(pairs):
            yield ProgressMessage(f"training: {activation.kind}, {init.kind}", index / len(pairs))
            runs[activation.kind, init.kind] = record_training(self.table([Dense(self.width), activation], init))
        yield Text(
            f"The same networks of {self.depth} hidden layers while they are trained, with both initialisations: the"
            " fraction of delta that arrives at the first layer. Gradient descent with a learning rate of"
            f" {number(self.learning_rate)}, {self.epochs} epochs."
        )
        yield Table(
            f"delta(1) as a fraction of delta({self.depth + 1}), and the accuracy on the test rows",
            ["activation", "weights", "before", "mean of all steps", "at the end", "accuracy"],
            [
                [*name, *map(_two_digits, _fractions(run.deltas())), Share(run.score("accuracy"))]
                for name, run in runs.items()
            ],
        )
        matched = {kind: runs[kind, _suited(kind)] for kind, init in runs if init == _suited(kind)}
        yield Chart(
            delta_by_layer(
                {f"{kind}, {_suited(kind)}": run.deltas() for kind, run in matched.items()},
                range(1, self.depth + 2),
                "Delta by layer during the training, each activation with its suited initialisation",
                next(iter(runs.values())).steps,
            ),
            "Layers from the input (bottom) to the output (top), over the steps.",
        )
        for kind, run in matched.items():
            accuracy = run.score("accuracy")
            if kind == "sigmoid":
                yield Check(
                    f"Sigmoids with Glorot's weights learn nothing: accuracy {percent(accuracy, 2)}",
                    accuracy < _GUESSING,
                )
            elif kind in ("tanh", "relu", "leaky_relu"):
                yield Check(
                    f"{kind} with {_suited(kind)} learns: accuracy {percent(accuracy, 2)}", accuracy >= _LEARNED
                )

    def _remedies(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("Remedies")
        runs = yield from self._train_remedies()
        yield Text(
            f"Four networks of {self.depth} hidden layers of {self.width} {self.activation.kind} units with weights of"
            f" standard deviation {number(self.deviation)}: plain, and with one change each. Batch normalisation"
            " divides by the standard deviation of z, which is as small as the weights made it, and so restores on the"
            " way back what they removed. A residual block passes delta around its layers unchanged. Glorot's weights"
            " make n · mean W² nearly 1."
        )
        accuracy = {name: run.score("accuracy") for name, run in runs.items()}
        yield Table(
            f"After {self.epochs} epochs of gradient descent with a learning rate of {number(self.learning_rate)}",
            ["network", "delta(1) at the start", "delta(1) at the end", "test accuracy"],
            [[name, *run.deltas()[[0, -1], 0], Share(accuracy[name])] for name, run in runs.items()],
        )
        arriving = {name: _mean_fraction(run.deltas()) for name, run in runs.items()}
        yield Chart(
            delta_by_layer(
                {name: run.deltas() for name, run in runs.items()},
                range(1, self.depth + 2),
                "Delta by layer during the training",
                runs["plain"].steps,
            ),
            "Layers from the input (bottom) to the output (top), over the steps. The mean of delta(1) as a fraction of"
            f" delta({self.depth + 1}): {_listed(arriving)}.",
        )
        yield Check(
            f"The plain network learns nothing: accuracy {percent(accuracy['plain'], 2)}",
            accuracy["plain"] < _GUESSING,
        )
        for name in list(runs)[1:]:
            yield Check(
                f"With {name} the network learns: accuracy {percent(accuracy[name], 2)}, at least {percent(_LEARNED)}",
                accuracy[name] >= _LEARNED,
            )

    def _train_remedies(self) -> Generator[ProgressMessage, None, dict[str, RecordedTraining]]:
        """Train the plain network and one with each remedy."""
        dense = Dense(self.width)
        small = Normal(self.deviation)
        networks: dict[str, tuple[list[object], Initializer]] = {
            "plain": ([dense, self.activation], small),
            "Glorot's weights": ([dense, self.activation], GlorotNormal()),
            "batch normalisation": ([dense, "batch_norm", self.activation], small),
            "residual blocks": ([{"kind": "residual", "layers": [dense, self.activation]}], small),
        }
        runs: dict[str, RecordedTraining] = {}
        for index, (name, (block, init)) in enumerate(networks.items()):
            yield ProgressMessage(f"training: {name}", index / len(networks))
            runs[name] = record_training(self.table(block, init))
        return runs

    def table(self, block: Sequence[object], init: Initializer) -> dict[str, object]:
        """The spec of a training with `depth` equal blocks of layers."""
        return {
            "data": {"source": self.data, "validation": 0.0},
            "network": {"layers": [*[*block] * self.depth, Dense(self._rows.outputs), "softmax"], "init": init},
            "optimizer": {"kind": "sgd", "learning_rate": self.learning_rate},
            "training": {"epochs": self.epochs, "seed": self.seed},
        }


def _two_digits(value: float) -> float:
    """Rounded to two digits, for a wide table."""
    return float(f"{value:.2g}")


@_SILENT
def _fractions(deltas: Array) -> tuple[float, float, float]:
    """delta of the first layer as a fraction of that of the last: at the first step, in the mean, at the last step."""
    fraction = deltas[:, 0] / deltas[:, -1]
    return float(fraction[0]), _mean_fraction(deltas), float(fraction[-1])


@_SILENT
def _mean_fraction(deltas: Array) -> float:
    """delta of the first layer as a fraction of that of the last, in the mean over the steps."""
    return float(np.mean(deltas[:, 0] / deltas[:, -1]))


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{number(value, 2)} ({name})" for name, value in values.items())


def _suited(kind: str) -> str:
    """Which of the two initialisations suits an activation."""
    return HeNormal.kind if isinstance(Activation.of(kind).suited_initializer, HeNormal) else GlorotNormal.kind


def _factors(network: Network, params: Params, result: ForwardBackward) -> Array:
    """√(n · mean W² · mean f'²) between each hidden layer and the next."""
    factors = []
    for index in range(1, len(network.layers) - 2, 2):
        activation = network.layers[index]
        above = affine_at(params, index + 1).W
        assert isinstance(activation, Activation)
        slope = activation.derivative(result.outputs[index - 1], result.outputs[index])
        factors.append(rms(slope) * rms(above) * above.shape[1] ** 0.5)
    return np.array(factors)
