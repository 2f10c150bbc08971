"""What a spec can name: layers, losses, optimizers, schedules, initializers and the settings of a training.

Importing any part makes all kinds known.
"""

from . import (
    clipping,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularization,
    schedules,
    settings,
)

__all__ = [
    "clipping",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "regularization",
    "schedules",
    "settings",
]
