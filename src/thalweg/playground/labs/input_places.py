"""Where maps and points of a page stand: on a plane of the inputs, or along the only input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

import numpy as np

from ...core.files import Json, JsonObject
from ...data import Dataset, Split
from ...probes.input_maps import InputPlane, around, grid_around, plane_of, principal_plane, slice_of
from ..live.samples import sampled

Axes = tuple[int, int] | Literal["principal"] | None
"""The two inputs of the plane that maps show, or its principal axes; None: what suits the inputs."""

_POINTS = 2000


class InputLine(NamedTuple):
    """The only input of a network, and the points over it.

    Attributes:
        inputs: prepared inputs along it (m, 1), from the least to the greatest.
        ends: the least and the greatest, in its own unit.
        axes: the names of the input and of what is drawn over it.
        height: the least and the greatest of what is drawn.
    """

    inputs: np.ndarray
    ends: tuple[float, float]
    axes: tuple[str, str]
    height: tuple[float, float]


class InputPlaces:
    """The places of a split's inputs that a page shows.

    Args:
        split: the rows.
        train: the training rows that are shown, or more.
        test: the test rows that are shown, or more; None where there are none.
    """

    def __init__(self, split: Split, train: Dataset, test: Dataset | None) -> None:
        self.split = split
        self.preprocessing = split.preprocessing
        self.sets = {"train": sampled(train, _POINTS), "test": None if test is None else sampled(test, _POINTS)}
        self._planes: dict[Axes, InputPlane | None] = {}
        self._inputs: dict[tuple[Axes, int], np.ndarray] = {}

    @property
    def is_line(self) -> bool:
        """Whether there is one input."""
        return self.preprocessing.features == 1 and self.preprocessing.task != "multilabel"

    def plane(self, axes: Axes) -> InputPlane | None:
        """The plane of the maps; None where there is none: one input, images, many inputs."""
        if axes not in self._planes:
            features = self.preprocessing.features
            if axes is None:
                self._planes[axes] = plane_of(self.preprocessing, self.split.train)
            elif axes == "principal":
                self._planes[axes] = principal_plane(self.split.train) if features > 1 else None
            else:
                self._planes[axes] = slice_of(self.preprocessing, self.split.train, axes)
        return self._planes[axes]

    def inputs(self, axes: Axes, size: int) -> np.ndarray | None:
        """The inputs at `size` x `size` places of the plane, row after row; None where there is nothing to draw.

        With one input all rows of places are the same.
        """
        if (axes, size) not in self._inputs:
            plane = self.plane(axes)
            if plane is not None:
                self._inputs[axes, size] = plane.inputs(*self._grid(plane, size))
            elif self.is_line:
                self._inputs[axes, size] = np.tile(self.line(size).inputs, (size, 1))
            else:
                return None
        return self._inputs[axes, size]

    def line(self, size: int) -> InputLine:
        """The only input at `size` places."""
        x = np.concatenate([rows.x[:, 0] for rows in self._shown])
        inputs = around(x, size)[:, None].astype(np.float32)
        low, high = self.preprocessing.unscaled(inputs[[0, -1]])[:, 0]
        heights = around(np.concatenate([self._heights(rows) for rows in self._shown]), 2)
        names = self.preprocessing.target_names
        if self.preprocessing.task == "regression":
            name = names[0]
        else:
            name = f"P({names[1]})" if len(names) == 2 else "probability"
            heights = around(np.array([0.0, 1.0]), 2)
        axes = (self.preprocessing.feature_names[0], name)
        return InputLine(inputs, (float(low), float(high)), axes, (float(heights[0]), float(heights[1])))

    def points(self, axes: Axes) -> JsonObject:
        """The message with the rows as points, and the extent of what is drawn."""
        plane = self.plane(axes)
        message: JsonObject = {"type": "points", "axes": None, "extent": None, "line": self.is_line}
        if plane is not None:
            x, y = self._grid(plane, 2)
            extent: list[Json] = [[float(x[0]), float(x[-1])], [float(y[0]), float(y[-1])]]
            message |= {"axes": list(plane.axes), "extent": extent}
        elif self.is_line:
            line = self.line(2)
            message |= {"axes": list(line.axes), "extent": [list(line.ends), list(line.height)]}
        for name, rows in self.sets.items():
            places = np.zeros((0, 2)) if rows is None else self._places(rows, plane)
            targets = np.zeros(0) if rows is None else self._targets(rows)
            message[name] = {"x": _json(places.round(5)), "y": _json(targets)}
        return message | {"sampled": _POINTS if len(self.split.train) > _POINTS else None}

    @property
    def _shown(self) -> Sequence[Dataset]:
        return [rows for rows in self.sets.values() if rows is not None]

    def _grid(self, plane: InputPlane, size: int) -> tuple[np.ndarray, np.ndarray]:
        return grid_around(plane.places(np.concatenate([rows.x for rows in self._shown])), size)

    def _places(self, rows: Dataset, plane: InputPlane | None) -> np.ndarray:
        """The places of rows (n, 2)."""
        if plane is not None:
            return plane.places(rows.x)
        if not self.is_line:
            return np.zeros((0, 2))
        return np.column_stack([self.preprocessing.unscaled(rows.x)[:, 0], self._heights(rows)])

    def _heights(self, rows: Dataset) -> np.ndarray:
        """Where points stand over the only input: at their value; at 0 or 1 for two classes; at 0 for more."""
        if rows.task == "regression":
            return self._targets(rows)[:, 0]
        return rows.y.astype(float) if rows.outputs == 2 else np.zeros(len(rows))

    def _targets(self, rows: Dataset) -> np.ndarray:
        """The classes (n,), or the values in units of the data (n, K)."""
        if rows.task != "regression":
            return rows.y
        return np.asarray(self.preprocessing.values(rows.y)).reshape(len(rows), -1)


def _json(array: np.ndarray) -> Json:
    return cast("Json", array.tolist())
