"""What a network makes of one picture: its first weights as pictures, its maps, and the pixels its loss depends on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ...core.arrays import Array, Params
from ...core.files import JsonObject
from ...data import Dataset, ImageShape
from ...engine.eager import Eager
from ...engine.step import State, inference_state, predict
from ...models.layer_weights import begins_row, rows_of_drawing, weights_of
from ...parts.losses import as_targets
from ...parts.part import ForwardContext
from ...probes.picture_maps import pixels
from ...training.session import Session

_MOST_KERNELS = 32
_MOST_CHANNELS = 24
# Pictures are thinned to at most this many pixels a side.
_MOST_PIXELS = 96
_BYTE = 255


class PictureFrames:
    """Shows what a training makes of one of a set of pictures.

    Args:
        session: the training.
        engine: computes what is shown.
        rows: the pictures that can be chosen.
        shape: height, width and perhaps channels of one.
    """

    def __init__(self, session: Session, engine: Eager, rows: Dataset, shape: ImageShape) -> None:
        self.session = session
        self.engine = engine
        self.rows = rows
        self.shape = shape
        network = session.spec.network
        self._row_of_layer = rows_of_drawing(network)
        first = next((index for index, layer in enumerate(network.layers) if begins_row(layer)), None)
        self._first_weights = first

    def described(self, picture: int) -> JsonObject:
        """Which picture is shown, of how many, and its class or values."""
        picture = self._at(picture)
        target = self.rows.y[picture]
        if self.rows.task == "regression":
            target = self.session.split.preprocessing.values(target[None])[0]
        return {"row": picture, "rows": len(self.rows), "target": np.asarray(target).tolist()}

    def _at(self, picture: int) -> int:
        return min(picture, len(self.rows) - 1)

    def arrays(
        self, state: State, picture: int, weights: Sequence[Params], *, of_delta: bool
    ) -> Iterator[tuple[str, np.ndarray]]:
        """The arrays of a frame: `picture.input` (height, width, channels) in units of the data, `picture.output` (K,),
        `picture.saliency` (height, width), |dL/dx| of its own loss, the largest of its channels,
        `picture.kernels.i` (kernels, height, width) of the first layer with weights, and
        `picture.maps.i` (channels, height, width) of each layer whose outputs are pictures.

        Args:
            state: the state.
            picture: the picture, a place in the rows.
            weights: what is shown as kernels: parameters, their gradients or updates.
            of_delta: maps of delta = dL/dz of the picture instead of outputs behind the activation.
        """
        at = slice(self._at(picture), self._at(picture) + 1)
        x, y = self.rows.x[at], self.rows.y[at]
        spec = self.session.spec
        network, loss = spec.network, spec.loss
        state = inference_state(state)
        with np.errstate(all="ignore"):
            passed = network.forward(state.params, state.layers, self.engine.place(x), ForwardContext(training=False))
            outputs = passed.outputs
            _, delta = loss.terms(outputs[-1], as_targets(outputs[-1], y, loss.members))
            deltas, _ = network.backward(state.params, passed.caches, delta)
            lowest = network.layers[0].backward(state.params[0], passed.caches[0], deltas[0])[0]
            answers = self.engine.call(predict, network, loss, state.params, state.layers, self.engine.place(x))
        preprocessing = self.session.split.preprocessing
        values = preprocessing.values(answers) if self.rows.task == "regression" else answers
        yield "picture.input", _thinned(pixels(preprocessing.unscaled(x), self.shape)[0])
        yield "picture.saliency", _thinned(np.abs(pixels(np.asarray(lowest), self.shape))[0].max(axis=-1))
        yield "picture.output", np.ravel(values)
        if self._first_weights is not None:
            kernels = self._kernels(weights_of(weights[self._first_weights]))
            if kernels is not None:
                yield f"picture.kernels.{self._first_weights}", kernels
        shown = deltas if of_delta else outputs
        for starts, index in self._rows_of_maps(shown, of_delta).items():
            maps = _thinned(np.asarray(shown[index])[0])[..., :_MOST_CHANNELS]
            yield f"picture.maps.{starts}", signed_bytes(maps.transpose(2, 0, 1))

    def _rows_of_maps(self, shown: Sequence[Array], of_delta: bool) -> dict[int, int]:
        """The layer that is shown of each row of the drawing that has pictures, by the layer that begins the row: the
        first for delta, and for outputs the last.
        """
        first: dict[int, int] = {}
        found: dict[int, int] = {}
        for index, row in enumerate(self._row_of_layer):
            starts = first.setdefault(row, index)
            if row and np.ndim(shown[index]) == 4 and not (of_delta and starts in found):
                found[starts] = index
        return found

    def _kernels(self, own: Params) -> np.ndarray | None:
        """The weights of the first units as pictures, the mean over input channels; None where they are none."""
        W = getattr(own, "W", ())
        if np.ndim(W) == 2 and np.shape(W)[0] == math.prod(self.shape):
            W = np.asarray(W).reshape(*self.shape[:2], -1, np.shape(W)[1])
        if np.ndim(W) != 4 or np.shape(W)[:2] == (1, 1):
            return None
        return _thinned(np.asarray(W).mean(axis=2)[..., :_MOST_KERNELS]).transpose(2, 0, 1)


def _thinned(picture: np.ndarray) -> np.ndarray:
    """A picture (height, width, ...) with every k-th pixel, as many as are drawn."""
    step = -(-max(picture.shape[:2]) // _MOST_PIXELS)
    return picture[::step, ::step]


def signed_bytes(values: Array) -> np.ndarray:
    """Numbers as bytes: 0 is -m, 255 is m, the largest absolute value.

    >>> signed_bytes(np.array([-2.0, 0.0, 2.0])).tolist()
    [0, 128, 255]
    """
    with np.errstate(all="ignore"):
        finite = np.nan_to_num(np.asarray(values, np.float32))
        limit = np.abs(finite).max(initial=1e-12)
        return ((finite / limit + 1) * (_BYTE / 2)).round().astype(np.uint8)
