"""What a network makes of pictures: the kernels of its first convolution, what they make of a picture, its saliency.

Inputs are preprocessed rows, as the network takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..core.arrays import LayerState, Params
from ..data import Dataset, ImageShape
from ..models.network import Network
from ..parts.layers import stack
from ..parts.layers.convolution import BareKernels, Kernels
from ..parts.losses import as_targets
from ..parts.part import ForwardContext, Loss
from .input_maps import WeightImages

_MOST_KERNELS = 32
_MOST_CLASSES = 24
_SALIENCY_ROWS = 256
# This many samples pass the network at once.
_ROWS = 32


class FeatureMaps(NamedTuple):
    """What the first convolution makes of a picture."""

    sample: int
    """Number of the sample in its set, from 0."""
    units: np.ndarray
    """Indices of the kernels (k,)."""
    maps: np.ndarray
    """Their outputs z (k, rows, columns)."""


class Saliency(NamedTuple):
    """How much the loss of the samples of a class depends on each pixel."""

    classes: np.ndarray
    """Indices of the classes (k,)."""
    maps: np.ndarray
    """Mean over samples of max |dL/dx| over channels (k, height, width), divided by its largest number."""
    rows: int
    """Number of samples of all classes together."""


def kernel_images(params: Sequence[Params]) -> WeightImages | None:
    """The kernels of the first convolution as images, those of the largest norm first; None without one.

    Of several input channels, the mean; None also for kernels of a single pixel.

    >>> kernel_images([BareKernels(np.array([[[[1.0, 2.0]], [[3.0, 5.0]]]]))]).pictures.tolist()
    [[[2.0, 5.0]], [[1.0, 3.0]]]
    """
    first = _first_convolution(params)
    if first is None:
        return None
    own = params[first]
    assert isinstance(own, Kernels | BareKernels)
    W = np.asarray(own.W)
    if W.shape[:2] == (1, 1):
        return None
    units = np.argsort(-np.sqrt((W**2).sum(axis=(0, 1, 2))), kind="stable")[:_MOST_KERNELS]
    return WeightImages(units=units, pictures=W.mean(axis=2)[..., units].transpose(2, 0, 1), all_units=W.shape[3])


def feature_maps(
    network: Network, params: Sequence[Params], states: Sequence[LayerState], data: Dataset, sample: int = 0
) -> FeatureMaps | None:
    """What the first convolution makes of a sample, in the order of `kernel_images`; None without one."""
    kernels = kernel_images(params)
    first = _first_convolution(params)
    if kernels is None or first is None or data.image_shape is None:
        return None
    x = data.x[sample : sample + 1]
    upto = slice(first + 1)
    passed = stack.forward(network.layers[upto], params[upto], states[upto], x, ForwardContext(training=False))
    maps = np.asarray(passed.outputs[-1])[0][..., kernels.units].transpose(2, 0, 1)
    return FeatureMaps(sample, kernels.units, maps)


def saliency(
    network: Network, loss: Loss, params: Sequence[Params], states: Sequence[LayerState], data: Dataset
) -> Saliency | None:
    """The mean saliency of each class over the first samples of a set; None unless they are pictures of classes.

    The saliency of a pixel is |dL/dx| of the sample's own loss, the largest of its channels: the backward pass of the
    training, in evaluation mode, down to the input.

    Source: Simonyan, Vedaldi, Zisserman 2014, Deep inside convolutional networks, section 3.
    """
    if data.image_shape is None or data.task != "classification":
        return None
    y = data.y[:_SALIENCY_ROWS]
    slopes = [
        input_gradient(network, loss, params, states, data.x[rows], y[rows])
        for rows in (slice(start, min(start + _ROWS, len(y))) for start in range(0, len(y), _ROWS))
    ]
    largest = np.abs(pixels(np.concatenate(slopes), data.image_shape)).max(axis=-1)
    classes = np.unique(y)[:_MOST_CLASSES]
    means = np.stack([largest[y == label].mean(axis=0) for label in classes])
    scale = means.max(axis=(1, 2), keepdims=True)
    return Saliency(classes, means / np.where(scale > 0, scale, 1), len(y))


def input_gradient(
    network: Network,
    loss: Loss,
    params: Sequence[Params],
    states: Sequence[LayerState],
    x: np.ndarray,
    y: np.ndarray,
) -> np.ndarray:
    """dL/dx of each sample's own loss (n, features), in evaluation mode."""
    passed = network.forward(params, states, x, ForwardContext(training=False))
    outputs = passed.outputs[-1]
    _, delta = loss.terms(outputs, as_targets(outputs, y, loss.members))
    return np.asarray(stack.backward(network.layers, params, passed.caches, delta)[0])


def _first_convolution(params: Sequence[Params]) -> int | None:
    """The index of the first layer that is a convolution; None without one."""
    return next((index for index, own in enumerate(params) if isinstance(own, Kernels | BareKernels)), None)


def pixels(x: np.ndarray, shape: ImageShape) -> np.ndarray:
    """Rows as pictures (n, height, width, channels)."""
    return x.reshape(len(x), *shape[:2], -1)
