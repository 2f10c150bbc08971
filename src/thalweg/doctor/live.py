"""What can be said of a training while it still runs: only what no network that learns ever shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..core.progress import print_line
from ..probes.records import Record
from .before import CHECKS
from .case import Case
from .findings import Finding

# What holds must hold over a whole epoch at least, for so many looks, and for so many rows.
_LOOKS, _ROWS = 5, 50
# A loss that stands still does so for so many epochs and updates, and for this share of the whole training.
_EPOCHS, _UPDATES, _SHARE = 5, 100, 0.05
# What the order of a sum does to a number of 32 bits.
_ROUNDING = 1e-6
_RANGE = 1000.0
# The least loss at the start that the later ones are compared with, where classes are told apart.
_LEAST_START = 0.1
# Scores that differ by less are alike.
_ALIKE = 0.02
# Layers that pass no gradient whatever comes in: no sign of what happens in a training.
_STEPS = ("step", "sign")

History = Sequence[dict[str, float]]


def in_words(finding: Finding) -> str:
    """A finding in a line, for who watches a training.

    >>> told = Finding("plateau", "during training", "severe", "the loss", 5.0, "0.69", "falling", "It stands still.")
    >>> in_words(told)
    'plateau at the loss: It stands still. Measured: 0.69. Normal: falling.'
    """
    told = f"{finding.code} at {finding.place}: {finding.sentence}"
    return f"{told} Measured: {finding.measured}. Normal: {finding.normal}."


def tell(finding: Finding) -> None:
    """Say it on stderr, above the bar where there is one."""
    print_line(f"thalweg: {in_words(finding)}")


def at_once(case: Case) -> list[Finding]:
    """The severe findings that hold before the first step, whatever comes of it."""
    return [finding for check in CHECKS for finding in check(case) if finding.severity == "severe"]


class Watch:
    """What newly holds of a training, each finding once.

    `constant` is the accuracy or R² of the best answer that is always the same, `layers` are the layers as
    `numbered_layers` names them, `rows` the training rows, learnt from in `per_epoch` updates for `epochs` epochs.
    """

    def __init__(self, constant: float, layers: Sequence[str], rows: int, per_epoch: int, epochs: int) -> None:
        self.constant, self.layers = constant, layers
        self.rows, self.per_epoch, self.epochs = rows, per_epoch, epochs
        self._epochs, self._told = 0, set[str]()

    def look(self, history: History, records: Sequence[Record]) -> list[Finding]:
        """What holds now and did not before, of the epochs so far and the records of the probes."""
        if len(history) == self._epochs:
            return []
        self._epochs = len(history)
        found = [finding for finding in self._holding(history, records) if finding.code not in self._told]
        self._told |= {finding.code for finding in found}
        return found

    def _holding(self, history: History, records: Sequence[Record]) -> Iterator[Finding]:
        """A network that answers better than always the same is left alone, and rows that are nearly all the same."""
        if self.constant > 1 - 2 * _ALIKE or not history or not self._is_constant(history[-1]):
            return
        looks = self._last_looks(records)
        silent = self._dead(looks) or self._without_gradient(looks)
        yield from silent
        yield from self._out_of_range(history, records)
        if not silent:
            yield from self._standing_still(history)

    def _is_constant(self, record: dict[str, float]) -> bool:
        score = record.get("r2", record.get("accuracy", math.nan))
        return score <= self.constant + _ALIKE

    def _last_looks(self, records: Sequence[Record]) -> Sequence[Record]:
        """The fewest of the last looks that say something of all rows; none where there are not so many."""
        batch = -(-self.rows // self.per_epoch)
        # Of a few rows, met one by one, some are missed by as many looks.
        needed = max(_LOOKS, -(-min(_ROWS, _LOOKS * self.rows) // batch))
        seen = [record for record in records if "loss" in record["whole"]]
        first = len(seen) - needed
        while first > 0 and seen[-1]["step"] - seen[first]["step"] < self.per_epoch:
            first -= 1
        looks = seen[max(first, 0) :]
        if first < 0 or looks[-1]["step"] - looks[0]["step"] < self.per_epoch:
            return ()
        # In a fixed order, looks an epoch apart are looks at the same rows.
        batches = {look["whole"].get("input_rms") for look in looks}
        return looks if len(batches) >= min(_LOOKS, self.per_epoch) else ()

    def _dead(self, looks: Sequence[Record]) -> list[Finding]:
        """Whole layers whose units are all off; those inside of residual blocks have a way around them."""
        names = [
            (index, name.partition(": ")) for index, name in enumerate(self.layers) if "." not in name.partition(":")[0]
        ]
        dead = [
            (number, words)
            for index, (number, _, words) in names
            if looks and words not in _STEPS and all(_of_layer(look, "dead", index) == 1.0 for look in looks)
        ]
        if not dead:
            return []
        place = ", ".join(f"layer {number} ({words})" for number, words in dead)
        relu = any(words.startswith("relu") for _, words in dead)
        passes = "The whole layer passes" if len(dead) == 1 else "Whole layers pass"
        return [
            Finding(
                "dying-relu" if relu else "saturating-hidden",
                "during training",
                "severe",
                place,
                1.0,
                f"all units off in each of the last {len(looks)} looks, since step {looks[0]['step']:,}",
                "some units of each layer let some rows pass",
                f"{passes} no gradient for any row: what is below can not learn any more.",
            )
        ]

    def _without_gradient(self, looks: Sequence[Record]) -> list[Finding]:
        if not looks or any(look["whole"].get("gradient_norm") != 0.0 for look in looks):
            return []
        return [
            Finding(
                "vanishing",
                "during training",
                "severe",
                "all layers",
                0.0,
                f"a gradient of exactly 0 in each of the last {len(looks)} looks, since step {looks[0]['step']:,}",
                "a gradient other than 0, as long as answers are wrong",
                "No weight gets any gradient, though the answers are no better than a constant: nothing moves.",
            )
        ]

    def _out_of_range(self, history: History, records: Sequence[Record]) -> Iterator[Finding]:
        last, first = history[-1], records[0]["whole"].get("loss") if records else None
        start = history[0]["loss"] if first is None else first
        start = start if "r2" in last else max(start, _LEAST_START)
        if last["loss"] > _RANGE * start > 0 and last.get("r2", -math.inf) < -_RANGE:
            yield Finding(
                "exploding",
                "during training",
                "severe",
                "the loss",
                last["loss"] / start,
                f"a loss of {last['loss']:.3g} in epoch {last['epoch']}, {last['loss'] / start:,.0f} times its start",
                f"a loss of the order of its start, {start:.3g}, or below",
                "The loss has left its range: the steps throw the weights farther and farther off.",
            )

    def _standing_still(self, history: History) -> Iterator[Finding]:
        updates = -(-_UPDATES // self.per_epoch)
        count = max(_EPOCHS, updates, math.ceil(_SHARE * self.epochs))
        last = history[-count:]
        losses = [record["loss"] for record in last]
        if len(last) < count or max(losses) - min(losses) > _ROUNDING * max(losses):
            return
        if all(map(self._is_constant, last)):
            yield Finding(
                "plateau",
                "during training",
                "severe",
                "the loss",
                float(count),
                f"a loss of {losses[-1]:.6g} in each of the last {count} epochs",
                "a loss that changes with the weights",
                "The loss does not change at all: the training moves nothing that the answers depend on.",
            )


def _of_layer(look: Record, quantity: str, index: int) -> Any:
    entries = look["layers"].get(quantity)
    return entries[index] if entries else None
