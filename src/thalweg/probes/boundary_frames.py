"""The outputs of a network over a plane of its inputs while it is trained, one frame after another."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, Self

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from ..core.arrays import Array
from ..core.bounds import declared
from ..core.errors import InputError, Problem
from ..core.files import Json, JsonObject
from ..data import Dataset, Preprocessing, StreamedDataset
from ..engine.engine import Engine
from ..engine.step import Plan, State, inference_state, predict
from ..training.batch_plan import Chunk
from ..training.callbacks import Callback
from ..training.saved_state import read_arrays, read_manifest, save_state
from .input_maps import InputPlane, grid_around, plane_of

FRAMES = Path("frames.safetensors")
FRAMES_SO_FAR = "frames.jsonl"
"""The frames of a running training, one line each: a file that grows survives a kill at any moment."""
_FRAMES = 16
_PLACES = 51
# The grid is laid around at most this many rows, which become 64-bit numbers.
_GRID_ROWS = 20_000
# Places of the grid in one forward pass.
_ROWS = 2048


class BoundaryFrames(NamedTuple):
    """The outputs of a network on a plane of its inputs, after some of the steps of its training."""

    plane: InputPlane
    """The plane."""
    x: np.ndarray
    """Places along the first axis of the plane (m,)."""
    y: np.ndarray
    """Places along the second axis (k,)."""
    steps: np.ndarray
    """Number of updates before each frame (f,), increasing."""
    outputs: np.ndarray
    """The frames (f, k, m, K), float32."""

    def before(self, step: int) -> BoundaryFrames:
        """The frames from before update number `step`."""
        kept = self.steps < step
        return self._replace(steps=self.steps[kept], outputs=self.outputs[kept])

    def record(self, frame: int) -> JsonObject:
        """A frame as a line of frames.jsonl: its step, and its outputs as little-endian float32 in base64."""
        outputs = self.outputs[frame]
        content = base64.b64encode(outputs.astype("<f4").tobytes()).decode()
        return {"step": int(self.steps[frame]), "shape": list(outputs.shape), "outputs": content}

    def of_records(self, records: Sequence[Mapping[str, Json]]) -> Self:
        """Frames on this plane from lines of frames.jsonl. Raises InputError for a line that is none."""
        try:
            lines = [declared(_Frame, record, "frames.jsonl") for record in records]
            frames = [_outputs(line) for line in lines]
            if any(frame.shape[:2] != (len(self.y), len(self.x)) for frame in frames):
                raise ValueError(f"expected {len(self.y)} x {len(self.x)} places")
            outputs = np.stack(frames) if frames else self.outputs[:0]
        except InputError:
            raise
        except ValueError as error:
            raise InputError("frames.jsonl", f"not a file of boundary frames: {error}") from error
        return self._replace(steps=np.array([line["step"] for line in lines], dtype=int), outputs=outputs)

    def save(self, folder: Path) -> None:
        """Write the frames to the folder of a run: `frames.safetensors` with its manifest, each atomically."""
        facts: JsonObject = {"axes": list(self.plane.axes), "explained": list(self.plane.explained)}
        save_state(folder / FRAMES, (self.plane.origin, self.plane.directions, *self[1:]), facts)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The frames in the folder of a run; None if it has none.

        Raises:
            InputError: for a damaged file.
        """
        path = folder / FRAMES
        if not os.path.lexists(path.with_suffix(".json")):
            return None
        arrays = read_arrays(path)
        said = declared(_Facts, read_manifest(path), str(path.with_suffix(".json")))
        found = [arrays.get(str(place), np.empty(0)) for place in range(6)]
        _check_arrays(path, found)
        origin, directions, x, y, steps, frames = found
        axes = (said["axes"][0], said["axes"][1])
        plane = InputPlane(origin=origin, directions=directions, axes=axes, explained=tuple(said["explained"]))
        return cls(plane=plane, x=x, y=y, steps=steps, outputs=frames)

    def check_fit(self, inputs: int, outputs: int) -> None:
        """Raise InputError unless these are frames of a network with so many inputs and outputs."""
        found = self.plane.origin.size, self.outputs.shape[-1]
        if found != (inputs, outputs):
            expected = f"expected frames of a network with {inputs} inputs and {outputs} outputs"
            raise InputError(str(FRAMES), f"{expected}, received {found[0]} and {found[1]}")


class _Facts(TypedDict):
    """What the manifest of the frames says of the plane."""

    axes: Annotated[list[Annotated[str, Field(max_length=10_000)]], Field(min_length=2, max_length=2)]
    explained: Annotated[list[Annotated[float, Field(ge=0, le=1 + 1e-6)]], Field(max_length=2)]


def _check_arrays(path: Path, arrays: Sequence[np.ndarray]) -> None:
    """Raise InputError unless arrays in a file are those of frames."""
    origin, _, x, y, steps, frames = arrays
    expected = [
        ("the origin of the plane", (max(origin.size, 1),), "f"),
        ("its directions", (2, origin.size), "f"),
        ("places along the first axis", (max(x.size, 1),), "f"),
        ("places along the second axis", (max(y.size, 1),), "f"),
        ("steps", (max(steps.size, 1),), "i"),
        ("outputs", (steps.size, y.size, x.size, max(frames.shape[-1:], default=0)), "f"),
    ]
    problems = [
        Problem(f"array {place}", f"expected {name}, of shape {shape}, received shape {array.shape} of {array.dtype}")
        for place, (array, (name, shape, kind)) in enumerate(zip(arrays, expected, strict=True))
        if array.shape != shape or array.dtype.kind != kind
    ]
    if not problems and not (all(np.isfinite(array).all() for array in arrays[:4]) and _increasing(steps)):
        problems.append(Problem("", "expected finite places, and steps that increase from 0 or more"))
    if problems:
        raise InputError(str(path), problems)


def _increasing(steps: np.ndarray) -> bool:
    return bool(steps[0] >= 0 and (steps[1:] > steps[:-1]).all())


class _Frame(TypedDict):
    """A line of frames.jsonl."""

    step: Annotated[int, Field(ge=0)]
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=3, max_length=3)]
    outputs: str


def _outputs(line: _Frame) -> np.ndarray:
    content = base64.b64decode(line["outputs"], validate=True)
    return np.frombuffer(content, "<f4").astype(np.float32).reshape(line["shape"])


class BoundaryCallback(Callback):
    """A callback that records the outputs of a network on a plane of its inputs.

    It takes about 16 frames, after round(T (k / 15)²) of T steps, because a network changes fastest at first.

    Attributes:
        frames: the frames so far.
    """

    def __init__(self, frames: BoundaryFrames, steps: int) -> None:
        """Continue with `frames`, which may be empty, in a training of `steps` steps."""
        self.frames = frames
        last = _FRAMES - 1
        self._due = np.unique(np.round(steps * (np.arange(_FRAMES) / last) ** 2).astype(int))[:-1]
        self._steps = steps
        self._grid: list[Array] = []

    @classmethod
    def of(cls, preprocessing: Preprocessing, train: Dataset | StreamedDataset, steps: int) -> Self | None:
        """Frames on the plane that suits the training rows; None if there is none (see `plane_of`)."""
        plane = plane_of(preprocessing, train)
        return cls.on(plane, train, steps) if plane else None

    @classmethod
    def on(cls, plane: InputPlane, train: Dataset | StreamedDataset, steps: int) -> Self:
        """Frames on a given plane, on a grid around the training rows (`head` of rows that stream)."""
        part = train.head().x
        x, y = grid_around(plane.places(part[:: -(-len(part) // _GRID_ROWS)]), _PLACES)
        nothing = np.empty((0, _PLACES, _PLACES, 0), np.float32)
        return cls(BoundaryFrames(plane=plane, x=x, y=y, steps=np.empty(0, int), outputs=nothing), steps)

    def next_step(self, step: int) -> int:
        """The first step from `step` on that has a frame; the number of all steps if none is left."""
        return next((int(due) for due in self._due if due >= step), self._steps)

    def on_step_begin(self, engine: Engine, plan: Plan, state: State, chunk: Chunk, index: int) -> None:
        """Record the state before step `index` of a chunk."""
        self.on_train_end(engine, plan, state, chunk.first + index)

    def on_train_end(self, engine: Engine, plan: Plan, state: State, step: int) -> None:
        """Record the state after `step` steps."""
        x = self.frames.x
        y = self.frames.y
        if not self._grid:
            places = self.frames.plane.inputs(x, y)
            full = np.concatenate([places, np.zeros((-len(places) % _ROWS, places.shape[1]), places.dtype)])
            self._grid = [engine.place(full[start : start + _ROWS]) for start in range(0, len(full), _ROWS)]
        with np.errstate(all="ignore"):
            state = inference_state(state)
            parts = [
                engine.call(predict, plan.network, plan.loss, state.params, state.layers, part) for part in self._grid
            ]
            frame = np.concatenate(parts)[: len(x) * len(y)].astype(np.float32)
        frame = frame.reshape(1, len(y), len(x), -1)
        kept = self.frames.before(step)
        outputs = np.concatenate([kept.outputs, frame]) if len(kept.steps) else frame
        self.frames = kept._replace(steps=np.append(kept.steps, step), outputs=outputs)
