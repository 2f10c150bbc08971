"""The doctor for PyTorch: watches a training that you write yourself, and says why it does not learn."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ..core.errors import InputError

if TYPE_CHECKING:
    from .handle import Watch, watch
    from .writers import TensorBoardWriter, WandbWriter

# A name is imported when it is first used: what a watch has written is read without PyTorch.
_HOMES = {"Watch": "handle", "watch": "handle", "TensorBoardWriter": "writers", "WandbWriter": "writers"}
__all__ = ["TensorBoardWriter", "WandbWriter", "Watch", "watch"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InputError("watch", "needs PyTorch, which is not installed: pip install 'thalweg[torch]'") from error
