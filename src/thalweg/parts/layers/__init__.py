"""Layers: each with its forward pass and its derivative side by side.

Every public class of the modules below is exported, and their base class.
"""

from ..part import Layer
from .activations import *  # noqa: F403
from .augmentation import *  # noqa: F403
from .columns import *  # noqa: F403
from .convolution import *  # noqa: F403
from .dense import *  # noqa: F403
from .dropout import *  # noqa: F403
from .features import *  # noqa: F403
from .members import *  # noqa: F403
from .norm import *  # noqa: F403
from .pooling import *  # noqa: F403
from .residual import *  # noqa: F403
from .shape import *  # noqa: F403

__all__ = [
    "Layer",
    *sorted(
        name
        for name, value in vars().items()
        if isinstance(value, type) and value.__module__.startswith(__name__) and not name.startswith("_")
    ),
]
