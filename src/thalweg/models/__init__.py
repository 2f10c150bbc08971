"""Networks made of layers: multi-layer perceptrons and linear units."""

from . import linear_units

__all__ = ["linear_units"]
