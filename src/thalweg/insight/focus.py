"""One step from the view of one unit or of one weight: its terms forward, the factors of its chain rule, its update."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np

from ..core.arrays import Tree
from ..core.errors import InputError
from ..models.layer_weights import begins_row, place_of_weights
from ..models.summary import layer_in_words
from ..pages.blocks import Block, Check, Formula, Heading, Table, Text
from ..parts.layers import Branch
from ..parts.part import Layer
from ..probes.layer_step import LayerStep, layer_steps, slope
from .explain import update_quantities
from .formulas import formulas
from .traced_step import TracedStep

# Rounding of float64 in a sum of a few hundred terms.
_TOLERANCE = 1e-9
_WHOLE_STEP = "`thalweg explain` shows all arrays of a step"


class _Weighted(NamedTuple):
    """A layer with a matrix of weights: one of the network, or the only one of a residual block.

    at: the place of the layer or of its block in the network.
    inner: the layers of the block; () without one.
    place: its place in the block; None without one.
    steps: the layer and those after it in its block, at the step.
    """

    at: int
    inner: tuple[Layer, ...]
    place: int | None
    steps: Sequence[LayerStep]

    @property
    def step(self) -> LayerStep:
        """The layer at the step."""
        return self.steps[0]

    @property
    def matrix(self) -> np.ndarray:
        """Its matrix before the step."""
        return np.asarray(self.step.layer.weight_matrix(self.step.params))

    @property
    def name(self) -> str:
        """What it is called."""
        words = layer_in_words(self.step.layer)
        return words if self.place is None else f"{words} in a residual block"

    def element(self, tree: Tree, place: tuple[int, ...], name: str = "W") -> float | None:
        """One number of a parameter in a tree of the parameters' structure; None where it is held."""
        own = cast("tuple[Tree, ...]", tree)[self.at]
        if self.place is not None:
            own = own.layers[self.place] if isinstance(own, Branch) else ()
        array = getattr(own, name, ())
        return None if isinstance(array, tuple) else float(np.asarray(array)[place])


def unit_blocks(traced: TracedStep, layer: int, unit: int) -> Iterator[Block]:
    """How one unit came to its output for a sample, and how its delta came back to it.

    z = Σ x_i W_i + b, then the layers up to the next weights; backwards dL/dy = Σ_k W_k dL/dz_k over the units above,
    and dL/dz = dL/dy f'(z).

    A unit of a residual block is one of its only layer with weights.

    Args:
        traced: the step; without a sample, its first row is shown.
        layer: the place of a layer of the unit in the network, from 0.
        unit: the place of the unit in its layer, from 0.

    Raises:
        InputError: there is no such unit, its layer belongs to no weights, or its weights meet more than one input.
    """
    _check_place("layer", layer, len(traced.layers))
    own = _weighted(traced, _row_below(traced.layers, layer))
    _check_place("unit", unit, own.matrix.shape[1])
    end = len(traced.layers)
    above = next((index for index in range(own.at + 1, end) if begins_row(traced.layers[index])), None)
    row = traced.sample or 0
    yield Heading(f"Unit {unit + 1} of layer {own.at + 1}, {own.name}")
    yield from _sum_of_inputs(traced, own, unit, row)
    yield from _along_the_row(traced, own, above or end, unit, row)
    if above is not None and own.matrix.shape[1] == traced.trace.outputs[above - 1].shape[-1]:
        yield from _sum_from_above(traced, above, unit, row)
    yield from _parameters_of_unit(traced, own, unit)


def weight_blocks(traced: TracedStep, layer: int, row: int, column: int) -> Iterator[Block]:
    """How one weight got its gradient and its update: dL/dW = Σ_n x_n dL/dz_n over the batch, then the optimizer.

    Args:
        traced: the step.
        layer: the place of the layer in the network, from 0; of a residual block for its only layer with weights.
        row: the input of the weight, from 0.
        column: the unit of the weight, from 0.

    Raises:
        InputError: there is no such weight, or it meets more than one input of a sample.
    """
    own = _weighted(traced, layer)
    W = own.matrix
    _check_place("input", row, W.shape[0])
    _check_place("unit", column, W.shape[1])
    x = own.step.x[:, row]
    delta = own.step.delta[:, column]
    gradient = float(np.sum(x * delta))
    yield Heading(f"W[{row}, {column}] of layer {layer + 1}, {own.name}")
    yield Text(f"It leads from {_name_of_input(traced, own, row)} to unit {column + 1}.")
    yield Formula("dL/dW = Σ x dL/dz over the rows of the batch")
    rows = [[n, float(a), float(d), float(a * d)] for n, (a, d) in enumerate(zip(x, delta, strict=True))]
    total = ["sum", None, None, gradient]
    yield Table("The chain rule, row by row", ["row of the batch", "x", "dL/dz", "x dL/dz"], rows, total=total)
    recorded = own.element(traced.trace.grads, (row, column))
    if recorded is not None:
        yield Check("the sum is the gradient of the step", gradient, recorded, _TOLERANCE * max(1.0, abs(recorded)))
    yield from _update(traced, own, (row, column))


def _weighted(traced: TracedStep, layer: int) -> _Weighted:
    """The layer with weights at a place of the network.

    Raises InputError where there is none, or its weights meet more than one input.
    """
    layers = traced.layers
    if not 0 <= layer < len(layers) or not begins_row(layers[layer]):
        raise InputError("layer", f"expected a layer with weights, received {layer}")
    params = traced.start.state.params
    inner = layers[layer].inner
    place = place_of_weights(cast("Branch", params[layer])) if inner else None
    if inner and place is None:
        found = "this residual block has none, or several of them"
        raise InputError("layer", f"expected one layer with weights, {found}; {_WHOLE_STEP}")
    steps = layer_steps(traced.plan, traced.start.state, params, traced.trace)
    begin = _count(layers[:layer])
    first = begin if place is None else begin + 1 + place
    own = _Weighted(layer, inner, place, steps[first : begin + 1 + _count(inner)])
    step = own.step
    if not step.x.ndim == step.y.ndim == 2 or own.matrix.shape != (step.x.shape[1], step.y.shape[1]):
        found = f"a weight of {layer_in_words(step.layer)} meets many inputs of a sample"
        raise InputError("layer", f"expected units with one number each; {found}; {_WHOLE_STEP}")
    return own


def _sum_of_inputs(traced: TracedStep, own: _Weighted, unit: int, row: int) -> Iterator[Block]:
    step = own.step
    bias = getattr(step.params, "b", None)
    rows: list[list[str | float | None]] = [
        [_name_of_input(traced, own, i), float(a), float(w), float(a * w)]
        for i, (a, w) in enumerate(zip(step.x[row], own.matrix[:, unit], strict=True))
    ]
    if bias is not None:
        rows.append(["bias b", None, None, float(np.asarray(bias)[unit])])
    z = float(step.y[row, unit])
    yield Formula(formulas(type(step.layer)).forward)
    yield Table(f"Forward, row {row} of the batch", ["input", "x", "W", "x W"], rows, total=["z", None, None, z])


def _along_the_row(traced: TracedStep, own: _Weighted, end: int, unit: int, row: int) -> Iterator[Block]:
    """The outputs and deltas of the unit in its layers, with the factor f'(z) of each activation."""
    # A layer after this one in its block may have other units.
    inside = [step for step in own.steps if step.y.ndim == 2 and step.y.shape[1] == own.matrix.shape[1]]
    rows = [_unit_in(f"{own.at + 1}: {layer_in_words(step.layer)}", step, unit, row) for step in inside]
    outputs, deltas = traced.trace.outputs, traced.trace.deltas
    block = [own.at] if own.inner else []
    for index in (*block, *range(own.at + 1, end)):
        layer = traced.layers[index]
        if np.ndim(outputs[index]) != 2 or outputs[index].shape[1] != own.matrix.shape[1]:
            break
        with np.errstate(all="ignore"):
            slopes = slope(layer, outputs[index - 1], outputs[index]) if index else None
        words = "y = f(x) + x of the block" if layer.inner else layer_in_words(layer)
        rows.append(
            [
                f"{index + 1}: {words}",
                float(outputs[index][row, unit]),
                None if slopes is None else float(slopes[row, unit]),
                float(deltas[index][row, unit]),
            ]
        )
    columns = ["layer", "output", "f'(z)", "dL/d(output)"]
    yield Text("Backwards each delta is the one below it in this table, times f'(z) of the layer between them.")
    yield Table("The layers of the unit", columns, rows)


def _unit_in(name: str, step: LayerStep, unit: int, row: int) -> list[str | float | None]:
    slopes = step.slope
    return [
        name,
        float(step.y[row, unit]),
        None if slopes is None else float(slopes[row, unit]),
        float(step.delta[row, unit]),
    ]


def _sum_from_above(traced: TracedStep, above: int, unit: int, row: int) -> Iterator[Block]:
    if traced.layers[above].inner:
        yield from _from_block_above(traced, above, unit, row)
        return
    W = np.asarray(traced.layers[above].weight_matrix(traced.start.state.params[above]))
    deltas = traced.trace.deltas[above][row]
    if np.ndim(deltas) != 1 or unit >= len(W):
        return
    rows = [[k + 1, float(d), float(w), float(d * w)] for k, (d, w) in enumerate(zip(deltas, W[unit], strict=True))]
    total = ["dL/dy", None, None, float(deltas @ W[unit])]
    yield Formula("dL/dy = Σ W dL/dz over the units above")
    yield Table(f"Backward from layer {above + 1}", ["unit above", "dL/dz", "W", "W dL/dz"], rows, total=total)


def _from_block_above(traced: TracedStep, above: int, unit: int, row: int) -> Iterator[Block]:
    """The two ways in which delta comes back from a residual block."""
    total = float(traced.trace.deltas[above - 1][row, unit])
    # The factors are those of the row that is shown.
    through = float(traced.factors(above)[0].values[0, unit])
    rows: list[list[str | float | None]] = [["through its layers", through], ["around them", total - through]]
    yield Formula("dL/dy = (df/dy)ᵀ d + d, with d = dL/d(output) of the block; + d Pᵀ where it has a projection P")
    yield Table(f"Backward from layer {above + 1}", ["way", "dL/dy"], rows, total=["dL/dy", total])


def _parameters_of_unit(traced: TracedStep, own: _Weighted, unit: int) -> Iterator[Block]:
    quantities = update_quantities(traced)
    shown = [name for name in ("before", "g", "Δ", "after") if name in quantities]
    places: list[tuple[str, tuple[int, ...]]] = [("W", (i, unit)) for i in range(len(own.matrix))] + [("b", (unit,))]
    rows = []
    for name, place in places:
        values = [own.element(quantities[quantity], place, name) for quantity in shown]
        if any(value is not None for value in values):
            label = f"W from {_name_of_input(traced, own, place[0])}" if name == "W" else "b"
            rows.append([label, *values])
    yield Table("Its parameters, over the whole batch", ["", "before", "gradient", "update Δ", "after"], rows)


def _update(traced: TracedStep, own: _Weighted, place: tuple[int, ...]) -> Iterator[Block]:
    optimizer = traced.plan.optimizer
    quantities = update_quantities(traced)
    values = {name: own.element(tree, place) for name, tree in quantities.items()}
    rows = [[name, value] for name, value in values.items() if value is not None]
    if not rows:
        yield Text("This weight is held: the training does not change it.")
        return
    yield Heading(f"Optimizer: {optimizer.kind}")
    yield Formula(formulas(type(optimizer)).forward)
    yield Text(f"Step {traced.start.step + 1}, learning rate {float(traced.trace.learning_rate):.6g}.")
    yield Table("From the gradient g to the new weight", ["", "value"], rows)
    before, update, after = values["before"], values["Δ"], values["after"]
    if before is not None and update is not None and after is not None:
        yield Check(
            "before + Δ is the weight after the step", before + update, after, _TOLERANCE * max(1.0, abs(after))
        )


def _name_of_input(traced: TracedStep, own: _Weighted, index: int) -> str:
    """An input by its name in the data, as a unit of the layer below, or as one of a layer in the same block."""
    if own.place:
        return f"unit {index + 1} of {layer_in_words(own.inner[own.place - 1])} before it"
    names = traced.session.split.preprocessing.feature_names
    return names[index] if own.at == 0 else f"unit {index + 1} of layer {own.at}"


def _count(layers: Sequence[Layer]) -> int:
    """How many layers there are, with those inside of blocks."""
    return sum(1 + _count(layer.inner) for layer in layers)


def _row_below(layers: Sequence[Layer], layer: int) -> int:
    """The layer that begins the row of units of a layer: itself, or the next one below."""
    below = [index for index in range(layer, -1, -1) if begins_row(layers[index])]
    if not below:
        raise InputError("layer", f"expected a layer with weights at it or below, received {layer}")
    return below[0]


def _check_place(what: str, place: int, count: int) -> None:
    if not 0 <= place < count:
        raise InputError(what, f"expected 0 to {count - 1}, received {place}")
