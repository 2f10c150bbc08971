"""Reading autograd's graph: which operations stand between two tensors, and what a loss depends on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from torch import Tensor
from torch.autograd.graph import Node

# No more nodes are visited between two modules.
_MOST_NODES = 2000
_MOST_NAMES = 24
# Operations that leave the numbers as they are.
RESHAPES = frozenset(
    {"view", "unsafeview", "reshape", "reshapealias", "squeeze", "unsqueeze", "transpose", "permute", "t", "clone",
     "contiguous", "tocopy", "flatten", "alias", "expand", "viewas"}
)  # fmt: skip


def operation(node: Node) -> str:
    """The name of a node's operation in lower case without "Backward".

    >>> import torch
    >>> operation(torch.ones(2, requires_grad=True).relu().grad_fn)
    'relu'
    """
    return _word(node.name())


@cache
def _word(name: str) -> str:
    return re.sub(r"Backward\d*$", "", name).rpartition("::")[2].lower()


class Path(NamedTuple):
    """What lies between a tensor and the tensors that it was computed from."""

    operations: tuple[str, ...]
    """Names of the operations, from the tensor back."""
    follows: tuple[str, ...]
    """The places of the tensors that it was computed from."""
    nodes: tuple[Node, ...]
    """The nodes of the operations."""


def path_to(tensor: Tensor, known: Mapping[Node, str]) -> Path:
    """The operations from a tensor back to the nearest tensors of known places.

    Args:
        tensor: the tensor.
        known: places by the nodes of their outputs.
    """
    return path_from(tensor.grad_fn, known)


def path_from(start: Node | None, known: Mapping[Node, str]) -> Path:
    """The same from the node of a tensor."""
    if start is not None and start in known:
        return Path((), (known[start],), ())
    nodes: list[Node] = []
    follows: dict[str, None] = {}
    for node in _walk(start, known):
        if node in known:
            follows[known[node]] = None
        elif operation(node) != "accumulategrad":
            nodes.append(node)
    return Path(tuple(map(operation, nodes[:_MOST_NAMES])), tuple(follows), tuple(nodes))


def leaves(tensor: Tensor) -> tuple[Tensor, ...]:
    """The tensors that a tensor was computed from and that backward gives a gradient; the tensor itself if it is one.

    >>> import torch
    >>> start = torch.ones(2, requires_grad=True)
    >>> [leaf is start for leaf in leaves(start * 2)], leaves(torch.ones(2))
    ([True], ())
    """
    if tensor.is_leaf:
        return (tensor,) if tensor.requires_grad else ()
    ends = (getattr(node, "variable", None) for node in _walk(tensor.grad_fn, {}))
    return tuple(end for end in ends if isinstance(end, Tensor))


def _walk(start: Node | None, known: Mapping[Node, str]) -> Iterator[Node]:
    """The nodes from `start` back, breadth first, each once; known ones end the way."""
    level = [start] if start is not None else []
    seen = set(level)
    visited = 0
    while level and visited < _MOST_NODES:
        following: list[Node] = []
        for node in level:
            visited += 1
            yield node
            if node in known:
                continue
            for inner, _ in node.next_functions:
                if inner is not None and inner not in seen:
                    seen.add(inner)
                    following.append(inner)
        level = following


def shape_of(node: Node) -> tuple[int, ...]:
    """The shape of the first tensor that a node has made; () if unknown."""
    return next((tuple(data.shape) for data in getattr(node, "_input_metadata", ())), ())


def axis_of(node: Node, axes: int) -> int | None:
    """The axis of a softmax over a tensor with `axes` axes, counted from 0; None for other operations."""
    axis = getattr(node, "_saved_dim", None)
    if not isinstance(axis, int) or not axes:
        return None
    # Autograd saves a negative axis as an unsigned number.
    return (axis - 2**64 if axis > 2**63 else axis) % axes
