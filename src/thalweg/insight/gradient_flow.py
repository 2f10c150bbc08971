"""Gradient flow before training: delta by depth over many draws of the weights, beside what theory predicts.

Source: Poole et al. 2016; Schoenholz et al. 2017, Deep information propagation, equations 3 and 7; He et al. 2015,
section 2.2.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import rms
from ..core.errors import InputError
from ..core.noise import Noise, noise_key
from ..core.progress import ProgressMessage
from ..data import Dataset
from ..engine.eager import Eager
from ..engine.step import Batch, forward_backward, fused
from ..models.mean_field import predicted
from ..models.summary import layer_in_words, network_in_words
from ..pages.blocks import Block, Chart, Formula, Heading, Table, Text
from ..pages.figures import curves
from ..pages.page import Page
from ..parts.initializers import GlorotNormal, HeNormal, LeCunNormal, Orthogonal
from ..parts.layers import Dense, Residual
from ..parts.part import ForwardContext, Layer
from ..spec.complete import completed
from ..spec.spec import CompleteSpec, Spec, data_name
from ..training.batch_plan import as_batch

_OTHERS = (GlorotNormal(), HeNormal(), LeCunNormal(), Orthogonal())
_MOST_ROWS = 24
# Within this, what arrives at the first layer is called as large as at the last.
_KEPT = 100.0


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """Outputs and deltas behind each dense layer and residual block, before training.

    `outputs` and `deltas` (seeds, layers) are root mean squares; `predicted_outputs` and `predicted_deltas` (layers,)
    are theory's, NaN where there is none; the prediction of delta starts from what was measured at the last layer.
    `others` is, by initialisation, the predicted share of delta that arrives at the first layer.
    """

    spec: CompleteSpec
    rows: int
    names: tuple[str, ...]
    outputs: np.ndarray
    deltas: np.ndarray
    predicted_outputs: np.ndarray
    predicted_deltas: np.ndarray
    others: dict[str, float]

    @property
    def arriving(self) -> float:
        """delta of the first layer as a part of that of the last: the geometric mean over the seeds."""
        return float(_middle(self.deltas)[0] / _middle(self.deltas)[-1])

    @property
    def outcome(self) -> str:
        """What happens to delta on its way down, in a sentence."""
        arriving, steps = self.arriving, max(1, len(self.names) - 1)
        layer = f"a factor of {arriving ** (1 / steps):.3g} a layer" if np.isfinite(arriving) else ""
        if not np.isfinite(arriving):
            return "Delta is 0 or infinite behind a layer: no gradient passes there."
        if arriving < 1 / _KEPT:
            return f"Delta vanishes: {arriving:.2g} of it arrives at the first layer, {layer}."
        if arriving > _KEPT:
            return f"Delta explodes: {arriving:.2g} times as much arrives at the first layer, {layer}."
        return f"Delta keeps its size: {arriving:.2g} of it arrives at the first layer, {layer}."

    def figure(self) -> Any:
        """The root mean square of delta by layer: measured, with the range of nine tenths of the draws, and theory."""
        return _drawn(self.deltas, self.predicted_deltas, "Delta by layer before training", "rms of delta")

    def page(self) -> Page:
        """The page that tells it."""
        training = self.spec.training
        settings = (("seeds", str(len(self.deltas))), ("rows", str(self.rows)), ("seed", str(training.seed)))
        words = f"{network_in_words(self.spec.network)};  loss: {self.spec.loss.kind}"
        title = f"Gradient flow before training: {data_name(self.spec)}"
        return Page(title, tuple(self._blocks()), words, settings)

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()

    def _blocks(self) -> Iterable[Block]:
        yield Text(self.outcome)
        yield Formula(
            "s(l) = n_in var(W(l)) E[f(√s(l-1) z)²] + var(b(l)),   mean square of the outputs of dense layer l\n"
            "d(l) = d(l+1) n_out var(W(l+1)) E[f'(√s(l) z)²],      mean square of its delta\n"
            "z a standard normal number"
        )
        yield Text(
            f"Measured over {len(self.deltas)} draws of the weights with {self.rows} training rows. Theory takes layers"
            " as wide and weights as independent; its delta starts from what was measured at the last layer."
        )
        yield Chart(
            _drawn(self.deltas, self.predicted_deltas, "Delta by layer before training", "rms of delta"),
            "Delta behind each layer, from the input (left) to the output: the mean of the draws, the range of nine"
            f" tenths of them, and theory. {self.outcome}",
        )
        yield Chart(
            _drawn(self.outputs, self.predicted_outputs, "Outputs by layer before training", "rms of the outputs"),
            "The same for the outputs of the layers.",
        )
        yield Heading("Layer by layer")
        numbers = (_middle(self.outputs), self.predicted_outputs, _middle(self.deltas), self.predicted_deltas)
        rows = [[name, *(float(f"{values[k]:.3g}") for values in numbers)] for k, name in enumerate(self.names)]
        left_out = len(rows) - _MOST_ROWS
        if left_out > 0:
            rows = [*rows[: _MOST_ROWS // 2], ["…", *["…"] * 4], *rows[-_MOST_ROWS // 2 :]]
        yield Table(
            "Root mean squares behind each layer",
            ["layer", "outputs", "by theory", "delta", "by theory"],
            rows,
        )
        off = np.abs(np.log10(_middle(self.deltas) / self.predicted_deltas))
        if np.isfinite(off).all():
            yield Text(f"The prediction of delta is off by a factor of {10 ** off.max():.3g} at most.")
        else:
            yield Text("There is no theory for one of the layers, and so none for what lies behind it.")
        if self.others:
            yield Heading("Other starts, by theory")
            yield Table(
                "What part of delta would arrive at the first layer, were all dense layers drawn so",
                ["initialisation", "part of delta"],
                [[name, float(f"{part:.3g}")] for name, part in self.others.items()],
            )


def gradient_flow(
    spec: Spec, seeds: int = 20, rows: int = 256, watch: Callable[[ProgressMessage], None] = lambda working: None
) -> GradientFlow:
    """Measure outputs and deltas of a network before training, over draws of its weights, and set theory beside them.

    The seeds are those from the spec's seed on; the same first training rows serve all of them, in float64.

    Raises InputError for fewer than one seed or two rows, and for a network in which no delta can be measured twice.

    >>> layers = [*["dense 64", "sigmoid"] * 10, "dense 2", "softmax"]
    >>> flow = gradient_flow(Spec.of({"data": "rings", "network": {"layers": layers}}), seeds=3)
    >>> flow.outcome[:14], bool(abs(np.log10(flow.deltas.mean(axis=0) / flow.predicted_deltas)).max() < 0.5)
    ('Delta vanishes', True)
    """
    if seeds < 1:
        raise InputError("seeds", f"expected at least 1, received {seeds}")
    if rows < 2:
        raise InputError("rows", f"expected at least 2, received {rows}")
    watch(ProgressMessage("loading the data"))
    split = spec.data.load(spec.training.seed)
    whole = completed(spec, split.train)
    data = next(split.train.parts())
    stages = [k for k, layer in enumerate(whole.network.layers) if isinstance(layer, Dense | Residual)]
    if len(stages) < 2:
        raise InputError("network", "expected two dense layers or residual blocks at least: delta has no way to flow")
    batch = Batch(*(array[:rows] for array in Eager().place(as_batch(data))))
    network, loss = fused(whole.network, whole.loss)
    outputs, deltas, draws = [], [], []
    for k in range(seeds):
        watch(ProgressMessage(f"draw {k + 1} of {seeds}", k / seeds))
        seed = whole.training.seed + k
        start = network.initialize(seed, (data.features,))
        mode = ForwardContext(True, batch.weight, Noise(noise_key(seed), np.array(0)))
        with np.errstate(all="ignore"):
            found = forward_backward(network, loss, start.params, start.states, batch, mode)
        outputs.append([rms(found.outputs[stage]) for stage in stages])
        deltas.append([rms(found.deltas[stage]) for stage in stages])
        draws.append(start.params)
    measured = np.array(deltas)
    by_theory = predicted(network.layers, draws, float(np.mean(np.square(batch.x))), stages)
    last = _middle(measured)[-1]
    return GradientFlow(
        whole,
        len(batch.weight),
        tuple(f"{stage + 1}: {layer_in_words(whole.network.layers[stage])}" for stage in stages),
        np.array(outputs),
        measured,
        by_theory[0],
        by_theory[1] * last,
        _others(whole, data, batch, stages),
    )


def _others(spec: CompleteSpec, data: Dataset, batch: Batch, stages: Sequence[int]) -> dict[str, float]:
    found = {}
    for init in _OTHERS:
        network = dataclasses.replace(spec.network, init=init, layers=tuple(map(_without_init, spec.network.layers)))
        network, _ = fused(network, spec.loss)
        draws = [network.initialize(spec.training.seed, (data.features,)).params]
        part = predicted(network.layers, draws, float(np.mean(np.square(batch.x))), stages)[1][0]
        if np.isfinite(part):
            found[init.kind] = float(part)
    return found


def _without_init(layer: Layer) -> Layer:
    return dataclasses.replace(layer, init=None) if isinstance(layer, Dense) else layer


def _middle(values: np.ndarray) -> np.ndarray:
    """The geometric mean over the seeds, (layers,)."""
    with np.errstate(all="ignore"):
        return np.exp(np.mean(np.log(values), axis=0))


def _drawn(measured: np.ndarray, by_theory: np.ndarray, title: str, quantity: str) -> Any:
    layers = np.arange(1, measured.shape[1] + 1)
    low, high = np.quantile(measured, [0.05, 0.95], axis=0)
    series = {"measured": _middle(measured), "theory": by_theory}
    if not np.isfinite(by_theory).any():
        del series["theory"]
    where = "dense layer or block, from the input"
    return curves(layers, series, title, where, quantity, log=True, bands={"measured": (low, high)})
