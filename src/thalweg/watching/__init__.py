"""The doctor for PyTorch: watches a training that you write yourself, and says why it does not learn."""

from __future__ import annotations

import importlib
import random
from typing import TYPE_CHECKING

from ..core.errors import InputError

if TYPE_CHECKING:
    from .callbacks.keras_callback import KerasCallback
    from .callbacks.lightning_callback import LightningCallback
    from .callbacks.skorch_callback import SkorchCallback
    from .callbacks.transformers_callback import TransformersCallback
    from .handle import Watch, watch
    from .writers import TensorBoardWriter, WandbWriter

# A name is imported when it is first used: what a watch has written is read without PyTorch.
_HOMES = {
    "KerasCallback": "callbacks.keras_callback",
    "LightningCallback": "callbacks.lightning_callback",
    "SkorchCallback": "callbacks.skorch_callback",
    "TensorBoardWriter": "writers",
    "TransformersCallback": "callbacks.transformers_callback",
    "WandbWriter": "writers",
    "Watch": "handle",
    "watch": "handle",
}
__all__ = [
    "KerasCallback",
    "LightningCallback",
    "SkorchCallback",
    "TensorBoardWriter",
    "TransformersCallback",
    "WandbWriter",
    "Watch",
    "watch",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # rich draws a number of Python's random state where it is imported first.
    state = random.getstate()
    try:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library == "thalweg":
            raise
        package = "'thalweg[torch]'" if library == "torch" else library
        return _absent(name, f"needs {library}, which is not installed: pip install {package}")
    finally:
        random.setstate(state)


def _absent(name: str, problem: str) -> type:
    """A class in the place of one whose library is not installed: it says so when it is called."""

    def refuse(*_: object, **__: object) -> None:
        raise InputError(name, problem)

    return type(name, (), {"__new__": refuse, "__doc__": f"{name} {problem}"})
