"""What a trained network says over its inputs, in numbers: on a plane, along a line, by unit, by weight.

Inputs here are prepared rows, as a network takes them; places and values are in the units of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Tree
from ..data import Dataset, Preprocessing, StreamedDataset
from ..models.network import Network
from ..parts.layers import Activation, Affine
from ..parts.layers.stack import forward
from ..parts.part import ForwardContext

_PLACES, _LINE_PLACES, _EVERY_UNIT_PLACE = 101, 401, 2
_MOST_FEATURES, _MOST_POINTS, _MOST_UNITS, _MOST_IMAGES = 100, 1000, 16, 32
_MARGIN = 0.1
# So many rows at a time become 64-bit numbers.
_ROWS = 4096

Answers = Callable[[np.ndarray], np.ndarray]


class InputPlane(NamedTuple):
    """A plane in the space of d inputs: the place (s, t) is the input origin + s directions[0] + t directions[1].

    origin (d,), directions (2, d) at right angles, the names of both axes, and the share of the training rows' variance
    that each explains: `()` where the plane holds all inputs there are.
    """

    origin: np.ndarray
    directions: np.ndarray
    axes: tuple[str, str]
    explained: tuple[float, ...] = ()

    def inputs(self, s: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The inputs at all places of a grid, row after row: (len(t) len(s), d) float32."""
        places = np.stack(np.meshgrid(s, t), axis=-1).reshape(-1, 2)
        return (self.origin + places @ self.directions).astype(np.float32)

    def places(self, x: np.ndarray) -> np.ndarray:
        """Where inputs (n, d) stand on the plane, or would if they fell down upon it: (n, 2)."""
        return (np.asarray(x, dtype=float) - self.origin) @ self.directions.T / np.square(self.directions).sum(axis=1)

    def below(self, x: np.ndarray) -> np.ndarray:
        """The inputs of the plane that are nearest to inputs (n, d): (n, d) float32."""
        return (self.origin + self.places(x) @ self.directions).astype(np.float32)


class InputMap(NamedTuple):
    """What a network says on a plane of its inputs, and the samples that stand there.

    x (m,) and y (k,) are places along the axes, outputs (k, m, K) the answers; points (n, 2) are samples, of the
    classes or values `true`, one of `every` so many. units (u, k', m'), the outputs of the first of `all_units` hidden
    units, over the places unit_x (m',) and unit_y (k'), are there where the plane holds all inputs.
    """

    x: np.ndarray
    y: np.ndarray
    outputs: np.ndarray
    points: np.ndarray
    true: np.ndarray
    axes: tuple[str, str]
    explained: tuple[float, ...] = ()
    every: int = 1
    units: np.ndarray | None = None
    all_units: int = 0

    @property
    def unit_x(self) -> np.ndarray:
        return self.x[::_EVERY_UNIT_PLACE]

    @property
    def unit_y(self) -> np.ndarray:
        return self.y[::_EVERY_UNIT_PLACE]


class FittedCurve(NamedTuple):
    """What a network says along its only input: x (m,), values (m, K); and samples: points (n,), true (n, K)."""

    x: np.ndarray
    values: np.ndarray
    points: np.ndarray
    true: np.ndarray
    axis: str
    every: int = 1


class WeightImages(NamedTuple):
    """The weights of first-layer units as pictures (k, height, width); `units` (k,) are their numbers from 0."""

    units: np.ndarray
    pictures: np.ndarray
    all_units: int


def plane_of(preprocessing: Preprocessing, train: Dataset | StreamedDataset) -> InputPlane | None:
    """The plane to look at: of the two inputs, in their own units, or of the two leading principal axes of `train`.

    The principal axes are those of the covariance of the prepared training rows (of a first part of rows that stream)
    and meet in their mean. None for pictures, for one input or more than 100, where all rows are on one line, for
    several labels, and for numbers of more than two inputs.

    >>> rows = np.array([[1.0, 1.0], [3.0, 5.0]])
    >>> fitted, _ = Preprocessing.fit(rows, np.array([0, 1]), "classification", "standard")
    >>> plane = plane_of(fitted, fitted.dataset(rows, [0, 1]))
    >>> plane.axes, plane.places(fitted.inputs(rows)).round(6).tolist()
    (('x0', 'x1'), [[1.0, 1.0], [3.0, 5.0]])
    """
    features = preprocessing.features
    most = {"classification": _MOST_FEATURES, "regression": 2, "multilabel": 0}[preprocessing.task]
    if preprocessing.image_shape or not 2 <= features <= most:
        return None
    if features == 2:
        return slice_of(preprocessing, train, (0, 1))
    return principal_plane(train)


def slice_of(
    preprocessing: Preprocessing,
    train: Dataset | StreamedDataset,
    chosen: tuple[int, int],
    at: Mapping[int, float] = MappingProxyType({}),
) -> InputPlane:
    """The plane of two `chosen` inputs in their own units; the others stay at their mean, or where `at` says.

    The means are those of the training rows (of a first part of rows that stream). Inputs are meant by their numbers
    from 0; `at` gives their values in their own units.

    >>> rows = np.array([[1.0, 1.0, 5.0], [3.0, 5.0, 9.0]])
    >>> fitted, _ = Preprocessing.fit(rows, np.array([0, 1]), "classification", "standard")
    >>> plane = slice_of(fitted, fitted.dataset(rows, [0, 1]), (2, 0), {1: 5.0})
    >>> plane.axes, fitted.unscaled(plane.inputs(np.array([6.0]), np.array([2.0]))).tolist()
    (('x2', 'x0'), [[2.0, 5.0, 6.0]])
    """
    features, names = preprocessing.features, preprocessing.feature_names
    shift, span = (np.broadcast_to(pair, features) for pair in (preprocessing.shift, preprocessing.span))
    pair, axes = list(chosen), (names[chosen[0]], names[chosen[1]])
    directions = np.zeros((2, features))
    directions[[0, 1], pair] = 1 / span[pair]
    if features == 2:
        return InputPlane(-shift / span, directions, axes)
    rows = next(train.parts()).x
    origin = rows.mean(axis=0, dtype=float)
    variances = sum((np.square(away).sum(axis=0) for away in _away(rows, origin)), np.zeros(features))
    for place, value in at.items():
        origin[place] = (value - shift[place]) / span[place]
    origin[pair] = -shift[pair] / span[pair]
    first, second = (float(variances[k] / max(variances.sum(), 1e-300)) for k in pair)
    return InputPlane(origin, directions, axes, (first, second))


def principal_plane(train: Dataset | StreamedDataset) -> InputPlane | None:
    """The plane of the two leading principal axes of the prepared rows of `train`; None where they are on one line."""
    rows = next(train.parts()).x
    mean = rows.mean(axis=0, dtype=float)
    covariance = sum((away.T @ away for away in _away(rows, mean)), np.zeros((len(mean),) * 2)) / len(rows)
    variances, axes = np.linalg.eigh(covariance)
    if len(mean) < 2 or variances[-2] <= 1e-12 * max(variances[-1], 1e-300):
        return None
    directions = axes[:, [-1, -2]].T
    # An axis has no direction of its own: its largest part counts as positive.
    signs = np.sign(directions[[0, 1], np.abs(directions).argmax(axis=1)])
    explained = tuple(float(variances[place] / variances.sum()) for place in (-1, -2))
    return InputPlane(mean, signs[:, None] * directions, ("first principal axis", "second principal axis"), explained)


def _away(rows: np.ndarray, mean: np.ndarray) -> Iterator[np.ndarray]:
    """The rows less their mean, in 64-bit numbers, some at a time."""
    return (rows[start : start + _ROWS] - mean for start in range(0, len(rows), _ROWS))


def map_of(
    preprocessing: Preprocessing, plane: InputPlane, data: Dataset, answers: Answers, hidden: Answers | None = None
) -> InputMap:
    """What the network's `answers` (n, d) -> (n, K) are on the plane around the samples of `data`.

    `hidden` is what its first hidden layer says.
    """
    every = -(-len(data) // _MOST_POINTS)
    points = plane.places(data.x[::every])
    x, y = grid_around(points, _PLACES)
    outputs, true = answers(plane.inputs(x, y)), data.y[::every]
    if preprocessing.task == "regression":
        outputs, true = preprocessing.values(outputs), preprocessing.values(true)
    # A network that has diverged answers more than 32 bits hold: infinity there.
    with np.errstate(over="ignore"):
        outputs = outputs.astype(np.float32).reshape(len(y), len(x), -1)
    seen = InputMap(x, y, outputs, points, true, plane.axes, plane.explained, every)
    if hidden is None or plane.explained:
        return seen
    units = hidden(plane.inputs(seen.unit_x, seen.unit_y)).astype(np.float32)
    shown = units[:, :_MOST_UNITS].T.reshape(-1, len(seen.unit_y), len(seen.unit_x))
    return seen._replace(units=shown, all_units=units.shape[1])


def hidden_answers(network: Network, params: Tree, layers: Tree) -> Answers | None:
    """What the first hidden layer says: inputs (n, d) -> (n, units); None for a network without such a layer.

    It is the first activation that has weights above it. `params` and `layers` are the parameters and the states of the
    network's layers.
    """
    activations = (index for index, layer in enumerate(network.layers) if isinstance(layer, Activation))
    count = next((index + 1 for index in activations if any(params[index + 1 :])), None)
    if count is None:
        return None

    def answers(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            found = forward(network.layers[:count], params[:count], layers[:count], x, ForwardContext(training=False))
        return np.asarray(found.outputs[-1])

    return answers


def curve_of(preprocessing: Preprocessing, data: Dataset, answers: Answers) -> FittedCurve | None:
    """What the network's `answers` are along its only input; None where it has more, or answers no numbers."""
    if preprocessing.task != "regression" or preprocessing.features != 1:
        return None
    every = -(-len(data) // _MOST_POINTS)
    line = _around(data.x[:, 0], _LINE_PLACES)[:, None].astype(np.float32)
    return FittedCurve(
        preprocessing.unscaled(line)[:, 0],
        preprocessing.values(answers(line)),
        preprocessing.unscaled(data.x[::every])[:, 0],
        preprocessing.values(data.y[::every]),
        preprocessing.feature_names[0],
        every,
    )


def weight_images(params: Tree, image_shape: tuple[int, int] | None) -> WeightImages | None:
    """The weights of the first dense layer as pictures, those of the largest norm first; None where rows are none.

    >>> W = np.array([[1.0, 0.0], [2.0, 5.0]])
    >>> weight_images((Affine(W, np.zeros(2)),), (1, 2)).pictures.tolist()
    [[[0.0, 5.0]], [[1.0, 2.0]]]
    """
    dense: Any = next((own for own in params if isinstance(own, Affine)), None)
    if image_shape is None or dense is None or len(dense.W) != np.prod(image_shape):
        return None
    W = np.asarray(dense.W)
    units = np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:_MOST_IMAGES]
    return WeightImages(units, W[:, units].T.reshape(-1, *image_shape), W.shape[1])


def grid_around(points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The places along both axes, `count` each, of a grid that spans points (n, 2) with a margin."""
    x, y = (_around(column, count) for column in points.T)
    return x, y


def _around(values: np.ndarray, count: int) -> np.ndarray:
    """Places that span the values with a margin."""
    low, high = float(values.min()), float(values.max())
    margin = _MARGIN * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, count)
