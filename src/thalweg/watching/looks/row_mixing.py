"""Proofs by repeated passes: whether the rows of a batch influence each other's outputs, and whether chance does."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .evaluation import in_mode
from .replay import RandomState, kept_random_state
from .structure import watched_modules
from .tensors import exact, first_tensor

_FEW_ROWS = 3
# Outputs that change by less, relative to the largest, differ by rounding.
_ROUNDING = 1e-3


class Dependence(NamedTuple):
    """The first module in which something influences the outputs in evaluation mode; "output" for a function after all
    modules, "" where nothing does. None: it cannot be told."""

    mixing: str | None = None
    """Other rows of the batch do."""
    chance: str | None = None
    """Random numbers do."""


@torch.no_grad()
def dependence(model: nn.Module, x: Tensor) -> Dependence:
    """Whether the outputs depend on chance, by a second pass, and the outputs of other rows on the first row, by a pass
    with another first row and the same random numbers.

    Args:
        model: the model; its modes, buffers and the random states are put back.
        x: a batch (rows, ...). Nothing can be told of fewer than three rows, of equal ones, or of outputs whose first
            axis is not that of the rows.
    """
    if x.dim() < 1 or len(x) < _FEW_ROWS:
        return Dependence()
    different = next((row for row in range(1, len(x)) if not torch.equal(x[row], x[0])), None)
    if different is None:
        return Dependence()
    changed = x.clone()
    changed[0] = x[different]
    with in_mode(model, False), kept_random_state():
        start = RandomState.now()
        before, again = _outputs(model, x), _outputs(model, x)
        start.put_back()
        after = _outputs(model, changed)
    if not before or before[-1][1].dim() < 1 or len(before[-1][1]) != len(x):
        return Dependence()
    return Dependence(
        mixing=_first(before, after, lambda a, b: _is_mixed(a, b, len(x))),
        chance=_first(before, again, lambda a, b: bool(_moved(a, b).any())),
    )


Outputs = list[tuple[str, Tensor]]


def _first(one: Outputs, other: Outputs, sign: Callable[[Tensor, Tensor], bool]) -> str:
    """The first module whose outputs show a sign that the outputs of the model show too."""
    if len(one) != len(other) or one[-1][1].shape != other[-1][1].shape or not sign(one[-1][1], other[-1][1]):
        return ""
    return next(name for (name, a), (_, b) in zip(one, other, strict=True) if a.shape == b.shape and sign(a, b))


def _outputs(model: nn.Module, x: Tensor) -> Outputs:
    """The outputs of the modules in the order in which they are used, and of the model."""
    seen: Outputs = []

    def hook(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, args: object, output: object) -> None:
            y = first_tensor(output)
            if y is not None:
                seen.append((name, exact(y).clone()))

        return keep

    handles = [module.register_forward_hook(hook(name)) for name, module in watched_modules(model)]
    try:
        output = first_tensor(model(x.clone()))
    finally:
        for handle in handles:
            handle.remove()
    return [*seen, ("output", exact(output))] if output is not None else []


def _is_mixed(a: Tensor, b: Tensor, rows: int) -> bool:
    """Whether no axis of the length of the batch has all changes at its first place."""
    moved = _moved(a, b)
    if not bool(moved.any()):
        return False
    axes = [axis for axis, size in enumerate(a.shape) if size == rows]
    return bool(axes) and all(bool(moved.narrow(axis, 1, rows - 1).any()) for axis in axes)


def _moved(a: Tensor, b: Tensor) -> Tensor:
    """Which outputs differ by more than rounding."""
    return (a - b).abs() > _ROUNDING * a.abs().max() if a.numel() else torch.zeros(a.shape, dtype=torch.bool)
