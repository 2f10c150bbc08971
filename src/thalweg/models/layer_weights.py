"""The weights that a drawing shows between two rows of units."""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np

from ..core.arrays import Array, Params
from ..core.errors import InputError
from ..parts.layers.residual import Branch
from ..parts.part import Layer
from .network import Network


class _Named(Protocol):
    """The parameters of a layer, a NamedTuple."""

    def _replace(self, **changes: Array) -> Params: ...


def begins_row(layer: Layer) -> bool:
    """Whether a layer begins a row of units: it has weights, or is a block."""
    return layer.has_weights or bool(layer.inner)


def rows_of_drawing(network: Network) -> list[int]:
    """The row of units that each layer belongs to in a drawing: a layer with weights or a block begins a row, and those
    after it that have none belong to it. Row 0 holds what stands before the first weights.

    >>> rows_of_drawing(Network(["dense 4", "tanh", "dense 2", "softmax"]))
    [1, 1, 2, 2]
    """
    rows: list[int] = np.cumsum([begins_row(layer) for layer in network.layers]).tolist()
    return rows


def last_of_rows(network: Network) -> list[int]:
    """The last layer of each row of a drawing: its outputs are those of the units.

    >>> last_of_rows(Network(["dense 4", "tanh", "dense 2", "softmax"]))
    [1, 3]
    """
    return list({row: index for index, row in enumerate(rows_of_drawing(network))}.values())


def weights_of(own: Params) -> Params:
    """The parameters of a layer; of a residual block, those of its only layer with a matrix W.

    () where a block has no such layer, or several: none of them then leads from row to row.

    >>> from thalweg.models.network import Network
    >>> block = {"kind": "residual", "layers": ["dense 3", "layer_norm", "tanh"]}
    >>> start = Network([block, "dense 2"]).initialize(0, (3,))
    >>> weights_of(start.params[0]).W.shape, weights_of(start.params[1]).W.shape
    ((3, 3), (3, 2))
    """
    if not isinstance(own, Branch):
        return own
    place = place_of_weights(own)
    return () if place is None else own.layers[place]


def with_number(own: Params, name: str, array: Array) -> Params:
    """The parameters of a layer with another array in what `weights_of` gives of them.

    Raises InputError where there is no such array.
    """
    if name not in getattr(weights_of(own), "_fields", ()):
        raise InputError("weight", f"there is no parameter {name!r} in this layer")
    if not isinstance(own, Branch):
        return cast("_Named", own)._replace(**{name: array})
    place = cast("int", place_of_weights(own))
    inner = cast("_Named", own.layers[place])._replace(**{name: array})
    return own._replace(layers=(*own.layers[:place], inner, *own.layers[place + 1 :]))


def place_of_weights(block: Branch) -> int | None:
    """The place of the only layer of a block with a matrix W; None where there is none, or several."""
    places = [place for place, inner in enumerate(block.layers) if hasattr(inner, "W")]
    return places[0] if len(places) == 1 and not any(isinstance(inner, Branch) for inner in block.layers) else None
