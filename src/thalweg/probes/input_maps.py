"""The outputs of a trained network over its inputs: on a plane, along a line, by hidden unit; and its first weights.

Inputs are preprocessed rows, as the network takes them; places and values are in the units of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from ..core.arrays import Params, Tree
from ..data import Dataset, ImageShape, Preprocessing, StreamedDataset
from ..models.network import Network
from ..parts.layers import Activation, Affine, Weights
from ..parts.layers.stack import forward
from ..parts.part import ForwardContext

_PLACES = 101
_LINE_PLACES = 401
# Hidden units are computed on every second place of the grid.
_EVERY_UNIT_PLACE = 2
_MOST_FEATURES = 100
_MOST_POINTS = 1000
_MOST_UNITS = 16
_MOST_IMAGES = 32
_MARGIN = 0.1
# This many rows at a time become 64-bit numbers.
_ROWS = 4096

Outputs = Callable[[np.ndarray], np.ndarray]
"""A function from inputs (n, d) to outputs (n, K)."""


class InputPlane(NamedTuple):
    """A plane in the space of d inputs: the place (s, t) is the input origin + s directions[0] + t directions[1]."""

    origin: np.ndarray
    """The input at place (0, 0), (d,)."""
    directions: np.ndarray
    """Two orthogonal directions (2, d)."""
    axes: tuple[str, str]
    """The names of the axes."""
    explained: tuple[float, ...] = ()
    """The fraction of the variance of the training rows that each axis explains; empty if there are two inputs."""

    def inputs(self, s: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The inputs at all places of a grid, row after row: (len(t) len(s), d) float32."""
        places = np.stack(np.meshgrid(s, t), axis=-1).reshape(-1, 2)
        return (self.origin + places @ self.directions).astype(np.float32)

    def places(self, x: np.ndarray) -> np.ndarray:
        """The places of inputs (n, d) on the plane, by orthogonal projection: (n, 2)."""
        return (np.asarray(x, dtype=float) - self.origin) @ self.directions.T / np.square(self.directions).sum(axis=1)

    def below(self, x: np.ndarray) -> np.ndarray:
        """The orthogonal projection of inputs (n, d) on the plane: (n, d) float32."""
        return (self.origin + self.places(x) @ self.directions).astype(np.float32)


class InputMap(NamedTuple):
    """The outputs of a network on a plane of its inputs, with samples."""

    x: np.ndarray
    """Places along the first axis (m,)."""
    y: np.ndarray
    """Places along the second axis (k,)."""
    outputs: np.ndarray
    """Outputs (k, m, K)."""
    points: np.ndarray
    """Places of samples (n, 2)."""
    true: np.ndarray
    """Their classes (n,) or values (n, K)."""
    axes: tuple[str, str]
    """The names of the axes."""
    explained: tuple[float, ...] = ()
    """The fraction of the variance of the training rows that each axis explains; empty if there are two inputs."""
    every: int = 1
    """The map shows every `every`-th sample."""
    units: np.ndarray | None = None
    """Outputs of the first hidden units (u, k', m') over `unit_x` and `unit_y`; None unless there are two inputs."""
    all_units: int = 0
    """Number of units of that hidden layer."""

    @property
    def unit_x(self) -> np.ndarray:
        """Places of the hidden units along the first axis (m',)."""
        return self.x[::_EVERY_UNIT_PLACE]

    @property
    def unit_y(self) -> np.ndarray:
        """Places of the hidden units along the second axis (k',)."""
        return self.y[::_EVERY_UNIT_PLACE]


class FittedCurve(NamedTuple):
    """The outputs of a network with one input, with samples."""

    x: np.ndarray
    """Inputs (m,)."""
    values: np.ndarray
    """Outputs (m, K)."""
    points: np.ndarray
    """Inputs of samples (n,)."""
    true: np.ndarray
    """Their targets (n, K)."""
    axis: str
    """The name of the input."""
    every: int = 1
    """The curve shows every `every`-th sample."""


class WeightImages(NamedTuple):
    """The weights of first-layer units as images."""

    units: np.ndarray
    """Indices of the units (k,)."""
    pictures: np.ndarray
    """Their weights (k, height, width)."""
    all_units: int
    """Number of units of the layer."""


def plane_of(preprocessing: Preprocessing, train: Dataset | StreamedDataset) -> InputPlane | None:
    """The plane to show: of the two inputs, in their own units, or of the two leading principal axes of `train`.

    The principal axes are those of the covariance of the preprocessed training rows (of `head` of rows that
    stream); their origin is the mean. None for images, for one input or more than 100, for rows on one line, for
    several labels, and for a regression on more than two inputs.

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
    """The plane of two inputs in their own units, with the other inputs fixed.

    Args:
        preprocessing: the fitted preprocessing.
        train: the training rows; of rows that stream their `head`.
        chosen: the indices of the two inputs.
        at: values of other inputs in their own units; the rest have the mean of the training rows.

    >>> rows = np.array([[1.0, 1.0, 5.0], [3.0, 5.0, 9.0]])
    >>> fitted, _ = Preprocessing.fit(rows, np.array([0, 1]), "classification", "standard")
    >>> plane = slice_of(fitted, fitted.dataset(rows, [0, 1]), (2, 0), {1: 5.0})
    >>> plane.axes, fitted.unscaled(plane.inputs(np.array([6.0]), np.array([2.0]))).tolist()
    (('x2', 'x0'), [[2.0, 5.0, 6.0]])
    """
    features = preprocessing.features
    names = preprocessing.feature_names
    shift, span = (np.broadcast_to(pair, features) for pair in (preprocessing.shift, preprocessing.span))
    pair = list(chosen)
    axes = (names[chosen[0]], names[chosen[1]])
    directions = np.zeros((2, features))
    directions[[0, 1], pair] = 1 / span[pair]
    if features == 2:
        return InputPlane(origin=-shift / span, directions=directions, axes=axes)
    rows = train.head().x
    origin = rows.mean(axis=0, dtype=float)
    variances = sum((np.square(away).sum(axis=0) for away in _away(rows, origin)), np.zeros(features))
    for place, value in at.items():
        origin[place] = (value - shift[place]) / span[place]
    origin[pair] = -shift[pair] / span[pair]
    first, second = (float(variances[k] / max(variances.sum(), 1e-300)) for k in pair)
    return InputPlane(origin=origin, directions=directions, axes=axes, explained=(first, second))


def principal_plane(train: Dataset | StreamedDataset) -> InputPlane | None:
    """The plane of the two leading principal axes of the preprocessed rows of `train`; None for rows on one line."""
    rows = train.head().x
    mean = rows.mean(axis=0, dtype=float)
    covariance = sum((away.T @ away for away in _away(rows, mean)), np.zeros((len(mean),) * 2)) / len(rows)
    variances, vectors = np.linalg.eigh(covariance)
    if len(mean) < 2 or variances[-2] <= 1e-12 * max(variances[-1], 1e-300):
        return None
    directions = vectors[:, [-1, -2]].T
    # The sign of an axis is arbitrary: its largest component is made positive.
    signs = np.sign(directions[[0, 1], np.abs(directions).argmax(axis=1)])
    explained = tuple(float(variances[place] / variances.sum()) for place in (-1, -2))
    axes = ("first principal axis", "second principal axis")
    return InputPlane(origin=mean, directions=signs[:, None] * directions, axes=axes, explained=explained)


def _away(rows: np.ndarray, mean: np.ndarray) -> Iterator[np.ndarray]:
    """The rows minus their mean, in 64-bit numbers, some rows at a time."""
    return (rows[start : start + _ROWS] - mean for start in range(0, len(rows), _ROWS))


def map_of(
    preprocessing: Preprocessing, plane: InputPlane, data: Dataset, outputs: Outputs, hidden: Outputs | None = None
) -> InputMap:
    """The outputs of a network on a plane, around samples.

    Args:
        preprocessing: the fitted preprocessing.
        plane: the plane.
        data: the samples.
        outputs: the network.
        hidden: its first hidden layer; left out if the plane does not hold all inputs.
    """
    every = -(-len(data) // _MOST_POINTS)
    points = plane.places(data.x[::every])
    x, y = grid_around(points, _PLACES)
    values = outputs(plane.inputs(x, y))
    true = data.y[::every]
    if preprocessing.task == "regression":
        values = preprocessing.values(values)
        true = preprocessing.values(true)
    # Outputs of a network that has diverged may overflow 32 bits.
    with np.errstate(over="ignore"):
        values = values.astype(np.float32).reshape(len(y), len(x), -1)
    result = InputMap(
        x=x,
        y=y,
        outputs=values,
        points=points,
        true=true,
        axes=plane.axes,
        explained=plane.explained,
        every=every,
    )
    if hidden is None or plane.explained:
        return result
    units = hidden(plane.inputs(result.unit_x, result.unit_y)).astype(np.float32)
    shown = units[:, :_MOST_UNITS].T.reshape(-1, len(result.unit_y), len(result.unit_x))
    return result._replace(units=shown, all_units=units.shape[1])


def hidden_outputs(network: Network, params: Sequence[Tree], layers: Sequence[Tree]) -> Outputs | None:
    """The first hidden layer as a function; None for a network without one.

    The first hidden layer ends with the first activation that has weights above it.

    Args:
        network: the network.
        params: its parameters.
        layers: the states of its layers.
    """
    activations = (index for index, layer in enumerate(network.layers) if isinstance(layer, Activation))
    count = next((index + 1 for index in activations if any(params[index + 1 :])), None)
    if count is None:
        return None

    def outputs(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            passed = forward(network.layers[:count], params[:count], layers[:count], x, ForwardContext(training=False))
        return np.asarray(passed.outputs[-1])

    return outputs


def curve_of(preprocessing: Preprocessing, data: Dataset, outputs: Outputs) -> FittedCurve | None:
    """The outputs of a network along its only input; None for several inputs, and unless the task is a regression."""
    if preprocessing.task != "regression" or preprocessing.features != 1:
        return None
    every = -(-len(data) // _MOST_POINTS)
    line = around(data.x[:, 0], _LINE_PLACES)[:, None].astype(np.float32)
    return FittedCurve(
        x=preprocessing.unscaled(line)[:, 0],
        values=preprocessing.values(outputs(line)),
        points=preprocessing.unscaled(data.x[::every])[:, 0],
        true=preprocessing.values(data.y[::every]),
        axis=preprocessing.feature_names[0],
        every=every,
    )


def weight_images(params: Params, image_shape: ImageShape | None) -> WeightImages | None:
    """The weights of the first dense layer as images, those of the largest norm first; None if rows are not images.

    Of coloured images, the mean of the weights of a pixel.

    >>> W = np.array([[1.0, 0.0], [2.0, 5.0]])
    >>> weight_images((Affine(W, np.zeros(2)),), (1, 2)).pictures.tolist()
    [[[0.0, 5.0]], [[1.0, 2.0]]]
    """
    dense = next((own for own in params if isinstance(own, Affine | Weights)), None)
    if image_shape is None or dense is None or len(dense.W) != np.prod(image_shape):
        return None
    W = np.asarray(dense.W)
    units = np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:_MOST_IMAGES]
    pictures = W[:, units].T.reshape(len(units), *image_shape[:2], -1).mean(axis=-1)
    return WeightImages(units=units, pictures=pictures, all_units=W.shape[1])


def grid_around(points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` places along each axis of a grid that spans points (n, 2) with a margin."""
    x, y = (around(column, count) for column in points.T)
    return x, y


def around(values: np.ndarray, count: int) -> np.ndarray:
    """`count` places from below the least of the values (n,) to above the greatest, with a margin."""
    low = float(values.min())
    high = float(values.max())
    margin = _MARGIN * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, count)
