"""Small recipes in a file of their own, so that other processes can import them."""

from __future__ import annotations

import torch
from torch import nn

import thalweg

CENTRES = torch.tensor([[0.0, 3.0], [3.0, 0.0], [-3.0, -3.0]])


def rows(scale=1.0):
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(3, (240,), generator=generator)
    x = scale * (CENTRES[y] + torch.randn(240, 2, generator=generator))
    return (x[:160], y[:160]), (x[160:], y[160:])


def model():
    return nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 3))


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.02)


def far_too_slow(parameters):
    return torch.optim.SGD(parameters, lr=1e-4)


healthy = thalweg.Recipe(model=model, data=rows, loss=nn.CrossEntropyLoss(), optimizer=adam, epochs=5)
slow = thalweg.Recipe(model=model, data=rows, loss=nn.CrossEntropyLoss, optimizer=far_too_slow, epochs=5)
recipe = slow
