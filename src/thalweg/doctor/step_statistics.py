"""Statistics of one forward and backward pass over some rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_NAN = float("nan")
_NO_NUMBERS = np.zeros(0)
# A layer of one or two units may well be off for some rows.
_FEW_UNITS = 2


class StepStatistics(NamedTuple):
    """Statistics of one training step; the defaults mean that nothing was measured.

    The d layers with weights and the a elementwise activations, without an output activation, are named by their place,
    for example `layer 2 (relu)`.
    """

    dense: tuple[str, ...] = ()
    """Places of the layers with weights (d,)."""
    outputs: np.ndarray = _NO_NUMBERS
    """Root mean square of the outputs of each layer with weights (d,)."""
    deltas: np.ndarray = _NO_NUMBERS
    """Root mean square of dL/d(outputs) of each layer with weights (d,)."""
    activations: tuple[str, ...] = ()
    """Places of the activations (a,)."""
    hidden: tuple[bool, ...] = ()
    """Whether a layer with weights stands above each activation (a,)."""
    units: tuple[int, ...] = ()
    """Number of units of each activation (a,)."""
    dead: np.ndarray = _NO_NUMBERS
    """Fraction of the units of each activation that pass no gradient for any row (a,)."""
    saturated: np.ndarray = _NO_NUMBERS
    """Fraction of the outputs of each activation with a slope below 5 % of the steepest (a,)."""
    spread: float = _NAN
    """Standard deviation of the network outputs between rows."""
    level: float = _NAN
    """Root mean square of the network outputs, as probabilities where they are logits of an output activation."""
    loss: float = _NAN
    """The loss."""
    differences: np.ndarray = _NO_NUMBERS
    """Standard deviation between rows of the outputs of each layer with weights, divided by their root mean square
    (d,)."""
    finite: bool = True
    """Whether all outputs, deltas and the loss are finite."""

    @property
    def flow(self) -> float:
        """Delta of the first hidden layer divided by that of the last; NaN for one hidden layer, or a delta of 0."""
        hidden = self.deltas[:-1]
        return float(hidden[0] / hidden[-1]) if len(hidden) > 1 and hidden[-1] > 0 else _NAN

    @property
    def growth(self) -> float:
        """Outputs of the hidden layer with the largest divided by those of the first; NaN for one hidden layer."""
        hidden = self.outputs[:-1]
        return float(np.nanmax(hidden) / hidden[0]) if len(hidden) > 1 and hidden[0] > 0 else _NAN

    @property
    def separation(self) -> float:
        """Differences between rows in the hidden layer with the least, divided by those in the first; NaN for one
        hidden layer."""
        hidden = self.differences[:-1]
        return float(np.min(hidden) / hidden[0]) if len(hidden) > 1 and hidden[0] > 0 else _NAN

    def merged(self, least: float) -> str:
        """The first hidden layer on the way up whose rows differ less than `least` times as much as in the first."""
        hidden = self.differences[:-1]
        return self._first(~(hidden >= least * hidden[0]), self.dense) if len(hidden) else ""

    def outgrown(self, most: float) -> str:
        """The first hidden layer on the way up with outputs that are not finite, or `most` times those of the first."""
        hidden = self.outputs[:-1]
        return self._first(~(hidden <= most * hidden[0]), self.dense) if len(hidden) else ""

    def out_of_flow(self, least: float, most: float) -> str:
        """The first hidden layer on the way back with deltas that are not `least` to `most` times those of the last."""
        hidden = self.deltas[:-1][::-1]
        outside = ~((least * hidden[0] <= hidden) & (hidden <= most * hidden[0])) if len(hidden) else np.zeros(0, bool)
        return self._first(outside, self.dense[:-1][::-1])

    @staticmethod
    def _first(marks: np.ndarray, places: Sequence[str]) -> str:
        return places[int(marks.argmax())] if marks.any() else ""

    @property
    def alive(self) -> dict[str, int]:
        """Number of units that pass a gradient for some row, by hidden activation of more than two units, or with none
        that does."""
        return {
            place: round((1 - dead) * units)
            for place, hidden, units, dead in zip(self.activations, self.hidden, self.units, self.dead, strict=True)
            if hidden and (units > _FEW_UNITS or dead == 1)
        }

    @property
    def saturated_hidden(self) -> dict[str, float]:
        """Fraction of saturated outputs, by hidden activation."""
        shares = zip(self.activations, self.hidden, self.saturated, strict=True)
        return {place: float(share) for place, hidden, share in shares if hidden}
