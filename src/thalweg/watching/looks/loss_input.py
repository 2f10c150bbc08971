"""What the loss got: shapes, ranges and the last activation of the outputs, by autograd's graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import Node

from ..roles import activation_of_operation
from . import tensors as t
from .graph import RESHAPES, axis_of, operation, shape_of

# Autograd's names of losses.
_LOSSES = frozenset(
    {"nllloss", "nllloss2d", "nlllossnd", "mseloss", "binarycrossentropy", "binarycrossentropywithlogits",
     "smoothl1loss", "huberloss", "kldiv"}
)  # fmt: skip


def statistics(outputs: Tensor, targets: Tensor) -> t.Fields:
    """The fields of `LossInput` that need only the two tensors; numbers as tensors."""
    fields: t.Fields = {
        "output_shape": tuple(outputs.shape),
        "target_shape": tuple(targets.shape),
        "target_type": str(targets.dtype).removeprefix("torch."),
    }
    z, y = t.exact(outputs), t.exact(targets)
    if z.numel() and y.numel():
        fields |= _moments("output", z) | _moments("target", y)
        fields["target_integers"] = (y == torch.round(y)).all() if targets.is_floating_point() else True
        fields["spread"] = t.difference(z, 0) if z.dim() and len(z) > 1 else math.nan
        fields |= _row_sums(z)
    return fields


def _moments(name: str, values: Tensor) -> t.Fields:
    mean, deviation = t.mean_and_deviation(values)
    low, high = torch.aminmax(values)
    prefix = "" if name == "output" else "target_"
    return {f"{name}_mean": mean, f"{name}_deviation": deviation, f"{prefix}low": low, f"{prefix}high": high}


def _row_sums(z: Tensor) -> t.Fields:
    """Sums over the classes, which are 1 for probabilities, and of the exponentials, 1 for log-probabilities."""
    if z.dim() < 2 or z.shape[1] < 2:
        return {}
    mean, deviation = t.mean_and_deviation(z.sum(1))
    exponentials = t.Scaled(torch.exp(z).sum(), z.shape[1] / z.numel())
    return {"row_sum": mean, "row_sum_deviation": deviation, "row_exp_sum": exponentials}


def last_activation(node: Node | None, known: Mapping[Node, str]) -> t.Fields:
    """The activation that was applied last before a node's tensor: its kind, place and, for a softmax, its axis; and
    the kind of the one right below it.

    Operations that only change the shape are skipped.

    Args:
        node: the node of the tensor.
        known: places by the nodes of their outputs.

    >>> z = torch.zeros(4, 3, requires_grad=True)
    >>> found = last_activation(z.softmax(0).view(12).grad_fn, {})
    >>> found["activation"], found["axis"], found["axis_size"]
    ('softmax', 0, 4)
    """
    while node is not None:
        word = operation(node)
        if kind := activation_of_operation(word):
            shape = shape_of(node)
            axis = axis_of(node, len(shape))
            size = shape[axis] if axis is not None else 0
            below = last_activation(node.next_functions[0][0], known) if node.next_functions else {}
            return {
                "activation": kind,
                "activation_place": known.get(node, ""),
                "activated_before": below.get("activation", ""),
                "axis": axis,
                "axis_size": size,
            }
        if word not in RESHAPES or not node.next_functions:
            break
        node = node.next_functions[0][0]
    return {}


def under_loss(nodes: Sequence[Node], kind: str) -> Node | None:
    """The node of the tensor that a loss function got as outputs; None where the loss is not one of PyTorch's.

    Args:
        nodes: the nodes from the loss back to the output of the model.
        kind: the class of the loss; "" unknown.

    >>> z = torch.zeros(4, 3, requires_grad=True)
    >>> loss = torch.nn.functional.cross_entropy(z.softmax(1), torch.zeros(4, dtype=torch.int64))
    >>> from .graph import path_to
    >>> operation(under_loss(path_to(loss, {}).nodes, "CrossEntropyLoss"))
    'softmax'
    """
    node = next((node for node in nodes if operation(node) in _LOSSES), None)
    if node is None:
        return None
    below = node.next_functions[0][0]
    is_cross_entropy = operation(node).startswith("nllloss") and kind != "NLLLoss"
    while is_cross_entropy and below is not None and operation(below) in RESHAPES:
        below = below.next_functions[0][0]
    if is_cross_entropy and below is not None and operation(below) == "logsoftmax":
        below = below.next_functions[0][0]
    return below
