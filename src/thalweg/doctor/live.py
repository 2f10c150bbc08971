"""Findings while a training runs: only signs that no network that learns ever shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ..pages.numbers import number
from ..probes.records import Record
from .checks import CHECKS
from .findings import Finding
from .measurements import LayerFacts, Measurements

# A sign must hold over a whole epoch at least, over this many observed steps, and over this many rows.
_STEPS = 5
_ROWS = 50
# The loss must be constant over this many epochs and updates, and over this fraction of the training.
_EPOCHS = 5
_UPDATES = 100
_FRACTION = 0.05
# Relative change of a float32 sum by the order of its terms.
_ROUNDING = 1e-6
_RANGE = 1000.0
# Classification losses are compared with at least this loss at the start.
_LEAST_START = 0.1
# Scores that differ by less are considered equal.
_ALIKE = 0.02

History = Sequence[dict[str, float]]


def severe_at_once(measurements: Measurements) -> list[Finding]:
    """The severe findings of the checks that need no training."""
    return [
        finding
        for check in CHECKS
        if check.stage == "before training"
        for finding in check(measurements)
        if finding.severity == "severe"
    ]


class LiveChecks:
    """Reports severe findings during a training, each code once.

    Args:
        constant: the accuracy or R² of the best constant output.
        layers: the layers in the order of the probes; None for a layer inside of a residual block, whose gradient has
            a second path.
        rows: number of training rows.
        per_epoch: number of updates in an epoch.
        epochs: number of epochs of the whole training.
    """

    def __init__(
        self, constant: float, layers: Sequence[LayerFacts | None], rows: int, per_epoch: int, epochs: int
    ) -> None:
        self.constant = constant
        self.layers = layers
        self.rows = rows
        self.per_epoch = per_epoch
        self.epochs = epochs
        self._seen_epochs = 0
        self._reported: set[str] = set()

    def new_findings(self, history: History, records: Sequence[Record]) -> list[Finding]:
        """The findings that hold now and were not reported before.

        Args:
            history: loss and scores of the epochs so far.
            records: records of the probes so far.
        """
        if len(history) == self._seen_epochs:
            return []
        self._seen_epochs = len(history)
        findings = [finding for finding in self._findings(history, records) if finding.code not in self._reported]
        self._reported |= {finding.code for finding in findings}
        return findings

    def _findings(self, history: History, records: Sequence[Record]) -> Iterator[Finding]:
        """Nothing is reported of outputs that are better than a constant, or for rows of nearly one class."""
        if self.constant > 1 - 2 * _ALIKE or not history or not self._is_constant(history[-1]):
            return
        latest = self._latest(records)
        silent = self._dead_layers(latest) or self._no_gradient(latest)
        yield from silent
        yield from self._out_of_range(history, records)
        if not silent:
            yield from self._constant_loss(history)

    def _is_constant(self, epoch: dict[str, float]) -> bool:
        score = epoch.get("r2", epoch.get("accuracy", math.nan))
        return score <= self.constant + _ALIKE

    def _latest(self, records: Sequence[Record]) -> Sequence[Record]:
        """The fewest of the latest records that represent all rows; none if there are too few records."""
        batch = -(-self.rows // self.per_epoch)
        # With small batches, several observed steps may miss some of a few rows.
        needed = max(_STEPS, -(-min(_ROWS, _STEPS * self.rows) // batch))
        known = [record for record in records if "loss" in record["whole"]]
        first = len(known) - needed
        while first > 0 and known[-1]["step"] - known[first]["step"] < self.per_epoch:
            first -= 1
        latest = known[max(first, 0) :]
        if first < 0 or latest[-1]["step"] - latest[0]["step"] < self.per_epoch:
            return ()
        # In a fixed order, steps that are an epoch apart have the same rows.
        batches = {_number(record["whole"].get("input_rms")) for record in latest}
        return latest if len(batches) >= min(_STEPS, self.per_epoch) else ()

    def _dead_layers(self, records: Sequence[Record]) -> list[Finding]:
        """Layers without a living unit; layers with slope 0 everywhere are found before the training."""
        dead = [
            layer
            for index, layer in enumerate(self.layers)
            if records
            and layer is not None
            and layer.steepest_slope != 0
            and all(_of_layer(record, "dead", index) == 1.0 for record in records)
        ]
        if not dead:
            return []
        subject = "The whole layer passes" if len(dead) == 1 else "These layers pass"
        return [
            Finding(
                code="dying-relu" if any(layer.can_die for layer in dead) else "saturating-hidden",
                stage="during training",
                severity="severe",
                place=", ".join(layer.place for layer in dead),
                value=1.0,
                measured=f"all units dead in each of the last {len(records)} observed steps, since step "
                f"{number(records[0]['step'])}",
                normal="units of each layer pass a gradient for some rows",
                sentence=f"{subject} no gradient for any row: the layers below cannot learn any more.",
            )
        ]

    def _no_gradient(self, records: Sequence[Record]) -> list[Finding]:
        if not records or any(record["whole"].get("gradient_norm") != 0.0 for record in records):
            return []
        return [
            Finding(
                code="vanishing",
                stage="during training",
                severity="severe",
                place="all layers",
                value=0.0,
                measured=f"a gradient of exactly 0 in each of the last {len(records)} observed steps, since step "
                f"{number(records[0]['step'])}",
                normal="a gradient other than 0 as long as outputs are wrong",
                sentence="No weight gets a gradient, although the outputs are no better than constant: nothing moves.",
            )
        ]

    def _out_of_range(self, history: History, records: Sequence[Record]) -> Iterator[Finding]:
        last = history[-1]
        first = records[0]["whole"].get("loss") if records else None
        start = history[0]["loss"] if first is None else _number(first)
        start = start if "r2" in last else max(start, _LEAST_START)
        if last["loss"] > _RANGE * start > 0 and last.get("r2", -math.inf) < -_RANGE:
            growth = last["loss"] / start
            yield Finding(
                code="exploding",
                stage="during training",
                severity="severe",
                place="the loss",
                value=growth,
                measured=f"a loss of {number(last['loss'], 3)} in epoch {number(last['epoch'])}, "
                f"{number(growth, 3)} times its start",
                normal=f"a loss of the order of its start, {number(start, 3)}, or below",
                sentence="The loss is out of range: the steps carry the weights further and further away.",
            )

    def _constant_loss(self, history: History) -> Iterator[Finding]:
        updates = -(-_UPDATES // self.per_epoch)
        count = max(_EPOCHS, updates, math.ceil(_FRACTION * self.epochs))
        last = history[-count:]
        losses = [epoch["loss"] for epoch in last]
        if len(last) < count or max(losses) - min(losses) > _ROUNDING * max(losses):
            return
        if all(map(self._is_constant, last)):
            yield Finding(
                code="plateau",
                stage="during training",
                severity="severe",
                place="the loss",
                value=float(count),
                measured=f"a loss of {number(losses[-1], 6)} in each of the last {count} epochs",
                normal="a loss that changes with the weights",
                sentence="The loss does not change at all: the training moves nothing that the outputs depend on.",
            )


def _of_layer(record: Record, quantity: str, index: int) -> object:
    entries = record["layers"].get(quantity)
    return entries[index] if isinstance(entries, list) and entries else None


def _number(value: object) -> float:
    """A recorded number; NaN for None."""
    return float(value) if isinstance(value, int | float) else math.nan
