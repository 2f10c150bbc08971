"""Layers: each with its forward pass and its derivative side by side.

Every public class of the modules below is exported.
"""

from .activations import *  # noqa: F403
from .dense import *  # noqa: F403
from .dropout import *  # noqa: F403
from .features import *  # noqa: F403
from .norm import *  # noqa: F403
from .residual import *  # noqa: F403
from .shape import *  # noqa: F403

__all__ = sorted(
    name
    for name, value in vars().items()
    if isinstance(value, type) and value.__module__.startswith(__name__) and not name.startswith("_")
)
