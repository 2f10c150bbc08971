"""Faults of networks of convolutions, and healthy ones that are unusual, in the bases of picture_bases.py.

The answers were written before any diagnosis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from faults import DEAD, HIDDEN, HIGH, INPUTS, LARGE, LOW, SMALL
from rows import Rows
from thalweg.data.splitting import RowSplit

from .bases import Base, known
from .kinds import Case, Kind, Wrong, cases_of, inserted
from .picture_bases import picture_bases

_RATE = "optimizer.learning_rate"


def _convolutions(base: Base) -> list[int]:
    """The positions of the convolutions outside of blocks."""
    return [place for place, layer in enumerate(base.layers) if isinstance(layer, dict) and layer["kind"] == "conv2d"]


def _in_all(base: Base, **more: Any) -> Wrong:
    """The base with other settings of its convolutions outside of blocks."""
    places = _convolutions(base)
    layers = [{**layer, **more} if place in places else layer for place, layer in enumerate(base.layers)]
    return Wrong({"network.layers": layers}, tuple(f"network.layers.{place}" for place in places))


# Faults. ----------------------------------------------------------------------------------------------------------


def _dead_kernels(base: Base) -> Wrong | None:
    """Biases far below the sums of the kernels: no place of a feature map is above 0."""
    if "relu" not in base.layers or base.normalised:
        return None
    return _in_all(base, bias_init={"kind": "constant", "value": -20.0})


def _equal_kernels(base: Base) -> Wrong:
    """All kernels of a convolution begin as one."""
    return _in_all(base, init={"kind": "constant", "value": 0.05})


def _faint_kernels(base: Base) -> Wrong | None:
    """Kernels of a thousandth, and a rate that does not adapt to them."""
    if base.normalised:
        return None
    wrong = _in_all(base, init={"kind": "normal", "deviation": 0.001})
    return Wrong({**wrong.changes, "optimizer": {"kind": "sgd", "learning_rate": 0.01}}, (*wrong.places, "optimizer"))


def _loud_kernels(base: Base) -> Wrong | None:
    """Kernels drawn as if they had one weight: the fans of a convolution were forgotten, ten times over."""
    if base.normalised:
        return None
    wrong = _in_all(base, init={"kind": "normal", "deviation": 10.0})
    return Wrong({**wrong.changes, "optimizer": {"kind": "sgd", "learning_rate": 0.01}}, (*wrong.places, "optimizer"))


def _long_steps(base: Base) -> Wrong:
    return Wrong({_RATE: 100 * base.rate})


def _short_steps(base: Base) -> Wrong:
    return Wrong({_RATE: base.rate / 2000})


def _raw_pixels(base: Base) -> Wrong:
    """Pixels in units of a camera of sixteen bits, and gradient descent at a usual rate."""

    def count(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return (x - x.min()) * (65535 / np.ptp(x)), y

    source = base.altered("counts", count)
    optimizer = {"kind": "momentum", "learning_rate": 0.02}
    return Wrong(
        {"data.source": source, "data.scale": "none", "optimizer": optimizer},
        ("data.scale", "data.inputs", _RATE),
    )


def _many_sigmoids(base: Base) -> Wrong:
    """Eight more convolutions with sigmoids: nothing of delta is left for the kernels below."""
    place = _convolutions(base)[0] + 1
    return inserted(base, place, *[{"kind": "conv2d", "width": 8, "kernel": 3, "padding": 1}, "sigmoid"] * 8)


def _hardly_a_channel(base: Base) -> Wrong:
    """Channels are dropped until hardly one is left."""
    return inserted(base, _convolutions(base)[-1] + 1, "dropout 0.97")


def _one_channel(base: Base) -> Wrong:
    """A convolution of kernel 1 with a single channel, as for a grey copy, in the middle of the network."""
    return inserted(base, _convolutions(base)[-1], {"kind": "conv2d", "width": 1, "kernel": 1}, "relu")


def _pooled_first(base: Base) -> Wrong:
    """A pool before the first convolution leaves two by two pixels, which later layers only copy."""
    pool = {"kind": "average_pool2d", "kernel": 5, "stride": 5}
    layers: list[Any] = [pool]
    for layer in base.layers:
        if isinstance(layer, dict) and layer["kind"] == "conv2d":
            layers.append({**layer, "kernel": 1, "stride": 1, "padding": 0})
        elif not (layer == "max_pool2d" or (isinstance(layer, dict) and layer["kind"] == "average_pool2d")):
            layers.append(layer)
    return Wrong({"network.layers": layers}, ("network.layers.0",))


def _held_kernels(base: Base) -> Wrong:
    """The convolutions are held at kernels of nearly zero, as after loading a file that did not fit."""
    return _in_all(base, trainable=False, init={"kind": "normal", "deviation": 1e-4})


def _turned(base: Base) -> Wrong | None:
    """The known pictures were turned by a quarter: height and width were exchanged when they were read."""
    if base.name != "numerals":
        return None

    def turn(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = split.train
        x[rows] = np.rot90(x[rows], axes=(1, 2))
        return x, y

    return Wrong({"data.source": base.altered("turned", turn)}, ("data.inputs", "data.validation"))


def _scrambled_pixels(base: Base) -> Wrong:
    """The rows of pixels of each known picture are in an order of its own."""

    def scramble(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        for row in known(split):
            x[row] = rng.permutation(x[row].reshape(-1, *x.shape[3:])).reshape(x.shape[1:])
        return x, y

    return Wrong({"data.source": base.altered("scrambled", scramble)}, ("data.inputs",))


KINDS = (
    Kind("kernels that are dead", _dead_kernels, DEAD),
    Kind("kernels that are equal", _equal_kernels, "init-symmetric, init-too-small, init-too-large"),
    Kind("kernels that are faint", _faint_kernels, f"{SMALL}, {LOW}"),
    Kind("kernels that are loud", _loud_kernels, f"{LARGE}, loss-at-start"),
    Kind("long steps of kernels", _long_steps, HIGH),
    Kind("short steps of kernels", _short_steps, LOW),
    Kind("pixels as counts", _raw_pixels, f"{INPUTS}, loss-at-start"),
    Kind("convolutions with many sigmoids", _many_sigmoids, HIDDEN),
    Kind("hardly a channel left", _hardly_a_channel, "dropout-too-strong"),
    Kind("one channel in the middle", _one_channel, "too-narrow"),
    Kind("pooled before it is seen", _pooled_first, "too-narrow"),
    Kind("kernels held at nothing", _held_kernels, SMALL),
    Kind("known pictures turned", _turned, "mismatch", shows="held-out"),
    Kind("pixels scrambled", _scrambled_pixels, "data-unlearnable, unrelated-input, mismatch"),
)


# Unusual healthy specs. -------------------------------------------------------------------------------------------


def _without_bias(base: Base) -> Wrong:
    return _in_all(base, bias=False)


def _many_channels(base: Base) -> Wrong:
    return _in_all(base, width=24)


def _moved_at_random(base: Base) -> Wrong:
    """Pictures that are moved by a pixel at random."""
    return Wrong({"network.layers": ["random_translation 1", *base.layers], "training.epochs": 2 * base.epochs})


def _strided(base: Base) -> Wrong | None:
    """Strides in place of pools."""
    if "max_pool2d" not in base.layers:
        return None
    layers: list[Any] = []
    for layer in base.layers:
        if layer == "max_pool2d":
            channels = next(of["width"] for of in reversed(layers) if isinstance(of, dict) and "width" in of)
            layers += [{"kind": "conv2d", "width": channels, "kernel": 2, "stride": 2}, "relu"]
        else:
            layers.append(layer)
    return Wrong({"network.layers": layers})


UNUSUAL = (
    Kind("kernels without a bias", _without_bias),
    Kind("many channels", _many_channels),
    Kind("pictures that move", _moved_at_random),
    Kind("strides for pools", _strided),
)


def pictures() -> dict[str, Case]:
    """The faults by name."""
    return cases_of("p", KINDS, most=3, among=picture_bases)


def unusual_pictures() -> dict[str, Case]:
    """The unusual healthy specs by name."""
    return cases_of("c", UNUSUAL, most=3, among=picture_bases)
