"""The weights and biases of one layer in a tree of a whole network."""

from __future__ import annotations

from ..core.arrays import Tree
from ..parts.layers import Affine


def affine_at(tree: Tree, layer: int = 0) -> Affine:
    """W and b of a dense layer in parameters, gradients or updates, which have an entry for each layer."""
    entry = tree[layer]
    assert isinstance(entry, Affine)
    return entry
