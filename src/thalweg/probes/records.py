"""The records of the probes over a training, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, TypeAlias

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from ..core.bounds import LARGEST_INTEGER
from ..core.errors import InputError, nearest
from ..core.printable import printable

if TYPE_CHECKING:
    import polars


Number: TypeAlias = float | None
"""A recorded number; None replaces NaN and infinity."""
LayerNumbers: TypeAlias = list[Number | list[Number]]
"""A number or a histogram of each layer."""


class Record(TypedDict):
    """One observation, a line of probes.jsonl; None replaces NaN and infinity."""

    step: Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
    """Number of updates before it."""
    whole: dict[str, Number]
    """Quantities of the whole network, each a number."""
    layers: dict[str, LayerNumbers]
    """Quantities of the layers, each a list with one entry for each layer."""


_Entry: TypeAlias = "float | Sequence[_Entry] | None"


@dataclass(frozen=True, eq=False)
class Observations:
    """The n observations of a training, the first one first; docs/probes.md explains each quantity.

    >>> records = [{"step": 0, "whole": {"loss": 2.0}, "layers": {"delta_rms": [0.5, None]}}]
    >>> observations = Observations.of(records, ("1: dense 2", "2: relu"), per_epoch=10)
    >>> observations.whole["loss"].tolist(), observations.by_layer["delta_rms"].tolist()
    ([2.0], [[0.5, nan]])
    """

    layers: tuple[str, ...]
    """The names of the layers from the input to the output."""
    per_epoch: int
    """Number of updates in an epoch."""
    steps: np.ndarray
    """Number of updates before each observation (n,)."""
    whole: dict[str, np.ndarray]
    """Quantities of the whole network by name (n,), NaN where not observed."""
    by_layer: dict[str, np.ndarray]
    """Quantities of the layers by name (n, layers), histograms (n, layers, bins); NaN where not observed, or where a
    layer has no such quantity."""

    @classmethod
    def of(cls, records: Sequence[Record], layers: Sequence[str], per_epoch: int) -> Observations:
        """The observations of records as probes.jsonl holds them. Raises InputError for a malformed record."""
        for record in records:
            _check(record, len(layers))

        nothing: list[_Entry] = [None] * len(layers)
        return cls(
            layers=tuple(layers),
            per_epoch=per_epoch,
            steps=np.array([record["step"] for record in records], dtype=int),
            whole=_gathered([record["whole"] for record in records], None),
            by_layer=_gathered([record["layers"] for record in records], nothing),
        )

    def __repr__(self) -> str:
        """The steps and the quantities, in three lines."""
        steps = f", steps {self.steps[0]} to {self.steps[-1]}" if len(self) else ""
        return printable(
            f"Observations: {len(self)} of {len(self.layers)} layers{steps}\n"
            f"whole network: {', '.join(self.whole) or 'nothing'}\n"
            f"by layer: {', '.join(self.by_layer) or 'nothing'}"
        )

    @property
    def epochs(self) -> np.ndarray:
        """The steps in units of epochs (n,)."""
        return self.steps / self.per_epoch

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, name: str) -> np.ndarray:
        """A quantity by its name: of the layers (n, layers, ...), else of the whole network (n,).

        Raises InputError for a name that was not recorded.
        """
        if name not in (known := self.whole | self.by_layer):
            raise InputError("probes", f"{name!r} was not recorded; {nearest(name, known)}")
        return known[name]

    def at(self, rows: np.ndarray) -> Observations:
        """Some of the observations, by their indices or by a truth value for each (n,)."""
        return replace(
            self,
            steps=self.steps[rows],
            whole={name: values[rows] for name, values in self.whole.items()},
            by_layer={name: values[rows] for name, values in self.by_layer.items()},
        )

    def table(self) -> polars.DataFrame:
        """The quantities of the layers as a table: a row for each step and layer, a column for each number."""
        import polars

        columns: dict[str, object] = {
            "step": np.repeat(self.steps, len(self.layers)),
            "layer": list(self.layers) * len(self),
        }
        numbers = {name: values.reshape(-1) for name, values in self.by_layer.items() if values.ndim == 2}
        return polars.DataFrame(columns | numbers)


def _check(record: Record, layers: int) -> None:
    kinds = (("step", int), ("whole", dict), ("layers", dict))
    if not all(isinstance(record.get(name), kind) for name, kind in kinds):
        raise InputError("probes", f"expected records with step, whole and layers, received {str(record)[:80]}")
    for name, entries in record["layers"].items():
        if not isinstance(entries, list) or len(entries) != layers:
            received = f"{len(entries)} entries" if isinstance(entries, list) else str(entries)[:80]
            raise InputError("probes", f"expected an entry of {name} for each of {layers} layers, received {received}")


def _gathered(records: Sequence[Mapping[str, _Entry]], missing: _Entry) -> dict[str, np.ndarray]:
    """All quantities by name, with one entry for each record."""
    names = dict.fromkeys(name for record in records for name in record)
    stacked = {}
    for name in names:
        try:
            stacked[name] = _stacked([record.get(name, missing) for record in records])
        except ValueError as error:
            raise InputError("probes", f"expected as many numbers of {name} in every record") from error
        if missing is None:
            continue
        is_histogram = name.endswith("_histogram")
        array = stacked[name]
        if array.ndim == 3 if not is_histogram else array.ndim == 2 and not np.isnan(array).all():
            raise InputError("probes", f"expected {'a histogram' if is_histogram else 'a number'} of {name} by layer")
    return stacked


def _stacked(entries: Sequence[_Entry]) -> np.ndarray:
    """Nested lists as one array of floats; None, in place of a number or of a list of numbers, is NaN."""
    shape: tuple[int, ...] = ()
    for entry in entries:
        shape = max(shape, _shape(entry), key=len)
    return np.array([_filled(entry, shape) for entry in entries], dtype=float)


def _shape(entry: _Entry) -> tuple[int, ...]:
    if not isinstance(entry, list):
        return ()
    return (len(entry), *max(map(_shape, entry), key=len, default=()))


def _filled(entry: _Entry, shape: tuple[int, ...]) -> np.ndarray:
    if not isinstance(entry, list):
        return np.full(shape, np.nan if entry is None else entry, dtype=float)
    return np.array([_filled(item, shape[1:]) for item in entry], dtype=float)
