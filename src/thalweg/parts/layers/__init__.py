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
from .dropout import Dropout, GaussianNoise
from .features import Centres, PolynomialFeatures, Products, Radial
from .norm import BatchNorm, LayerNorm, RunningMoments, Scale
from .residual import Branch, Residual
from .shape import Flatten

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "Affine",
    "BatchNorm",
    "Branch",
    "Centres",
    "Dense",
    "Dropout",
    "Exponential",
    "Flatten",
    "GaussianNoise",
    "Identity",
    "LayerNorm",
    "LeakyReLU",
    "PolynomialFeatures",
    "Products",
    "Radial",
    "ReLU",
    "Residual",
    "RunningMoments",
    "Scale",
    "Sigmoid",
    "Sign",
    "Softmax",
    "Softplus",
    "Step",
    "Swish",
    "Tanh",
]
