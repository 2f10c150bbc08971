"""Layers: each with its forward pass and its derivative side by side."""

from .activations import (
    ELU,
    GELU,
    SELU,
    Activation,
    Exponential,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    Sign,
    Softmax,
    Softplus,
    Step,
    Swish,
    Tanh,
)
from .dense import Affine, Dense

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "Affine",
    "Dense",
    "Exponential",
    "Identity",
    "LeakyReLU",
    "ReLU",
    "Sigmoid",
    "Sign",
    "Softmax",
    "Softplus",
    "Step",
    "Swish",
    "Tanh",
]
