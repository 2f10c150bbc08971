"""Healthy networks of convolutions on small pictures.

Rows are split as in bases.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from faults import table
from rows import Rows, saved

from .bases import Base, base_of, by, spread

# Rows. ------------------------------------------------------------------------------------------------------------


def numerals() -> Rows:
    """Handwritten digits of 8 x 8 pixels, each moved by up to two pixels within a frame of 11 x 11."""
    rng = np.random.default_rng(0)
    images, digits = load_digits(return_X_y=True)
    moved = np.zeros((1700, 11, 11))
    for picture, image in zip(moved, images.reshape(-1, 8, 8)[:1700] / 16, strict=True):
        row, column = rng.integers(0, 4, 2)
        picture[row : row + 8, column : column + 8] = image
    return spread(moved, digits[:1700])


def stripes() -> Rows:
    """Stripes in one of four directions, of any width and phase, with noise, in 12 x 12 pixels."""
    rng = np.random.default_rng(1)
    kinds = np.arange(800) % 4
    row, column = np.mgrid[:12, :12]
    angle = (kinds * np.pi / 4 + rng.uniform(-0.2, 0.2, len(kinds)))[:, None, None]
    width, phase = rng.uniform((0.9, 0.0), (1.6, 2 * np.pi), (len(kinds), 2)).T[:, :, None, None]
    waves = np.sin(width * (np.cos(angle) * row + np.sin(angle) * column) + phase)
    return spread(waves + 0.5 * rng.standard_normal(waves.shape), kinds)


def shapes() -> Rows:
    """A filled square, its frame, or a cross, in any colour on a ground of any colour, in 12 x 12 pixels."""
    rng = np.random.default_rng(2)
    kinds = np.arange(1500) % 3
    ground, ink = rng.uniform(0, 1, (2, len(kinds), 3))
    ink = ground + np.where(ink > ground, 0.4, -0.4)
    pictures = np.repeat(ground[:, None, None], 144, axis=1).reshape(-1, 12, 12, 3)
    for picture, kind, colour in zip(pictures, kinds, ink, strict=True):
        row, column = rng.integers(1, 6, 2)
        box = picture[row : row + 5, column : column + 5]
        own = box.copy()
        box[:] = colour
        if kind == 1:
            box[1:-1, 1:-1] = own[1:-1, 1:-1]
        if kind == 2:
            for corner in ((slice(0, 2), slice(0, 2)), (slice(0, 2), slice(3, 5)), (slice(3, 5), slice(0, 2))):
                box[corner] = own[corner]
            box[3:, 3:] = own[3:, 3:]
    return spread(255 * np.clip(pictures + 0.05 * rng.standard_normal(pictures.shape), 0, 1), kinds)


# Specs. -----------------------------------------------------------------------------------------------------------


def _convolution(width: int, kernel: int = 3, **more: Any) -> dict[str, Any]:
    return {"kind": "conv2d", "width": width, "kernel": kernel, **more}


def picture_bases() -> dict[str, Base]:
    """The healthy specs by name."""
    # fmt: off
    chosen = {
        numerals: (
            [_convolution(8), "relu", "max_pool2d", _convolution(16), "relu", "flatten", "dense 10", "softmax"],
            "he_normal", by("adam", 0.004), 25,
        ),
        stripes: (
            [
                _convolution(8), "batch_norm", "relu", "max_pool2d", _convolution(12), "batch_norm", "relu",
                "global_average_pool", "dense 4", "softmax",
            ],
            "he_normal", by("momentum", 0.03), 12,
        ),
        shapes: (
            [_convolution(8, 5), "relu", _convolution(8), "relu", "flatten", "dense 24", "relu", "dense 3", "softmax"],
            "he_uniform", by("adam", 0.003), 20,
        ),
    }
    # fmt: on
    result = {}
    for rows, settings in chosen.items():
        base = base_of(rows, table(saved(f"fresh-{rows.__name__}", rows), *settings), nearly_straight=False)
        base.table["data"]["scale"] = "range"
        result[base.name] = base
    return result
