"""Gradient flow before training: delta by depth over many draws of the weights, compared with mean-field theory.

Source: Poole et al. 2016; Schoenholz et al. 2017, Deep information propagation, equations 3 and 7; He et al. 2015,
section 2.2.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.arrays import Params, rms
from ..core.errors import InputError
from ..core.noise import Noise, noise_key
from ..core.progress import ProgressMessage, Watch, ignore_progress
from ..data import Dataset
from ..engine.eager import Eager
from ..engine.step import Batch, forward_backward, fused
from ..models.mean_field import predicted
from ..models.network import Network
from ..models.summary import layer_in_words, network_in_words
from ..pages.blocks import Block, Chart, Formula, Heading, Table, Text
from ..pages.figures import curves
from ..pages.numbers import number
from ..pages.page import Page, Paged
from ..parts.initializers import GlorotNormal, HeNormal, LeCunNormal, Orthogonal
from ..parts.part import ForwardContext, Layer, Loss
from ..runs.run import Run
from ..runs.train import session_of
from ..spec.spec import CompleteSpec, Spec, data_name
from ..training.batch_plan import as_batch

if TYPE_CHECKING:
    import plotly.graph_objects as go

_ALTERNATIVES = (GlorotNormal(), HeNormal(), LeCunNormal(), Orthogonal())
_MOST_TABLE_ROWS = 24
# Delta vanishes or explodes if it changes by more than the first factor from the last to the first layer; else it keeps
# its size if it changes by at most the second factor a layer.
_LOST_FACTOR = 100.0
_KEPT_FACTOR = 1.25


@dataclass(frozen=True, eq=False)
class GradientFlow(Paged):
    """Outputs and deltas after each dense layer and residual block, before training.

    Attributes:
        spec: the completed spec.
        rows: how many training rows were used.
        layer_names: number and description of each measured layer.
        outputs: root mean squares of the outputs (seeds, layers).
        deltas: root mean squares of dL/d(outputs) (seeds, layers).
        predicted_outputs: `outputs` by mean-field theory (layers,); NaN if a layer has no theory.
        predicted_deltas: `deltas` by the theory, which starts from the measured delta of the last layer (layers,).
        alternatives: by initializer, the predicted delta of the first layer divided by that of the last.
    """

    spec: CompleteSpec
    rows: int
    layer_names: tuple[str, ...]
    outputs: np.ndarray
    deltas: np.ndarray
    predicted_outputs: np.ndarray
    predicted_deltas: np.ndarray
    alternatives: dict[str, float]

    @property
    def delta_ratio(self) -> float:
        """delta of the first layer divided by that of the last: the geometric mean over the seeds."""
        deltas = _geometric_mean(self.deltas)
        return float(deltas[0] / deltas[-1])

    @property
    def has_theory(self) -> bool:
        """Whether the theory predicts delta after every layer: it has no formula for convolutions, for instance."""
        return bool(np.isfinite(self.predicted_deltas).all())

    @property
    def outcome(self) -> str:
        """What becomes of delta from the last layer to the first, in a sentence."""
        ratio = self.delta_ratio
        if not np.isfinite(ratio):
            return "Delta is 0 or infinite after a layer: no gradient passes there."
        factor = ratio ** (1 / max(1, len(self.layer_names) - 1))
        by_layer = f"a factor of {number(factor, 3)} a layer"
        first = f"at the first layer it is {number(ratio, 2)} times that of the last, {by_layer}"
        if not 1 / _LOST_FACTOR <= ratio <= _LOST_FACTOR:
            return f"Delta {'vanishes' if ratio < 1 else 'explodes'}: {first}."
        if not 1 / _KEPT_FACTOR <= factor <= _KEPT_FACTOR:
            return f"Delta {'shrinks' if ratio < 1 else 'grows'}: {first}."
        return f"Delta keeps its size: {first}."

    def figure(self) -> go.Figure:
        """Root mean square of delta by layer: the mean of the draws, the range of 90 % of them, and the theory."""
        return _depth_figure(
            self.deltas, self.predicted_deltas, "Delta by layer before training", "root mean square of delta"
        )

    def page(self) -> Page:
        """The measurement and the theory as a page."""
        spec = self.spec
        return Page(
            title=f"Gradient flow before training: {data_name(spec)}",
            blocks=(*self._summary(), *self._charts(), *self._table(), *self._alternatives()),
            summary=f"{network_in_words(spec.network)};  loss: {spec.loss.kind}",
            settings=(
                ("seeds", str(len(self.deltas))),
                ("rows", number(self.rows)),
                ("seed", str(spec.training.seed)),
            ),
        )

    def _summary(self) -> Iterator[Block]:
        yield Text(self.outcome)
        measured = f"Measured over {len(self.deltas)} draws of the weights with {self.rows} training rows."
        if not self.has_theory:
            yield Text(f"{measured} There is no theory for one of the layers, so nothing is predicted.")
            return
        yield Formula(
            "s(l) = n_in var(W(l)) E[f(√s(l-1) z)²] + var(b(l)),   mean square of the outputs of dense layer l\n"
            "d(l) = d(l+1) n_out var(W(l+1)) E[f'(√s(l) z)²],      mean square of its delta\n"
            "z ~ N(0, 1)"
        )
        yield Text(
            f"{measured} The theory assumes wide layers and independent weights; its delta starts from the measured"
            " delta of the last layer."
        )

    def _charts(self) -> Iterator[Block]:
        shown = "the mean of the draws, the range of 90 % of them" + ", and the theory" * self.has_theory
        yield Chart(
            self.figure(),
            f"Delta after each layer, from the input (left) to the output: {shown}. {self.outcome}",
        )
        outputs = _depth_figure(
            self.outputs, self.predicted_outputs, "Outputs by layer before training", "root mean square of the outputs"
        )
        yield Chart(outputs, f"Outputs of each layer: {shown}.")

    def _table(self) -> Iterator[Block]:
        yield Heading("Layer by layer")
        deltas = _geometric_mean(self.deltas)
        columns = {"outputs": _geometric_mean(self.outputs), "delta": deltas}
        if self.has_theory:
            columns = {
                "outputs": columns["outputs"],
                "outputs by theory": self.predicted_outputs,
                "delta": deltas,
                "delta by theory": self.predicted_deltas,
            }
        rows: list[list[str | float]] = [
            [name, *(float(column[k]) for column in columns.values())] for k, name in enumerate(self.layer_names)
        ]
        if len(rows) > _MOST_TABLE_ROWS:
            half = _MOST_TABLE_ROWS // 2
            rows = [*rows[:half], ["…"] * (1 + len(columns)), *rows[-half:]]
        yield Table("Root mean squares after each layer", ["layer", *columns], rows)
        orders = np.abs(np.log10(deltas / self.predicted_deltas))
        if np.isfinite(orders).all():
            yield Text(f"The prediction of delta is wrong by at most a factor of {number(10 ** orders.max(), 3)}.")

    def _alternatives(self) -> Iterator[Block]:
        if not self.alternatives:
            return
        yield Heading("Other initializers, by theory")
        yield Table(
            "Delta of the first layer divided by that of the last, if all dense layers used the initializer",
            ["initializer", "ratio of delta"],
            [[name, float(ratio)] for name, ratio in self.alternatives.items()],
        )


def gradient_flow(
    spec: Run | Spec | Mapping[str, object] | str | Path,
    seeds: int = 20,
    rows: int = 256,
    watch: Watch = ignore_progress,
) -> GradientFlow:
    """Measure outputs and deltas of a network before training over draws of its weights, and compare with theory.

    Args:
        spec: the training: a `Run` or its folder, a `Spec`, its tables, or the name of a file, an example or a data
            source.
        seeds: the number of draws; their seeds count up from the seed of the spec.
        rows: the number of training rows, the first ones, for all draws.
        watch: receives progress messages.

    Raises:
        InputError: for fewer than one seed or two rows, and for a network with fewer than two dense layers or residual
            blocks.

    >>> layers = [*["dense 64", "sigmoid"] * 10, "dense 2", "softmax"]
    >>> flow = gradient_flow({"data": "rings", "network": {"layers": layers}}, seeds=3)
    >>> flow.outcome[:14], bool(abs(np.log10(flow.deltas.mean(axis=0) / flow.predicted_deltas)).max() < 0.5)
    ('Delta vanishes', True)
    """
    if seeds < 1:
        raise InputError("seeds", f"expected at least 1, received {seeds}")
    if rows < 2:
        raise InputError("rows", f"expected at least 2, received {rows}")
    watch(ProgressMessage("loading the data"))
    session = session_of(spec)
    whole = session.spec
    data = session.split.train.head()
    stages = [k for k, layer in enumerate(whole.network.layers) if layer.has_weights or layer.inner]
    if len(stages) < 2:
        raise InputError(
            "network", "expected at least two layers with weights or residual blocks, to compare their deltas"
        )
    batch = Batch(*(array[:rows] for array in Eager().place(as_batch(data))))
    network, loss = fused(whole.network, whole.loss)
    draws = []
    for k in range(seeds):
        watch(ProgressMessage(f"draw {k + 1} of {seeds}", k / seeds))
        draws.append(_measure(network, loss, whole.training.seed + k, data, batch, stages))
    deltas = np.array([draw.deltas for draw in draws])
    outputs, ratios = predicted(network.layers, [draw.params for draw in draws], _mean_square(batch), stages)
    return GradientFlow(
        spec=whole,
        rows=len(batch.weight),
        layer_names=tuple(f"{stage + 1}: {layer_in_words(whole.network.layers[stage])}" for stage in stages),
        outputs=np.array([draw.outputs for draw in draws]),
        deltas=deltas,
        predicted_outputs=outputs,
        predicted_deltas=ratios * _geometric_mean(deltas)[-1],
        alternatives=_alternatives(whole, data, batch, stages),
    )


@dataclass(frozen=True, eq=False)
class _Draw:
    """Root mean squares by measured layer for one draw of the parameters."""

    params: tuple[Params, ...]
    outputs: list[float]
    deltas: list[float]


def _measure(network: Network, loss: Loss, seed: int, data: Dataset, batch: Batch, stages: Sequence[int]) -> _Draw:
    start = network.initialize(seed, (data.features,))
    context = ForwardContext(True, batch.weight, Noise(noise_key(seed), np.array(0)))
    with np.errstate(all="ignore"):
        passed = forward_backward(network, loss, start.params, start.states, batch, context)
    return _Draw(
        start.params,
        [float(rms(passed.outputs[stage])) for stage in stages],
        [float(rms(passed.deltas[stage])) for stage in stages],
    )


def _alternatives(spec: CompleteSpec, data: Dataset, batch: Batch, stages: Sequence[int]) -> dict[str, float]:
    ratios = {}
    for init in _ALTERNATIVES:
        layers = tuple(map(_without_initializer, spec.network.layers))
        network, _ = fused(dataclasses.replace(spec.network, init=init, layers=layers), spec.loss)
        params = network.initialize(spec.training.seed, (data.features,)).params
        _, deltas = predicted(network.layers, [params], _mean_square(batch), stages)
        if np.isfinite(deltas[0]):
            ratios[init.kind] = float(deltas[0])
    return ratios


def _without_initializer(layer: Layer) -> Layer:
    """The layer with the initializer of the network."""
    return Layer.of({name: value for name, value in layer.describe().items() if name != "init"})


def _mean_square(batch: Batch) -> float:
    return float(np.mean(np.square(batch.x)))


def _geometric_mean(values: np.ndarray) -> np.ndarray:
    """The geometric mean over the seeds (layers,)."""
    with np.errstate(all="ignore"):
        return np.exp(np.mean(np.log(values), axis=0))


def _depth_figure(measured: np.ndarray, theory: np.ndarray, title: str, quantity: str) -> go.Figure:
    layers = np.arange(1, measured.shape[1] + 1)
    low, high = np.quantile(measured, [0.05, 0.95], axis=0)
    series = {"measured": _geometric_mean(measured)}
    if np.isfinite(theory).any():
        series["theory"] = theory
    depth = "dense layer or block, from the input"
    return curves(layers, series, title, depth, quantity, log=True, bands={"measured": (low, high)})
