"""Layers: each with its forward pass and its derivative side by side.

Every public class of the modules below is exported.
"""

import importlib
import pkgutil

from ..part import Layer
from .activations import *  # noqa: F403
from .dense import *  # noqa: F403
from .dropout import *  # noqa: F403
from .features import *  # noqa: F403
from .norm import *  # noqa: F403
from .residual import *  # noqa: F403
from .shape import *  # noqa: F403

# A new file of layers needs no line above, which names those that exist for type checkers.
for _module in pkgutil.iter_modules(__path__):  # noqa: F405 - of this package
    for _name, _value in vars(importlib.import_module(f"{__name__}.{_module.name}")).items():
        if isinstance(_value, type) and issubclass(_value, Layer) and not _name.startswith("_"):
            globals()[_name] = _value

__all__ = sorted(
    name
    for name, value in vars().items()
    if isinstance(value, type) and value.__module__.startswith(__name__) and not name.startswith("_")
)
