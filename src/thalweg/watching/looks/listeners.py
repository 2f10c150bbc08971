"""The light listeners between looks: they see references alone, and leave nothing behind when they are removed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from torch import nn
from torch.compiler import is_compiling
from torch.optim import Optimizer

T = TypeVar("T")


class Switch:
    """Whether a watch listens, and what it does about an error of its own."""

    def __init__(self, fail: Callable[[Exception], None]) -> None:
        self.off = False
        self.fail = fail


class Listener(Generic[T]):
    """A function of a watch that never disturbs the training: without effect once the watch is off, or where a compiler
    traces the call; an error inside of it is given to the watch.

    A copy of a model or a file that it is saved to does not carry the watch along: there such a hook does nothing.
    """

    def __init__(self, function: Callable[..., T], switch: Switch) -> None:
        self._function = function
        self._switch = switch

    def __call__(self, *args: object) -> T | None:
        """Call the function; returns what it returns, or None."""
        if is_compiling() or self._switch.off:
            return None
        try:
            return self._function(*args)
        except Exception as error:
            self._switch.fail(error)
            return None

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        # Of the standard library, so that the file opens without this project: it takes anything, and returns None.
        return getattr, (contextlib.nullcontext(), "__exit__")


class Methods(NamedTuple):
    """What a watch does at each event."""

    forward: Callable[..., None]
    """Before the model is called: (model, args, kwargs)."""
    loss: Callable[..., None]
    """After the loss module was called: (loss, args, kwargs, output)."""
    step_end: Callable[..., None]
    """After `optimizer.step()`: (optimizer, args, kwargs)."""


def attach(model: nn.Module, optimizer: Optimizer, loss: object, methods: Methods) -> list[Callable[[], None]]:
    """Attach the listeners; returns what removes them."""
    handles: list[Any] = [optimizer.register_step_post_hook(methods.step_end)]
    if isinstance(loss, nn.Module):
        handles.append(loss.register_forward_hook(methods.loss, with_kwargs=True))
    removals = [handle.remove for handle in handles]
    compiled: Callable[..., object] | None = model._compiled_call_impl
    if compiled is not None:
        # The compiled call of a module contains its hooks, and would have to be compiled again.
        removals.append(_wrap_compiled_call(model, compiled, methods.forward))
    else:
        removals.append(model.register_forward_pre_hook(methods.forward, with_kwargs=True).remove)
    return removals


def _wrap_compiled_call(
    model: nn.Module, compiled: Callable[..., object], forward: Callable[..., None]
) -> Callable[[], None]:
    def call(*args: object, **kwargs: object) -> object:
        forward(model, args, kwargs)
        return compiled(*args, **kwargs)

    def remove() -> None:
        # The user may have compiled it again.
        if model._compiled_call_impl is call:
            model._compiled_call_impl = compiled

    model._compiled_call_impl = call
    return remove
