"""XOR by two layers of ReLU: weights written out, then learned from many random starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import plotly.graph_objects as go
from pydantic import Field

from ...core.intervals import wilson
from ...core.progress import ProgressMessage
from ...engine.engine import make_engine
from ...engine.step import Plan
from ...models.network import Network
from ...models.summary import layer_in_words
from ...pages.blocks import ArrayBlock, Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves, plane
from ...parts.initializers import Given
from ...parts.layers import GELU, Dense, LeakyReLU, ReLU, Sigmoid, Tanh
from ...parts.layers.stack import Forward
from ...parts.losses import SquaredError
from ...parts.metrics import ClassificationMetric
from ...parts.optimizers import Adam
from ...parts.part import Count, ForwardContext, Layer, Number, Positive
from .lesson import Lesson
from .walk import rows_of

Pair = tuple[Number, Number]


class Success(NamedTuple):
    """How many of so many trainings came out right, and the range that the share of all possible ones lies in."""

    right: int
    trials: int

    @property
    def interval(self) -> tuple[float, float]:
        """With 95 % certainty."""
        return wilson(self.right, self.trials)


@dataclass(frozen=True)
class XorReLU(Lesson, kind="xor-relu"):
    """XOR by a hidden layer: the textbook's weights on the four points, and how often random weights find such ones.

    The rows of V belong to the inputs, its columns to the hidden units. Raises InputError where shapes do not fit.

    Source: Goodfellow, Bengio, Courville 2016, section 6.1.

    >>> XorReLU().solution().outputs[-1].tolist()
    [[0.0], [1.0], [1.0], [0.0]]
    """

    title = "XOR by two layers of ReLU"
    subject = "A hidden layer moves four points so that a line separates them; how often training finds it by itself."
    quick: ClassVar[Mapping[str, Any]] = {"seeds": 40, "widths": (2, 8), "activations": ("relu", "tanh")}

    V: tuple[Pair, Pair] = ((1.0, 1.0), (1.0, 1.0))
    c: Pair = (0.0, -1.0)
    w: Pair = (1.0, -2.0)
    b: Number = 0.0
    seeds: Count = 100
    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = (2, 3, 4, 8)
    activations: Annotated[tuple[Layer, ...], Field(min_length=1)] = (ReLU(), LeakyReLU(), Tanh(), Sigmoid(), GELU())
    learning_rate: Positive = 0.05
    steps: Count = 500

    @property
    def network(self) -> Network:
        """The textbook's network with its weights."""
        hidden = Dense(len(self.c), init=Given(self.V), bias_init=Given(self.c))
        output = Dense(1, init=Given(tuple((weight,) for weight in self.w)), bias_init=Given((self.b,)))
        return Network((hidden, ReLU(), output))

    def solution(self, x: np.ndarray | None = None) -> Forward:
        """What the textbook's network makes of rows x (n, 2), of the four points if there are none."""
        start = self.network.initialize(0, (2,))
        rows = rows_of("xor").x if x is None else x
        return self.network.forward(start.params, start.states, rows, ForwardContext(training=False))

    def endings(self, activation: Layer, width: int, turns: int = 1) -> np.ndarray:
        """The outputs for the four points after `steps` steps, and each time after as many more: (turns, seeds, 4)."""
        samples, engine = rows_of("xor"), make_engine("compiled")
        network = Network((Dense(width), activation, Dense(1)))
        plan = Plan(network, SquaredError(), Adam(self.learning_rate), ClassificationMetric())
        data, rows = engine.place(samples), np.tile(np.arange(4, dtype=np.int32), (self.steps, 1))
        found = np.empty((turns, self.seeds, 4))
        for seed in range(self.seeds):
            state = engine.place(plan.start(seed, 2))
            for turn in range(turns):
                state, _ = engine.run(plan, state, data, rows, 0, self.steps)
                params = engine.fetch(state.params)
                outputs = network.forward(params, state.layers, samples.x, ForwardContext(training=False)).outputs
                found[turn, seed] = outputs[-1][:, 0]
        return found

    def tell(self) -> Iterator[Block | ProgressMessage]:
        """The page."""
        yield Text(
            "No line separates the two classes of XOR. A hidden layer of two ReLU units moves the four points to "
            "places where one does. First the weights that a textbook gives, then weights that training has to find."
        )
        yield Formula("h = max(x V + c, 0)\ny = h w + b;   the answer is yes where y > ½")
        yield from self._written()
        yield from self._learned()
        yield Suggestion(
            "take one bias away: both hidden units are the same now", "thalweg lesson xor-relu --quick --set 'c=[0, 0]'"
        )
        yield Suggestion(
            "other activations", 'thalweg lesson xor-relu --set \'activations=["elu", "swish", "softplus"]\''
        )
        yield Suggestion("a rate ten times larger", "thalweg lesson xor-relu --quick --set learning_rate=0.5")

    def _written(self) -> Iterator[Block]:
        yield Heading("The textbook's weights")
        samples, forward = rows_of("xor"), self.solution()
        params = self.network.initialize(0, (2,)).params
        z, h, y = forward.outputs
        yield ArrayBlock("V", params[0].W, remark="a row an input, a column a hidden unit")
        yield ArrayBlock("c", params[0].b)
        yield ArrayBlock("w", params[2].W)
        yield ArrayBlock("b", params[2].b)
        yield Table(
            "The four points",
            ("x₁", "x₂", "x V + c", "h", "y", "target"),
            [
                (*x, _point(net), _point(hidden), out, target)
                for x, net, hidden, out, target in zip(
                    samples.x.tolist(), z.tolist(), h.tolist(), y[:, 0].tolist(), samples.y.tolist(), strict=True
                )
            ],
        )
        yield Check("The outputs are 0, 1, 1, 0", y[:, 0], [0.0, 1.0, 1.0, 0.0], 1e-12)
        yield Check("The hidden layer puts the two points of class 1 at one place", h[1], h[2], 1e-12)
        yield Chart(
            self._seen(),
            "The plane of the inputs: the answer is yes in the stripe between the two borders, which holds the points "
            "(0, 1) and (1, 0).",
        )
        yield Chart(
            self._hidden(h),
            "The plane of the hidden units: (0, 1) and (1, 0) fall together, and one line separates the classes.",
        )

    def _seen(self) -> go.Figure:
        samples, axis = rows_of("xor"), np.linspace(-0.5, 1.5, 121)
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        values = self.solution(grid).outputs[-1].reshape(len(axis), len(axis))
        title, names = "What the network answers", ("class 0", "class 1")
        return plane(axis, axis, values, samples.x, samples.y, names, title, levels=[0.5])

    def _hidden(self, h: np.ndarray) -> go.Figure:
        low, high = h.min() - 0.5, h.max() + 0.5
        axis, output = np.linspace(low, high, 121), self.network.layers[-1]
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        y, _, _ = output.forward(self.network.initialize(0, (2,)).params[-1], (), grid, ForwardContext(training=False))
        values = y.reshape(len(axis), len(axis))
        lines = [("h w + b = ½", np.array(self.w), self.b - 0.5)]
        title, names = "The same points after the hidden layer", ("class 0", "class 1")
        return plane(axis, axis, values, h, rows_of("xor").y, names, title, ("h1", "h2"), lines, levels=[0.5])

    def _learned(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("From random weights")
        found: dict[str, list[Success]] = {}
        for number, activation in enumerate(self.activations):
            name = layer_in_words(activation)
            for place, width in enumerate(self.widths):
                share = (number * len(self.widths) + place) / (len(self.activations) * len(self.widths))
                yield ProgressMessage(f"{name} with {width} hidden units, {self.seeds} trainings", share)
                right = int(_right(self.endings(activation, width)[0]).sum())
                found.setdefault(name, []).append(Success(right, self.seeds))
        yield Text(
            f"{self.seeds} trainings for each number of units and each activation, from weights that differ by their "
            f"seed alone: Adam at {self.learning_rate:g} on the squared error, all four points in each of {self.steps} "
            "steps. A training is right where all four outputs are on their side of ½. The interval holds the share of "
            "all possible starts with 95 % certainty (Wilson)."
        )
        yield Table(
            "How many trainings end right",
            ("activation", "hidden units", "right", "of", "interval from", "to"),
            [
                (name, width, *one, *one.interval)
                for name, row in found.items()
                for width, one in zip(self.widths, row, strict=True)
            ],
        )
        least, most = int(np.argmin(self.widths)), int(np.argmax(self.widths))
        few, many = self.widths[least], self.widths[most]
        grown = all(row[most].right >= row[least].right for row in found.values())
        yield Check(f"For each activation {many} units succeed as often as {few}, or more often", grown)
        yield Chart(
            _chart(self.widths, found),
            "The share of trainings that end right, by the number of hidden units, with intervals of 95 %.",
        )
        if ReLU() in self.activations:
            relu = found.pop("relu")
            yield Check(f"{few} ReLU units fail more often than not", relu[least].interval[1] < 0.5)
            yield Check(f"{many} ReLU units succeed more often than not", relu[most].interval[0] > 0.5)
            for name, row in found.items():
                beside = row[least].interval[0] > relu[least].interval[1]
                yield Check(f"{few} {name} units succeed more often than {few} ReLU units", beside)
            yield from self._stuck(few)

    def _stuck(self, width: int) -> Iterator[Block]:
        yield Heading(f"Where {width} ReLU units end")
        now, later = self.endings(ReLU(), width, turns=2)
        failed = later[~_right(later)]
        ends, counts = np.unique(np.round(failed, 2) + 0.0, axis=0, return_counts=True)
        yield Text(
            "A ReLU unit that is 0 on all four points has a gradient of 0 and stays so. A network left with too few "
            "units gives points of both classes the same answer, and the best same answer is their mean: ½ for all "
            "four, or ⅓ for three of them. The slope is 0 there. More steps do not help, other starts do."
        )
        order = np.argsort(-counts, kind="stable")
        yield Table(
            f"Outputs of the networks that fail, after {2 * self.steps} steps",
            ("(0, 0)", "(0, 1)", "(1, 0)", "(1, 1)", "networks"),
            [(*ends[index].tolist(), int(counts[index])) for index in order[:6]],
        )
        rescued = int(_right(later).sum() - _right(now).sum())
        yield Check("Twice as many steps rescue none of them", rescued, 0)
        means = np.array([0, 1 / 3, 1 / 2, 2 / 3, 1])
        away = np.abs(failed[..., None] - means).min(axis=-1).max(initial=0.0)
        yield Check("Each of their outputs is a mean of two, three or four targets, or right", float(away), 0.0, 0.02)


def _right(outputs: np.ndarray) -> np.ndarray:
    """Whether each network of (..., 4) outputs tells all four points right."""
    return np.all((outputs > SquaredError().threshold) == (rows_of("xor").y > 0), axis=-1)


def _point(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _chart(widths: tuple[int, ...], found: dict[str, list[Success]]) -> go.Figure:
    series = {name: np.array([one.right / one.trials for one in row]) for name, row in found.items()}
    figure = curves(widths, series, "Trainings that end right", "hidden units", "share")
    for trace, row in zip(figure.data, found.values(), strict=True):
        low, high = np.array([one.interval for one in row]).T
        trace.error_y = {"type": "data", "array": high - trace.y, "arrayminus": trace.y - low, "thickness": 1.2}
    figure.update_xaxes(tickvals=list(widths))
    return figure.update_yaxes(tickformat=".0%", range=[0, 1.04])
