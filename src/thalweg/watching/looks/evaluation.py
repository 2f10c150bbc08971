"""The user's model on some rows, without a graph: what it changes on the way is put back."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from ..facts import SetScores, WatchedLoss
from ..roles import role_of
from .batches import columns, fingerprints, scores
from .replay import kept_random_state
from .tensors import Fields, Taken, any_tensor, copied, exact, fetched, mean_and_deviation

# At most this many rows are evaluated, evenly spaced.
_ROWS = 1024
# A list, dict or set with more items is not copied.
_COPIED = 10_000


@contextlib.contextmanager
def in_mode(model: nn.Module, training: bool | None, evaluating: Collection[str] = ()) -> Iterator[None]:
    """The modules in training or in evaluation mode; afterwards they, their buffers and their attributes in Python are
    as before: a counter of passes, a state that a pass leaves behind.

    Args:
        model: the model.
        training: the mode; None leaves each module as it is.
        evaluating: names of the modules that stay in evaluation mode.
    """
    attributes = [_Attributes.of(module) for module in model.modules()]
    buffers = [] if training is False else [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        if training is not None:
            for name, module in model.named_modules():
                # The attribute itself: `train` may be a method of the user's own.
                module.training = training and name not in evaluating
        yield
    finally:
        for each in attributes:
            each.put_back()
        for buffer, before in buffers:
            buffer.copy_(before)


K = TypeVar("K")


class _Attributes(NamedTuple):
    """The attributes of a module, among them its mode and the dicts of its buffers, and what containers hold."""

    module: nn.Module
    values: dict[str, object]
    dicts: list[tuple[dict[object, object], dict[object, object]]]
    lists: list[tuple[list[object], list[object]]]
    sets: list[tuple[set[object], set[object]]]

    @classmethod
    def of(cls, module: nn.Module) -> _Attributes:
        """The attributes as they are."""
        values = dict(vars(module))
        small = [value for value in values.values() if isinstance(value, dict | list | set) and len(value) <= _COPIED]
        return cls(
            module,
            values,
            [(value, value.copy()) for value in small if type(value) is dict],
            [(value, value.copy()) for value in small if type(value) is list],
            [(value, value.copy()) for value in small if type(value) is set],
        )

    def put_back(self) -> None:
        """Make them so again."""
        _put_back(vars(self.module), self.values)
        for items, before in self.dicts:
            _put_back(items, before)
        for row, former in self.lists:
            row[:] = former
        for members, others in self.sets:
            members &= others
            members |= others


def _put_back(names: dict[K, object], before: dict[K, object]) -> None:
    """Give a dict its former items, without a moment in which one of them is missing: other threads may read it."""
    names.update(before)
    for name in names.keys() - before.keys():
        del names[name]


def differs_in_training(model: nn.Module) -> bool:
    """Whether the model may have other outputs in training mode than in evaluation mode."""
    return any(
        role_of(module) in ("dropout", "norm")
        or bool(getattr(module, "dropout", 0.0))
        or not type(module).__module__.startswith("torch.nn.modules")
        for module in model.modules()
    )


def called(model: Callable[..., Any], inputs: object) -> Any:
    """The model on inputs: a tensor, a tuple or list of arguments, or a dict of keywords."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, list | tuple) else model(inputs)


@torch.no_grad()
def set_scores(
    model: nn.Module,
    loss_fn: Callable[..., Any] | None,
    loss: WatchedLoss,
    inputs: object,
    targets: Tensor,
    chunk: int,
    taken: Taken,
    passes: int = 1,
) -> SetScores:
    """Scores of a model on some rows, in the mode in which it is; the random states stay as they are.

    Args:
        model: the model.
        loss_fn: the loss function; None: the loss is not computed.
        loss: what is known of it.
        inputs: what the model takes.
        targets: what the loss takes.
        chunk: rows that are evaluated at once.
        taken: what the loss takes of the outputs.
        passes: number of passes whose mean outputs are scored: chance averages out in several.
    """
    inputs, targets = _spaced(inputs, targets)
    outputs: list[Tensor] = []
    with kept_random_state():
        for part, own in _chunks(inputs, targets, chunk):
            found_outputs = [taken.of(called(model, copied(part)), own) for _ in range(passes)]
            given = [output for output in found_outputs if output is not None]
            if not given:
                return SetScores(rows=len(targets))
            outputs.append(torch.stack(given).mean(0) if passes > 1 else given[0])
        joined = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
        value = _loss_of(loss_fn, joined, targets)
    threshold = 0.5 if loss.takes == "probabilities" else 0.0
    found: Fields = {
        "rows": len(targets),
        "loss": value,
        **scores(joined, targets, loss.task if loss.takes else "", threshold),
    }
    return SetScores(**fetched(found | _of_rows(inputs, targets)))


def _of_rows(inputs: object, targets: Tensor) -> Fields:
    """Scale and fingerprints of the rows themselves."""
    x = any_tensor([inputs])
    found: Fields = {}
    if x is not None and x.numel():
        found["row_fingerprints"] = fingerprints(x)
        if x.is_floating_point():
            values = exact(x)
            found["input_mean"], found["input_deviation"] = mean_and_deviation(values)
            found |= columns(values)
    if targets.numel():
        found["target_mean"], found["target_deviation"] = mean_and_deviation(exact(targets))
    return found


def _loss_of(loss_fn: Callable[..., Any] | None, outputs: Tensor, targets: Tensor) -> float:
    if loss_fn is None:
        return math.nan
    try:
        value = loss_fn(outputs, targets)
    except (RuntimeError, ValueError, TypeError, IndexError):
        # The loop may reshape the outputs before the loss.
        return math.nan
    return float(value) if isinstance(value, Tensor) and value.numel() == 1 else math.nan


def _spaced(inputs: object, targets: Tensor) -> tuple[object, Tensor]:
    """At most 1024 evenly spaced rows."""
    every = -(-len(targets) // _ROWS)
    if every == 1 or not _is_by_row(inputs, len(targets)):
        return inputs, targets
    return _sliced(inputs, slice(None, None, every)), targets[::every]


def _chunks(inputs: object, targets: Tensor, size: int) -> Iterator[tuple[object, Tensor]]:
    if len(targets) <= size or not _is_by_row(inputs, len(targets)):
        yield inputs, targets
        return
    for start in range(0, len(targets), size):
        part = slice(start, start + size)
        yield _sliced(inputs, part), targets[part]


def _is_by_row(inputs: object, rows: int) -> bool:
    """Whether the first axis of all inputs has the rows."""
    items = inputs.values() if isinstance(inputs, Mapping) else inputs if isinstance(inputs, list | tuple) else [inputs]
    return all(isinstance(item, Tensor) and item.dim() > 0 and len(item) == rows for item in items)


def _sliced(inputs: object, part: slice) -> object:
    if isinstance(inputs, Mapping):
        return {name: value[part] for name, value in inputs.items()}
    if isinstance(inputs, list | tuple):
        return [value[part] for value in inputs]
    return inputs[part] if isinstance(inputs, Tensor) else inputs
