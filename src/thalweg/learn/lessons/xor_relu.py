"""XOR by two layers of ReLU: with given weights, then learned from many random starts."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import plotly.graph_objects as go
from pydantic import Field

from ...core.arrays import Array
from ...core.intervals import wilson
from ...core.progress import ProgressMessage
from ...engine.engine import make_engine
from ...engine.step import Plan
from ...models.network import Network
from ...models.summary import layer_in_words
from ...pages.blocks import ArrayBlock, Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves, plane
from ...pages.numbers import inline, number
from ...parts.initializers import Given
from ...parts.layers import GELU, Dense, LeakyReLU, ReLU, Sigmoid, Tanh
from ...parts.layers.stack import Forward
from ...parts.losses import SquaredError
from ...parts.optimizers import Adam
from ...parts.part import Count, ForwardContext, Layer, Number, Positive
from ...parts.task_metrics import ClassificationMetric
from ...spec.spec import Spec
from ..affine import affine_at
from ..lesson import Lesson
from ..step_by_step import load_rows

Pair = tuple[Number, Number]

_CLASSES = ("class 0", "class 1")
_MOST_ROWS = 6


class SuccessRate(NamedTuple):
    """The number of trainings that end with four right answers, out of all trainings."""

    right: int
    trials: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the success rate over all possible starts."""
        return wilson(self.right, self.trials)


@dataclass(frozen=True)
class XorReLULesson(Lesson, kind="xor-relu"):
    """XOR by a hidden layer: the textbook's weights on the four points, and how often training finds such weights.

    Raises InputError if the shapes do not fit.

    Source: Goodfellow, Bengio, Courville 2016, section 6.1.

    Attributes:
        V: The given weights of the hidden layer: one row for each input, one column for each hidden unit.
        c: The given biases of the hidden layer.
        w: The given weights of the output.
        b: The given bias of the output.
        seeds: The number of trainings for each width and activation.
        widths: The numbers of hidden units.
        activations: The activations of the hidden layer.
        learning_rate: The learning rate of Adam.
        steps: The number of steps of each training.

    >>> XorReLULesson().solution().outputs[-1].tolist()
    [[0.0], [1.0], [1.0], [0.0]]
    """

    title = "XOR by two layers of ReLU"
    subject = "A hidden layer moves four points so that a line separates them; how often training finds such weights."
    chapter = "More than a line"
    place = 2
    quick: ClassVar[Mapping[str, object]] = {"seeds": 40, "widths": (2, 8), "activations": ("relu", "tanh")}

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

    def solution(self, x: Array | None = None) -> Forward:
        """The forward pass of the textbook's network for rows x (n, 2), by default for the four points."""
        start = self.network.initialize(0, (2,))
        rows = load_rows("xor").x if x is None else x
        return self.network.forward(start.params, start.states, rows, ForwardContext(training=False))

    def _trained_network(self, activation: Layer, width: int) -> Network:
        return Network((Dense(width), activation, Dense(1)))

    def final_outputs(self, activation: Layer, width: int, rounds: int = 1) -> Array:
        """Outputs for the four points after `steps` steps, and after each further round of as many steps.

        Returns an array of shape (rounds, seeds, 4).
        """
        samples = load_rows("xor")
        engine = make_engine("compiled")
        network = self._trained_network(activation, width)
        plan = Plan(network, SquaredError(), Adam(self.learning_rate), ClassificationMetric())
        data = engine.place(samples)
        rows = np.tile(np.arange(4, dtype=np.int32), (self.steps, 1))
        outputs = np.empty((rounds, self.seeds, 4))
        for seed in range(self.seeds):
            state = engine.place(plan.start(seed, 2))
            for index in range(rounds):
                state, _ = engine.run(plan, state, data, rows, 0, self.steps)
                params = engine.fetch(state.params)
                forward = network.forward(params, state.layers, samples.x, ForwardContext(training=False))
                outputs[index, seed] = forward.outputs[-1][:, 0]
        return outputs

    @property
    def playground(self) -> Spec:
        network = self._trained_network(self.activations[0], max(self.widths))
        optimizer = Adam(self.learning_rate)
        return Spec.of(
            {
                "data": "xor",
                "network": network,
                "loss": SquaredError(),
                "optimizer": optimizer,
                "training": {"epochs": self.steps},
            }
        )

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "No line separates the two classes of XOR. A hidden layer of two ReLU units moves the four points to "
            "places where a line does. First you see the weights of a textbook, then weights that training finds."
        )
        yield Formula("h = max(x V + c, 0)\ny = h w + b;   the answer is yes where y > ½")
        yield from self._given()
        yield from self._learned()
        yield Suggestion(
            "remove one bias: both hidden units are the same now",
            "thalweg lesson xor-relu --quick --set 'c=[0, 0]'",
        )
        yield Suggestion(
            "other activations", 'thalweg lesson xor-relu --set \'activations=["elu", "swish", "softplus"]\''
        )
        yield Suggestion("a learning rate ten times larger", "thalweg lesson xor-relu --quick --set learning_rate=0.5")

    def _given(self) -> Iterator[Block]:
        yield Heading("The textbook's weights")
        samples = load_rows("xor")
        params = self.network.initialize(0, (2,)).params
        hidden = affine_at(params, 0)
        output = affine_at(params, 2)
        z, h, y = self.solution().outputs
        yield ArrayBlock("V", hidden.W, remark="one row for each input, one column for each hidden unit")
        yield ArrayBlock("c", hidden.b)
        yield ArrayBlock("w", output.W)
        yield ArrayBlock("b", output.b)
        rows = zip(samples.x.tolist(), z, h, y[:, 0].tolist(), samples.y.tolist(), strict=True)
        yield Table(
            "The four points",
            ("x₁", "x₂", "x V + c", "h", "y", "target"),
            [(*x, inline(net), inline(moved), answer, target) for x, net, moved, answer, target in rows],
        )
        yield Check("The outputs are 0, 1, 1, 0", y[:, 0], [0.0, 1.0, 1.0, 0.0], 1e-12)
        yield Check("The hidden layer moves the two points of class 1 to the same place", h[1], h[2], 1e-12)
        yield Chart(
            self._input_plane(),
            "The plane of the inputs: the answer is yes in the stripe between the two boundaries, which contains the "
            "points (0, 1) and (1, 0).",
        )
        yield Chart(
            self._hidden_plane(h),
            "The plane of the hidden units: (0, 1) and (1, 0) coincide, and one line separates the classes.",
        )

    def _input_plane(self) -> go.Figure:
        samples = load_rows("xor")
        axis = np.linspace(-0.5, 1.5, 121)
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        values = self.solution(grid).outputs[-1].reshape(len(axis), len(axis))
        return plane(axis, axis, values, samples.x, samples.y, _CLASSES, "The answers of the network", levels=[0.5])

    def _hidden_plane(self, h: Array) -> go.Figure:
        axis = np.linspace(h.min() - 0.5, h.max() + 0.5, 121)
        output = self.network.layers[-1]
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        y, _, _ = output.forward(self.network.initialize(0, (2,)).params[-1], (), grid, ForwardContext(training=False))
        values = y.reshape(len(axis), len(axis))
        lines = [("h w + b = ½", np.array(self.w), self.b - 0.5)]
        title = "The same points after the hidden layer"
        return plane(axis, axis, values, h, load_rows("xor").y, _CLASSES, title, ("h1", "h2"), lines, levels=[0.5])

    def _learned(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("From random weights")
        rates = yield from self._success_rates()
        yield Text(
            f"{self.seeds} trainings for each number of units and each activation; their initial weights differ by the "
            f"seed only. Adam with a learning rate of {number(self.learning_rate)} minimises the squared error, with "
            f"all four points in each of {number(self.steps)} steps. A training is right if all four outputs are on "
            "the right side of ½. The interval contains the success rate over all possible starts with 95 % confidence "
            "(Wilson)."
        )
        yield Table(
            "How many trainings end right",
            ("activation", "hidden units", "right", "of", "interval from", "to"),
            [
                (name, width, *rate, *rate.interval)
                for name, row in rates.items()
                for width, rate in zip(self.widths, row, strict=True)
            ],
        )
        fewest = int(np.argmin(self.widths))
        most = int(np.argmax(self.widths))
        yield Check(
            f"With each activation {self.widths[most]} units succeed at least as often as {self.widths[fewest]}",
            all(row[most].right >= row[fewest].right for row in rates.values()),
        )
        yield Chart(
            _rates_chart(self.widths, rates),
            "The success rate by the number of hidden units, with intervals of 95 %.",
        )
        if ReLU() in self.activations:
            yield from self._relu_against_others(rates, fewest, most)
            yield from self._failed(self.widths[fewest])

    def _success_rates(self) -> Generator[ProgressMessage, None, dict[str, list[SuccessRate]]]:
        """Train all networks and return their success rates by activation, one for each width."""
        rates: dict[str, list[SuccessRate]] = {}
        total = len(self.activations) * len(self.widths)
        for activation in self.activations:
            name = layer_in_words(activation)
            rates[name] = []
            for width in self.widths:
                done = sum(map(len, rates.values())) / total
                yield ProgressMessage(f"{name} with {width} hidden units, {self.seeds} trainings", done)
                right = int(_right(self.final_outputs(activation, width)[0]).sum())
                rates[name].append(SuccessRate(right, self.seeds))
        return rates

    def _relu_against_others(self, rates: Mapping[str, list[SuccessRate]], fewest: int, most: int) -> Iterator[Block]:
        few = self.widths[fewest]
        relu_name = layer_in_words(ReLU())
        relu = rates[relu_name]
        yield Check(f"{few} ReLU units fail more often than not", relu[fewest].interval[1] < 0.5)
        yield Check(f"{self.widths[most]} ReLU units succeed more often than not", relu[most].interval[0] > 0.5)
        for name, row in rates.items():
            if name != relu_name:
                apart = row[fewest].interval[0] > relu[fewest].interval[1]
                yield Check(f"{few} {name} units succeed more often than {few} ReLU units", apart)

    def _failed(self, width: int) -> Iterator[Block]:
        """The outputs of ReLU networks that fail."""
        yield Heading(f"How {width} ReLU units fail")
        first, second = self.final_outputs(ReLU(), width, rounds=2)
        failed = second[~_right(second)]
        outputs, counts = np.unique(np.round(failed, 2) + 0.0, axis=0, return_counts=True)
        yield Text(
            "A ReLU unit that is 0 on all four points has a gradient of 0 and stays so. A network with too few units "
            "left gives the same answer to points of both classes, and the best common answer is the mean of their "
            "targets: ½ for all four, or ⅓ for three of them. The gradient is 0 there. More steps do not help, other "
            "starts do."
        )
        order = np.argsort(-counts, kind="stable")
        yield Table(
            f"Outputs of the networks that fail, after {number(2 * self.steps)} steps",
            ("(0, 0)", "(0, 1)", "(1, 0)", "(1, 1)", "networks"),
            [(*outputs[index].tolist(), int(counts[index])) for index in order[:_MOST_ROWS]],
        )
        rescued = int(_right(second).sum() - _right(first).sum())
        yield Check("Twice as many steps rescue none of them", rescued, 0)
        means = np.array([0, 1 / 3, 1 / 2, 2 / 3, 1])
        distance = np.abs(failed[..., None] - means).min(axis=-1).max(initial=0.0)
        yield Check(
            "Each of their outputs is right, or a mean of two, three or four targets", float(distance), 0.0, 0.02
        )


def _right(outputs: Array) -> Array:
    """Whether each network of (..., 4) outputs answers all four points correctly."""
    return np.all((outputs > SquaredError().threshold) == (load_rows("xor").y > 0), axis=-1)


def _rates_chart(widths: tuple[int, ...], rates: Mapping[str, list[SuccessRate]]) -> go.Figure:
    series = {name: np.array([rate.right / rate.trials for rate in row]) for name, row in rates.items()}
    figure = curves(widths, series, "Trainings that end right", "hidden units", "success rate")
    for trace, row in zip(figure.data, rates.values(), strict=True):
        low, high = np.array([rate.interval for rate in row]).T
        trace.error_y = {"type": "data", "array": high - trace.y, "arrayminus": trace.y - low, "thickness": 1.2}
    figure.update_xaxes(tickvals=list(widths))
    return figure.update_yaxes(tickformat=".0%", range=[0, 1.04])
