"""What probes have recorded over a training, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.errors import InputError, nearest

Record = dict[str, Any]
"""One observation: {"step": number, "whole": {quantity: number}, "layers": {quantity: one entry a layer}}."""


@dataclass(frozen=True, eq=False)
class Observations:
    """The observations of a training, the first one first.

    `steps` (n,) counts the updates done before each, and an epoch has `per_epoch` of them. `whole` holds quantities of
    the whole network by name, (n,); `by_layer` those of its layers, (n, layers), or histograms (n, layers, bins). What
    was not observed, or is none of a layer's, is NaN. `layers` names the layers from the input on; docs/probes.md says
    what each quantity is.

    >>> records = [{"step": 0, "whole": {"loss": 2.0}, "layers": {"delta_rms": [0.5, None]}}]
    >>> seen = Observations.of(records, ("1: dense 2", "2: relu"), per_epoch=10)
    >>> seen.whole["loss"].tolist(), seen.by_layer["delta_rms"].tolist()
    ([2.0], [[0.5, nan]])
    """

    layers: tuple[str, ...]
    per_epoch: int
    steps: np.ndarray
    whole: dict[str, np.ndarray]
    by_layer: dict[str, np.ndarray]

    @classmethod
    def of(cls, records: Sequence[Record], layers: Sequence[str], per_epoch: int) -> Observations:
        """The observations of records as they stand in probes.jsonl. Raises InputError for what is no such record."""
        for record in records:
            _check(record, len(layers))

        def gathered(kind: str, missing: Any) -> dict[str, np.ndarray]:
            names = dict.fromkeys(name for record in records for name in record[kind])
            return {name: _stacked([record[kind].get(name, missing) for record in records]) for name in names}

        steps = np.array([record["step"] for record in records], dtype=int)
        whole, by_layer = gathered("whole", None), gathered("layers", [None] * len(layers))
        return cls(tuple(layers), per_epoch, steps, whole, by_layer)

    @property
    def epochs(self) -> np.ndarray:
        """The steps in epochs (n,)."""
        return self.steps / self.per_epoch

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, name: str) -> np.ndarray:
        """A quantity by its name: of the layers (n, layers, ...), or of the whole network (n,). Raises InputError."""
        if name not in (known := self.whole | self.by_layer):
            raise InputError("probes", f"have not recorded {name!r}; {nearest(name, known)}")
        return known[name]

    def at(self, rows: np.ndarray) -> Observations:
        """Some of the observations: their places, or whether each is wanted."""
        whole, by_layer = (
            {name: values[rows] for name, values in kind.items()} for kind in (self.whole, self.by_layer)
        )
        return replace(self, steps=self.steps[rows], whole=whole, by_layer=by_layer)

    def table(self) -> Any:
        """A polars table of the layers' quantities: a row for each step and layer, a column for each number."""
        import polars

        columns: dict[str, Any] = {
            "step": np.repeat(self.steps, len(self.layers)),
            "layer": list(self.layers) * len(self),
        }
        numbers = {name: values.reshape(-1) for name, values in self.by_layer.items() if values.ndim == 2}
        return polars.DataFrame(columns | numbers)


def _check(record: Any, layers: int) -> None:
    kinds = (("step", int), ("whole", dict), ("layers", dict))
    if not all(isinstance(record.get(name), kind) for name, kind in kinds):
        raise InputError("probes", f"expected records with step, whole and layers, received {str(record)[:80]}")
    for name, entries in record["layers"].items():
        if not isinstance(entries, list) or len(entries) != layers:
            found = f"{len(entries)} of them" if isinstance(entries, list) else str(entries)[:80]
            raise InputError("probes", f"expected an entry of {name} for each of {layers} layers, received {found}")


def _stacked(entries: Sequence[Any]) -> np.ndarray:
    """Nested lists as one array of floats; None is NaN, wherever it stands for a number or for a list of them."""
    shape: tuple[int, ...] = ()
    for entry in entries:
        shape = max(shape, _shape(entry), key=len)
    return np.array([_filled(entry, shape) for entry in entries], dtype=float)


def _shape(entry: Any) -> tuple[int, ...]:
    if not isinstance(entry, list):
        return ()
    return (len(entry), *max(map(_shape, entry), key=len, default=()))


def _filled(entry: Any, shape: tuple[int, ...]) -> Any:
    if not isinstance(entry, list):
        return np.full(shape, np.nan if entry is None else entry)
    return [_filled(item, shape[1:]) for item in entry]
