"""Frames: what the page draws of a training, measured at one moment and packed into bytes."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from ...core.arrays import Array, Params, leaves, rms
from ...core.errors import InputError
from ...core.files import Json, JsonObject
from ...engine.choice import step_seconds
from ...engine.eager import Eager
from ...engine.step import Plan, State, Trace, inference_state, predict
from ...models.layer_weights import begins_row, last_of_rows, weights_of
from ...parts.part import ForwardContext, normalized_weights
from ...parts.task_metrics import confusion_matrix
from ...probes import quantities as q
from ...probes.layer_step import slope
from ...training.callbacks import Record
from ...training.evaluate import evaluator
from ...training.replay import StepState, trace_step
from ...training.session import Session
from ..live.samples import sampled
from .input_places import Axes, InputPlaces
from .picture_frames import PictureFrames, signed_bytes

Quantity = Literal["weights", "outputs", "delta", "gradients", "updates"]
QUANTITIES: tuple[Quantity, ...] = ("weights", "outputs", "delta", "gradients", "updates")

# Losses and scores are measured on a seeded sample of a set: as many rows as pass the network in this time, within
# these numbers. A tenth of them says which units are dead.
_MEASURE_SECONDS = 0.2
_MEASURED_ROWS = (500, 5000)
_SIGNAL_SHARE = 10
_UNIT_PLACES = 32
_LINE_PLACES = 201
_SIZES = (8, 128)
# Arrays of more numbers are not sent: nobody reads them, and a frame must stay small.
_MOST_NUMBERS = 65_536
_MOST_CLASSES = 20
_MOST_MISTAKES = 200
_CURVE_COLUMNS = 5


class View(NamedTuple):
    """What a page wants to see.

    Attributes:
        quantity: what the network drawing shows.
        maps: whether the outputs of all units over the plane are sent.
        size: places along each axis of the output map.
        axes: the plane of the maps.
        picture: the picture whose maps are sent, a place in the rows of `FrameMaker.held_out`.
    """

    quantity: Quantity = "weights"
    maps: bool = True
    size: int = 48
    axes: Axes = None
    picture: int = 0

    def changed(self, message: Mapping[str, Json], features: int) -> View:
        """The view that a message asks for. Raises InputError for one that there is not."""
        quantity = message.get("quantity", self.quantity)
        size = message.get("size", self.size)
        axes = _axes(message["axes"], features) if "axes" in message else self.axes
        if quantity not in QUANTITIES:
            raise InputError("view", f"expected one of {', '.join(QUANTITIES)}, received {quantity!r}")
        if not isinstance(size, int) or not _SIZES[0] <= size <= _SIZES[1]:
            raise InputError("view", f"expected a size from {_SIZES[0]} to {_SIZES[1]}, received {size!r}")
        picture = message.get("picture", self.picture)
        if not isinstance(picture, int) or picture < 0:
            raise InputError("view", f"expected the number of a picture, received {picture!r}")
        return View(quantity, bool(message.get("maps", self.maps)), size, axes, picture)


def _axes(value: Json, features: int) -> Axes:
    """The axes that a message asks for. Raises InputError where there are none such."""
    if value is None or value == "principal":
        return "principal" if value else None
    axes = [axis for axis in value if isinstance(axis, int) and 0 <= axis < features] if isinstance(value, list) else []
    if isinstance(value, list) and len(value) == len(axes) == len(set(axes)) == 2:
        return axes[0], axes[1]
    raise InputError("view", f'expected two different inputs below {features}, or "principal", received {value!r}')


class Seen(NamedTuple):
    """A training at one moment.

    Attributes:
        plan: what decides its steps.
        state: the state now.
        traced: the state before the step whose numbers are shown, and its batch.
        epoch: epochs so far.
    """

    plan: Plan
    state: State
    traced: StepState
    epoch: float


def packed(header: JsonObject, arrays: Sequence[tuple[str, np.ndarray]]) -> bytes:
    """A frame: the length of its header (u32), the header as JSON, and the arrays one after another, little-endian.

    Numbers are float32, or u8 where an array has bytes. The header lists name, shape, type and range of each.

    >>> frame = packed({"step": 1}, [("W.0", np.array([[1.0, -2.0]]))])
    >>> length = struct.unpack("<I", frame[:4])[0]
    >>> json.loads(frame[4 : 4 + length])["arrays"]
    [{'name': 'W.0', 'shape': [1, 2], 'dtype': 'float32', 'low': -2.0, 'high': 1.0}]
    >>> np.frombuffer(frame[4 + length :], "<f4").tolist()
    [1.0, -2.0]
    """
    listed: list[Json] = []
    parts = []
    for name, array in arrays:
        kept = array if array.dtype == np.uint8 else np.asarray(array, "<f4")
        finite = kept[np.isfinite(kept)] if kept.dtype != np.uint8 else kept
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        kind = "u8" if kept.dtype == np.uint8 else "float32"
        listed.append({"name": name, "shape": list(kept.shape), "dtype": kind, "low": low, "high": high})
        parts.append(np.ascontiguousarray(kept).tobytes())
    text = json.dumps({**header, "arrays": listed}, allow_nan=False).encode()
    return b"".join([struct.pack("<I", len(text)), text, *parts])


class FrameMaker:
    """Measures frames of one training.

    Args:
        session: the training, on any engine.
        before: what measured the training before a change; planes of the same rows are kept.
    """

    def __init__(self, session: Session, before: FrameMaker | None = None) -> None:
        self.session = session
        self.engine = Eager(session.spec.training.number_type)
        split = session.split
        self.most_rows = self._most_rows()
        self.train = sampled(split.train, self.most_rows)
        held_out = split.test or split.validation
        self.test = sampled(held_out, self.most_rows) if held_out is not None and len(held_out) else None
        same_rows = before is not None and before.session.split.train is split.train
        kept = before.places if before is not None and same_rows else None
        self.places: InputPlaces = kept or InputPlaces(split, self.train, self.test)
        self.held_out = self.train if self.test is None else self.test
        self._shown = last_of_rows(session.spec.network)
        shape = self.held_out.image_shape
        self.pictures = PictureFrames(session, self.engine, self.held_out, shape) if shape else None

    def _most_rows(self) -> int:
        """How many rows of a set losses and scores are measured on."""
        network = self.session.spec.network
        features = self.session.split.preprocessing.features
        least, most = _MEASURED_ROWS
        seconds = step_seconds(network, self.session.start.params, features, most)
        return int(np.clip(most * _MEASURE_SECONDS / seconds, least, most))

    # Measures ---------------------------------------------------------------------------------------------------------

    @cached_property
    def _evaluators(self) -> dict[str, Callable[[State], Record]]:
        session = self.session
        found = {}
        for name, rows in (("train", self.train), ("test", self.test)):
            if rows is not None:
                plan = dataclasses.replace(session.plan, metric=session.metric(rows))
                found[name] = evaluator(plan, self.engine, rows)
        return found

    def measures(self, state: State) -> dict[str, float]:
        """The loss and the scores of a state on the training and the test rows, as `train_loss`, `test_accuracy`."""
        return {
            f"{rows}_{name}": value
            for rows, measure in self._evaluators.items()
            for name, value in measure(state).items()
        }

    def _answers(self, state: State) -> np.ndarray | None:
        """The classes that are chosen for the rows held out (n,); None where the targets are no classes."""
        if self.held_out.task != "classification":
            return None
        return self.session.spec.loss.chosen_classes(self._predicted(state, self.held_out.x))

    def _predicted(self, state: State, x: np.ndarray) -> np.ndarray:
        state = inference_state(state)
        spec = self.session.spec
        return self.engine.call(predict, spec.network, spec.loss, state.params, state.layers, self.engine.place(x))

    # Frames -----------------------------------------------------------------------------------------------------------

    def curve_point(self, epoch: float, measures: Mapping[str, float]) -> list[float]:
        """The epoch, the losses on training and test rows, and the scores on both; NaN where there are no test rows."""
        score = "r2" if self.train.task == "regression" else "accuracy"
        names = ("train_loss", "test_loss", f"train_{score}", f"test_{score}")
        return [epoch, *(measures.get(name, math.nan) for name in names)]

    def frame(
        self, seen: Seen, view: View, measures: Mapping[str, float], curve: Sequence[Sequence[float]], fresh: bool
    ) -> bytes:
        """A frame of a training at one moment.

        Args:
            seen: the training.
            view: what the page wants to see.
            measures: those of the state.
            curve: the points of the curves that the page does not have yet (k, 5), as `curve_point` gives them.
            fresh: whether the page is to forget its curves.
        """
        state = self.engine.place(seen.state)
        _, trace = trace_step(seen.plan, seen.traced)
        numbers = {**measures, "learning_rate": float(trace.learning_rate)}
        header: JsonObject = {
            "step": int(state.step),
            "epoch": seen.epoch,
            "fresh": fresh,
            "metrics": {name: value if math.isfinite(value) else None for name, value in numbers.items()},
        }
        rows = self.held_out
        answers = self._answers(state)
        if answers is not None and rows.outputs <= _MOST_CLASSES:
            header["confusion"] = confusion_matrix(rows.y, answers, rows.outputs).tolist()
        points = np.asarray(curve, float).reshape(-1, _CURVE_COLUMNS)
        arrays = [("curve", points), *self._parameters(seen, trace, view), *self._by_unit(trace, view)]
        arrays += [*self._flags(state), *self._by_layer(seen.traced.state.params, trace), *self._maps(state, view)]
        if self.pictures is not None:
            wrong = [] if answers is None else np.flatnonzero(answers != rows.y)[:_MOST_MISTAKES].tolist()
            header["picture"] = self.pictures.described(view.picture) | {
                "set": "training" if self.test is None else "test",
                "wrong": wrong,
            }
            weights = {"gradients": trace.grads, "updates": trace.updates}.get(view.quantity, state.params)
            arrays += self.pictures.arrays(state, view.picture, weights, of_delta=view.quantity == "delta")
        return packed(header, arrays)

    def _parameters(self, seen: Seen, trace: Trace, view: View) -> Iterator[tuple[str, np.ndarray]]:
        """The weights and biases of each layer, and their gradients or updates."""
        others = {"gradients": ("G", trace.grads), "updates": ("U", trace.updates)}.get(view.quantity)
        for index, layer in enumerate(seen.plan.network.layers):
            if not begins_row(layer):
                continue
            for mark, tree in (("", seen.state.params), *([others] if others else [])):
                own = weights_of(tree[index])
                for name in ("W", "b"):
                    array = getattr(own, name, ())
                    if not isinstance(array, tuple) and np.size(array) <= _MOST_NUMBERS:
                        known = mark if name == "W" and mark else f"{mark}{name}"
                        yield f"{known}.{index}", np.asarray(array)

    def _by_unit(self, trace: Trace, view: View) -> Iterator[tuple[str, np.ndarray]]:
        """The root mean square of outputs or deltas over the batch, by unit."""
        arrays = {"outputs": trace.outputs, "delta": trace.deltas}.get(view.quantity, ())
        weights = normalized_weights(trace.batch.weight)
        for index, values in enumerate(arrays):
            if np.ndim(values) == 2:
                yield f"unit.{index}", np.sqrt(weights @ np.square(values))

    def _flags(self, state: State) -> Iterator[tuple[str, np.ndarray]]:
        """Which units of each activation are dead, and which are saturated, for every row of a sample."""
        rows = sampled(self.train, self.most_rows // _SIGNAL_SHARE)
        network = self.session.plan.network
        state = inference_state(state)
        with np.errstate(all="ignore"):
            context = ForwardContext(training=False)
            outputs = network.forward(state.params, state.layers, rows.x, context).outputs
            for index, layer in enumerate(network.layers):
                slopes = slope(layer, (rows.x, *outputs)[index], outputs[index])
                if slopes is None:
                    continue
                # A channel of pictures is one unit, which every place of a picture uses.
                slopes = np.reshape(slopes, (-1, slopes.shape[-1]))
                weights = np.full(len(slopes), 1 / len(slopes))
                yield f"dead.{index}", (~np.asarray(q.alive(slopes, weights))).astype(np.uint8)
                if layer.saturates and layer.steepest_slope:
                    flat = np.abs(slopes) < q.SATURATED * layer.steepest_slope
                    yield f"saturated.{index}", flat.all(axis=0).astype(np.uint8)

    def _by_layer(self, params: Params, trace: Trace) -> Iterator[tuple[str, np.ndarray]]:
        """The root mean square of every quantity by layer; NaN where a layer has no such quantity."""
        trees = {
            "weights": params,
            "outputs": trace.outputs,
            "delta": trace.deltas,
            "gradients": trace.grads,
            "updates": trace.updates,
        }
        for name, tree in trees.items():
            yield f"layers.{name}", np.array([_size(own) for own in tree])

    def _maps(self, state: State, view: View) -> Iterator[tuple[str, np.ndarray]]:
        """The outputs of the network over the plane or the only input, and those of every unit."""
        places = self.places.inputs(view.axes, _UNIT_PLACES)
        if places is None:
            return
        if self.places.is_line:
            yield "line", self._values(state, self.places.line(_LINE_PLACES).inputs)
        else:
            wanted = self.places.inputs(view.axes, view.size)
            assert wanted is not None
            yield "map", self._values(state, wanted).reshape(view.size, view.size, -1)
        if not view.maps:
            return
        state = inference_state(state)
        network = self.session.plan.network
        x = self.engine.place(places)
        with np.errstate(all="ignore"):
            layers = network.forward(state.params, state.layers, x, ForwardContext(training=False)).outputs
        yield "maps.inputs", _pictures(x)
        for index, values in enumerate(layers):
            if index in self._shown and np.ndim(values) == 2:
                yield f"maps.{index}", _pictures(values)

    def _values(self, state: State, x: np.ndarray) -> np.ndarray:
        """The outputs (n, K), in units of the data."""
        outputs = self._predicted(state, x)
        if self.train.task == "regression":
            outputs = self.session.split.preprocessing.values(outputs)
        return np.asarray(outputs).reshape(len(x), -1)


def _pictures(values: Array) -> np.ndarray:
    """Outputs (places, units) as pictures (units, 32, 32) of bytes: 0 is -m, 255 is m, the largest absolute value."""
    return signed_bytes(values).T.reshape(-1, _UNIT_PLACES, _UNIT_PLACES)


def _size(tree: Params) -> float:
    """The root mean square of the numbers of a layer: of its matrices where it has any; NaN where it has no numbers."""
    arrays = leaves(tree)
    parts = [np.ravel(array) for array in arrays if np.ndim(array) > 1] or [np.ravel(array) for array in arrays[:1]]
    return rms(np.concatenate(parts)) if parts else math.nan
