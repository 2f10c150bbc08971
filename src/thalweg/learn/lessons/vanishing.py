"""Vanishing gradients: how delta shrinks on its way down a deep stack, and what keeps it alive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from ...core.arrays import rms
from ...core.progress import ProgressMessage
from ...data import Dataset, Source
from ...engine.eager import Eager
from ...engine.step import Batch, ForwardBackward, forward_backward
from ...models.network import Network, default_initializer
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import delta_by_layer
from ...parts.initializers import GlorotNormal, HeNormal, Normal
from ...parts.layers import GELU, Activation, Dense, LeakyReLU, ReLU, Sigmoid, Tanh
from ...parts.losses import SoftmaxCrossEntropy
from ...parts.part import Count, ForwardContext, Initializer, Positive
from ...training.batch_plan import as_batch
from .deltas import Watched, classes_of, sizes, watched
from .lesson import Lesson

_ROWS = 128
_GUESSING, _LEARNT = 0.2, 0.6
ACTIVATIONS: tuple[Activation, ...] = (Sigmoid(), Tanh(), ReLU(), LeakyReLU(), GELU())

Depths = Annotated[tuple[Annotated[int, Field(ge=2, le=200, strict=True)], ...], Field(min_length=1)]


# Some parameters lead beyond the range of numbers; the page then says inf or nan.
_SILENT = np.errstate(all="ignore")


class Flow(NamedTuple):
    """The rms of delta by hidden layer, first to last, and by what the formula multiplies it between each two."""

    deltas: np.ndarray
    factors: np.ndarray

    @property
    @_SILENT
    def ratio(self) -> float:
        """delta of the first hidden layer as a part of that of the last."""
        return float(self.deltas[0] / self.deltas[-1])

    @property
    def predicted(self) -> float:
        """The same by the formula."""
        return float(np.prod(self.factors))

    @property
    @_SILENT
    def decades_off(self) -> float:
        """By how many powers of ten the formula is wrong."""
        return float(np.abs(np.log10(np.divide(self.ratio, self.predicted))))


@dataclass(frozen=True)
class Vanishing(Lesson, kind="vanishing"):
    """delta by depth for five activations and three initialisations, measured and predicted, and three remedies.

    `depths` count the hidden layers before training, each figure being the geometric mean of `draws` initialisations.
    Networks of `depth` hidden layers are trained with each of the `trained` activations; then with `activation` from
    weights of that `deviation`, plain and with each remedy.

    Source: Hochreiter 1991; Glorot and Bengio 2010, section 4.2.1; He et al. 2015, section 2.2.

    >>> flow = Vanishing().flow(Sigmoid(), GlorotNormal(), depth=10, seed=0)
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
    quick: ClassVar[Mapping[str, Any]] = {
        "depths": (2, 20),
        "draws": 2,
        "width": 32,
        "depth": 12,
        "epochs": 8,
        "trained": ("sigmoid", "relu"),
    }

    def tell(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "On the way back each layer multiplies delta by its weights and by the slope of its activation. Where the"
            " product is below 1, what arrives at the first layers of a deep network is next to nothing, and they do"
            " not learn."
        )
        yield Formula(
            "delta(l) = (delta(l+1) W(l+1)ᵀ) f'(z(l))\n"
            "rms delta(l) / rms delta(l+1) ≈ √(n · mean W(l+1)² · mean f'(z(l))²),  n units in layer l+1"
        )
        yield from self._before_training()
        yield from self._by_activation()
        yield from self._remedies()
        yield Suggestion("twice as many layers", "thalweg lesson vanishing --set depths=[50,100]")
        yield Suggestion(
            "sigmoids in the networks that are trained", "thalweg lesson vanishing --set activation=sigmoid"
        )
        yield Suggestion("weights that are too large", "thalweg lesson vanishing --set deviation=0.3")

    @_SILENT
    def flow(self, activation: Activation, init: Initializer, depth: int, seed: int) -> Flow:
        """delta in an untrained stack of that depth, on the first rows of the data."""
        hidden = [layer for _ in range(depth) for layer in (Dense(self.width), activation)]
        network = Network((*hidden, Dense(self._rows.outputs)), init)
        start = network.initialize(seed, (self._rows.features,))
        batch = Eager().place(Batch(*(array[:_ROWS] for array in as_batch(self._rows))))
        seen = forward_backward(
            network, SoftmaxCrossEntropy(), start.params, start.states, batch, ForwardContext(True, batch.weight)
        )
        return Flow(sizes(network, seen.deltas)[:-1], _factors(network, start.params, seen))

    @cached_property
    def _rows(self) -> Dataset:
        return classes_of(self.data, self.seed)

    def _before_training(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("Before training")
        depths, rows, flows = sorted(self.depths), [], {}
        for place, activation in enumerate(ACTIVATIONS):
            yield ProgressMessage(f"delta through {activation.kind}", place / len(ACTIVATIONS))
            for init in (GlorotNormal(), HeNormal(), Normal(self.deviation)):
                at = [self._mean(activation, init, depth) for depth in depths]
                flows[activation.kind, init.kind] = deepest = at[-1]
                factor = float(deepest.factors.prod() ** (1 / deepest.factors.size))
                numbers = (*(flow.ratio for flow in at), deepest.predicted, factor)
                rows.append([activation.kind, init.kind, *map(_rounded, numbers)])
        yield Table(
            f"The rms of delta at the first hidden layer as a part of that at the last: mean of {self.draws} draws,"
            f" layers of {self.width} units; what the formula predicts for {depths[-1]} layers, and its factor for one",
            ["activation", "start", *(f"{depth} layers" for depth in depths), "predicted", "a layer"],
            rows,
        )
        matched = {kind: flows[kind, _suited(kind)] for kind, init in flows if init == _suited(kind)}
        yield Chart(
            delta_by_layer(
                {f"{kind}, {_suited(kind)}": flow.deltas for kind, flow in matched.items()},
                range(1, depths[-1] + 1),
                "Delta before training, each with the start made for it",
            ),
            f"Delta in {depths[-1]} hidden layers. What is left of it at the first: "
            + _listed({kind: flow.ratio for kind, flow in matched.items()})
            + ". The sigmoid loses most: its slope is 1/4 at most, whatever the weights.",
        )
        yield from self._claims(flows, depths[-1])

    def _claims(self, flows: Mapping[tuple[str, str], Flow], depth: int) -> Iterator[Block]:
        ratio = {name: flow.ratio for name, flow in flows.items()}
        sigmoid, tanh, grown = (
            ratio["sigmoid", "glorot_normal"],
            ratio["tanh", "glorot_normal"],
            ratio["tanh", "he_normal"],
        )
        he, glorot = ratio["relu", "he_normal"], ratio["relu", "glorot_normal"]
        small = max(ratio[kind, "normal"] for kind, _ in flows)
        off = max(flow.decades_off for flow in flows.values())
        least = 3.0 ** (1 - depth)
        yield Check(
            f"Sigmoid, Glorot's start: a layer costs more than a factor of 3; {sigmoid:.1e} is left, below {least:.1e}",
            sigmoid < least,
        )
        yield Check(f"ReLU, He's start: delta keeps its size within a factor of 10; {he:.2g} is left", 0.1 < he < 10)
        yield Check(f"Tanh, Glorot's start: less than a factor of 100 is lost; {tanh:.2g} is left", 0.01 < tanh < 10)
        yield Check(
            "ReLU: Glorot's start loses a factor of √½ in each layer against He's",
            (glorot / he) ** (1 / (depth - 1)),
            0.5**0.5,
            0.03,
        )
        yield Check(f"Tanh, He's start: too large, delta grows towards the input; {grown:.3g} of it arrives", grown > 1)
        yield Check(
            f"Weights of deviation {self.deviation:g}: too small for every activation; at most {small:.1e} is left",
            small < 2.0 ** (1 - depth),
        )
        yield Check("The formula is right within a factor of 10 for every pair (decades off)", off, 0.0, 1.0)

    @_SILENT
    def _mean(self, activation: Activation, init: Initializer, depth: int) -> Flow:
        """The geometric mean over the draws."""
        flows = [self.flow(activation, init, depth, self.seed + draw) for draw in range(self.draws)]
        return Flow(*(np.exp(np.mean(np.log(values), axis=0)) for values in zip(*flows, strict=True)))

    def _by_activation(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("During training")
        runs: dict[tuple[str, str], Watched] = {}
        for place, activation in enumerate(self.trained):
            for half, init in enumerate((GlorotNormal(), HeNormal())):
                share = (place + half / 2) / len(self.trained)
                yield ProgressMessage(f"training: {activation.kind}, {init.kind}", share)
                runs[activation.kind, init.kind] = self._trained([Dense(self.width), activation], init)
        yield Text(
            f"The same stacks of {self.depth} hidden layers while they are trained, from both starts: what of delta"
            f" arrives at the first layer. Gradient descent at {self.learning_rate:g}, {self.epochs} epochs."
        )
        yield Table(
            f"delta(1) as a part of delta({self.depth + 1}), and the test rows told right",
            ["activation", "start", "before", "mean of all steps", "at the end", "right"],
            [
                [*name, *map(_rounded, _parts(run.deltas())), _rounded(run.score("accuracy"))]
                for name, run in runs.items()
            ],
        )
        matched = {kind: runs[kind, _suited(kind)] for kind, init in runs if init == _suited(kind)}
        yield Chart(
            delta_by_layer(
                {f"{kind}, {_suited(kind)}": run.deltas() for kind, run in matched.items()},
                range(1, self.depth + 2),
                "Delta by layer over the training, each with the start made for it",
                next(iter(runs.values())).steps,
            ),
            "Layers from the input (below) to the output (above), over the steps.",
        )
        for kind, run in matched.items():
            right = run.score("accuracy")
            if kind == "sigmoid":
                yield Check(f"Sigmoids, Glorot's start: nothing is learnt, {right:.0%} right", right < _GUESSING)
            elif kind in ("tanh", "relu", "leaky_relu"):
                yield Check(f"{kind} with {_suited(kind)} learns: {right:.0%} right", right >= _LEARNT)

    def _remedies(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("What helps")
        runs, dense, active = {}, Dense(self.width), self.activation
        forms: dict[str, tuple[list[Any], Initializer]] = {
            "plain": ([dense, active], Normal(self.deviation)),
            "Glorot's start": ([dense, active], GlorotNormal()),
            "batch normalisation": ([dense, "batch_norm", active], Normal(self.deviation)),
            "residual blocks": ([{"kind": "residual", "layers": [dense, active]}], Normal(self.deviation)),
        }
        for place, (name, (block, init)) in enumerate(forms.items()):
            yield ProgressMessage(f"training: {name}", place / len(forms))
            runs[name] = self._trained(block, init)
        rows = [[name, *run.deltas()[[0, -1], 0], run.score("accuracy")] for name, run in runs.items()]
        yield Text(
            f"Four networks of {self.depth} hidden layers of {self.width} {active.kind} units with weights of deviation"
            f" {self.deviation:g}: plain, and with one thing changed each. Batch normalisation divides by the deviation"
            " of z, which is as small as the weights made it, and so undoes on the way back what they took away. The"
            " way around a residual block carries delta past it as it is. Glorot's start makes n · mean W² nearly 1."
        )
        yield Table(
            f"After {self.epochs} epochs with gradient descent at {self.learning_rate:g}",
            ["network", "delta(1) at the start", "delta(1) at the end", "test rows right"],
            rows,
        )
        steps = runs["plain"].steps
        arriving = {name: _arriving(run.deltas()) for name, run in runs.items()}
        yield Chart(
            delta_by_layer(
                {name: run.deltas() for name, run in runs.items()},
                range(1, self.depth + 2),
                "Delta by layer over the training",
                steps,
            ),
            "Layers from the input (below) to the output (above), over the steps. In the mean over the steps delta(1)"
            f" is {_listed(arriving)} of delta({self.depth + 1}).",
        )
        accuracy = {name: run.score("accuracy") for name, run in runs.items()}
        yield Check(
            f"The plain network has learnt nothing: it tells {accuracy['plain']:.0%} right",
            accuracy["plain"] < _GUESSING,
        )
        for name in list(forms)[1:]:
            says = f"With {name} the network learns, and tells {accuracy[name]:.0%} right, at least {_LEARNT:.0%}"
            yield Check(says, accuracy[name] >= _LEARNT)

    def _trained(self, block: list[Any], init: Initializer) -> Watched:
        table = {
            "data": {"source": self.data, "validation": 0.0},
            "network": {"layers": [*block * self.depth, Dense(self._rows.outputs), "softmax"], "init": init},
            "optimizer": {"kind": "sgd", "learning_rate": self.learning_rate},
            "training": {"epochs": self.epochs, "seed": self.seed},
        }
        return watched(table)


def _rounded(number: float) -> float:
    """To two digits, as a wide table has room for."""
    return float(f"{number:.2g}")


@_SILENT
def _parts(deltas: np.ndarray) -> tuple[float, float, float]:
    """delta of the first layer as a part of that of the last: at the first step, in the mean, at the last step."""
    part = deltas[:, 0] / deltas[:, -1]
    return float(part[0]), _arriving(deltas), float(part[-1])


@_SILENT
def _arriving(deltas: np.ndarray) -> float:
    """delta of the first layer as a part of that of the last, in the mean over the steps."""
    return float(np.mean(deltas[:, 0] / deltas[:, -1]))


def _listed(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{value:.2g} ({name})" for name, value in numbers.items())


def _suited(kind: str) -> str:
    """The start that the network gives an activation when none is asked for, with normal numbers."""
    return "he_normal" if isinstance(default_initializer([Activation.of(kind)]), HeNormal) else "glorot_normal"


def _factors(network: Network, params: Any, seen: ForwardBackward) -> np.ndarray:
    """√(n · mean W² · mean f'²) between each hidden layer and the next."""
    found = []
    for index in range(1, len(network.layers) - 2, 2):
        activation, above = network.layers[index], params[index + 1].W
        assert isinstance(activation, Activation)
        slope = activation.derivative(seen.outputs[index - 1], seen.outputs[index])
        found.append(rms(slope) * rms(above) * above.shape[1] ** 0.5)
    return np.array(found)
