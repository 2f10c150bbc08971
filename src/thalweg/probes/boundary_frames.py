"""What a network answers over a plane of its inputs while it is trained, as frames of a film."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from ..core.errors import InputError
from ..data import Dataset, Preprocessing, StreamedDataset
from ..engine.engine import Engine
from ..engine.step import Plan, State, inference_state, predict
from ..training.batch_plan import Chunk
from ..training.callbacks import Callback
from ..training.saved_state import read_arrays, read_manifest, save_state
from .input_maps import InputPlane, grid_around, plane_of

FRAMES = Path("frames.safetensors")
_FRAMES, _PLACES = 16, 51
# The grid is laid around so many of the rows at most: in memory as 64-bit numbers.
_LOOKED_AT = 20_000
# So many places of the grid are answered at a time.
_ROWS = 2048


class BoundaryFrames(NamedTuple):
    """What a network answered on a plane of its inputs after some steps of its training.

    steps (f,) are rising, x (m,) and y (k,) are places along the plane's axes, outputs (f, k, m, K) float32.
    """

    plane: InputPlane
    x: np.ndarray
    y: np.ndarray
    steps: np.ndarray
    outputs: np.ndarray

    def before(self, step: int) -> BoundaryFrames:
        """The frames of the time before `step` updates were done."""
        kept = self.steps < step
        return self._replace(steps=self.steps[kept], outputs=self.outputs[kept])

    def save(self, folder: Path) -> None:
        """Write the film to a run's folder: `frames.safetensors` with its manifest, each as a whole."""
        facts = {"axes": list(self.plane.axes), "explained": list(self.plane.explained)}
        save_state(folder / FRAMES, (self.plane.origin, self.plane.directions, *self[1:]), facts)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The film of a run's folder; None where there is none. Raises InputError where it is damaged."""
        path = folder / FRAMES
        if not path.with_suffix(".json").is_file():
            return None
        arrays, manifest = read_arrays(path), read_manifest(path)
        try:
            origin, directions, x, y, steps, outputs = (arrays[str(place)] for place in range(6))
            first, second = map(str, manifest["axes"])
            explained = tuple(map(float, manifest["explained"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(str(path), f"holds no frames of a training: {error!r}") from error
        film = cls(InputPlane(origin, directions, (first, second), explained), x, y, steps, outputs)
        if outputs.ndim != 4 or outputs.shape[:3] != (len(steps), len(y), len(x)):
            raise InputError(str(path), f"holds outputs {outputs.shape} for {len(steps)} steps, {len(y)} x {len(x)}")
        return film


class BoundaryCallback(Callback):
    """Looks at a training from step to step, and keeps what the network answers on a plane of its inputs.

    There are about 16 frames, after round(T (k / 15)²) of T steps: a network changes fastest at first. It is an
    onlooker of `training.fit`; what it has seen is its `film`.
    """

    def __init__(self, film: BoundaryFrames, steps: int) -> None:
        """Take up a film, which may have no frames yet, in a training of `steps` in all."""
        self.frames = film
        last = _FRAMES - 1
        self._due = np.unique(np.round(steps * (np.arange(_FRAMES) / last) ** 2).astype(int))[:-1]
        self._steps = steps
        self._grid: list[Any] = []

    @classmethod
    def of(cls, preprocessing: Preprocessing, train: Dataset | StreamedDataset, steps: int) -> Self | None:
        """Frames on the plane that suits the training rows; None where there is none (see `views.plane_of`)."""
        plane = plane_of(preprocessing, train)
        return cls.on(plane, train, steps) if plane else None

    @classmethod
    def on(cls, plane: InputPlane, train: Dataset | StreamedDataset, steps: int) -> Self:
        """Frames on that plane, on a grid around the training rows (a first part of rows that stream)."""
        part = next(train.parts()).x
        x, y = grid_around(plane.places(part[:: -(-len(part) // _LOOKED_AT)]), _PLACES)
        return cls(BoundaryFrames(plane, x, y, np.empty(0, int), np.empty((0, _PLACES, _PLACES, 0), np.float32)), steps)

    def next_step(self, step: int) -> int:
        """The first step, from `step` on, before which it wants to look; the number of all steps where none is left."""
        return next((int(due) for due in self._due if due >= step), self._steps)

    def on_step_begin(self, engine: Engine, plan: Plan, state: State, block: Chunk, index: int) -> None:
        """See the state before step `index` of a block."""
        self.on_train_end(engine, plan, state, block.first + index)

    def on_train_end(self, engine: Engine, plan: Plan, state: State, step: int) -> None:
        """See the state after `step` steps."""
        film = self.frames
        if not self._grid:
            places = film.plane.inputs(film.x, film.y)
            full = np.concatenate([places, np.zeros((-len(places) % _ROWS, places.shape[1]), places.dtype)])
            self._grid = [engine.place(full[start : start + _ROWS]) for start in range(0, len(full), _ROWS)]
        with np.errstate(all="ignore"):
            now = inference_state(state)
            parts = [engine.call(predict, plan.network, plan.loss, now.params, now.layers, part) for part in self._grid]
            frame = np.concatenate(parts)[: len(film.x) * len(film.y)].astype(np.float32)
        frame = frame.reshape(1, len(film.y), len(film.x), -1)
        kept = film.before(step)
        outputs = np.concatenate([kept.outputs, frame]) if len(kept.steps) else frame
        self.frames = kept._replace(steps=np.append(kept.steps, step), outputs=outputs)
