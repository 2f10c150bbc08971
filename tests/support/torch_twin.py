"""A network of dense layers and activations once more in PyTorch: an oracle for whole steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


class Twin:
    """The same weights in PyTorch, in float64; `deltas` are dL/d(output) of each layer after `survey`."""

    def __init__(self, network: Any, params: Any) -> None:
        self.torch = torch = pytest.importorskip(
            "torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it"
        )
        activations = {
            "relu": torch.relu,
            "tanh": torch.tanh,
            "sigmoid": torch.sigmoid,
            "gelu": torch.nn.functional.gelu,
        }
        self.layers: list[Any] = []
        self.weights: list[Any] = []
        for layer, own in zip(network.layers, params, strict=True):
            if layer.kind == "dense":
                pair = [torch.tensor(np.asarray(array, dtype=float), requires_grad=True) for array in own]
                self.weights += pair
                self.layers.append(lambda x, pair=pair: x @ pair[0] + pair[1])
            elif layer.kind == "leaky_relu":
                self.layers.append(lambda x, alpha=layer.alpha: torch.nn.functional.leaky_relu(x, alpha))
            elif layer.kind in activations:
                self.layers.append(activations[layer.kind])

    def survey(self, batch: Any) -> float:
        """The mean cross-entropy of a batch by its weights; leaves gradients and deltas."""
        torch = self.torch
        for weight in self.weights:
            weight.grad = None
        outputs, z = [], torch.tensor(np.asarray(batch.x, dtype=float))
        for layer in self.layers:
            z = layer(z)
            z.retain_grad()
            outputs.append(z)
        y, weight = (
            torch.tensor(np.asarray(batch.y, dtype=np.int64)),
            torch.tensor(np.asarray(batch.weight, dtype=float)),
        )
        loss = (weight * torch.nn.functional.cross_entropy(z, y, reduction="none")).sum() / weight.sum()
        loss.backward()
        self.deltas = [output.grad.numpy() for output in outputs]
        return float(loss.detach())

    @property
    def grads(self) -> list[np.ndarray]:
        """The gradients of W and b, layer by layer."""
        return [weight.grad.numpy() for weight in self.weights]

    @property
    def values(self) -> list[np.ndarray]:
        """W and b, layer by layer."""
        return [weight.detach().numpy() for weight in self.weights]
