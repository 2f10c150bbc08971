"""A proof by replay that the rows of a batch influence each other's outputs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .evaluation import in_mode
from .replay import kept_random_state
from .structure import watched_modules
from .tensors import exact, first_tensor

_FEW_ROWS = 3
# Outputs that change by less, relative to the largest, differ by rounding.
_ROUNDING = 1e-3


@torch.no_grad()
def mixing_place(model: nn.Module, x: Tensor) -> str | None:
    """The first module, in evaluation mode, in which other rows than the first change when the first row is replaced.

    Args:
        model: the model; its modes, buffers and the random states are put back.
        x: a batch (rows, ...).

    Returns:
        The name of the module; "output" for a function after all of them, "" where no row depends on another. None
        where it cannot be told: fewer than three rows, or equal ones, or outputs whose first axis is not that of the
        rows.
    """
    if x.dim() < 1 or len(x) < _FEW_ROWS:
        return None
    different = next((row for row in range(1, len(x)) if not torch.equal(x[row], x[0])), None)
    if different is None:
        return None
    changed = x.clone()
    changed[0] = x[different]
    with in_mode(model, False), kept_random_state():
        before, after = _outputs(model, x), _outputs(model, changed)
    if not before or before[-1][1].dim() < 1 or len(before[-1][1]) != len(x):
        return None
    mixed = [name for (name, a), (_, b) in zip(before, after, strict=False) if _is_mixed(a, b, len(x))]
    last = before[-1]
    return (mixed[0] if mixed else "") if _is_mixed(last[1], after[-1][1], len(x)) else ""


def _outputs(model: nn.Module, x: Tensor) -> list[tuple[str, Tensor]]:
    """The outputs of the modules in the order in which they are used, and of the model."""
    seen: list[tuple[str, Tensor]] = []

    def hook(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, args: object, output: object) -> None:
            y = first_tensor(output)
            if y is not None:
                seen.append((name, exact(y).clone()))

        return keep

    handles = [module.register_forward_hook(hook(name)) for name, module in watched_modules(model)]
    try:
        output = first_tensor(model(x))
    finally:
        for handle in handles:
            handle.remove()
    return [*seen, ("output", exact(output))] if output is not None else []


def _is_mixed(a: Tensor, b: Tensor, rows: int) -> bool:
    """Whether no axis of the length of the batch has all changes at its first place."""
    if a.shape != b.shape or not a.numel():
        return False
    moved = (a - b).abs() > _ROUNDING * a.abs().max()
    if not bool(moved.any()):
        return False
    axes = [axis for axis, size in enumerate(a.shape) if size == rows]
    return bool(axes) and all(bool(moved.narrow(axis, 1, rows - 1).any()) for axis in axes)
