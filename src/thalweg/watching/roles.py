"""What PyTorch's modules, losses and autograd operations do, by the names of their classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .facts import LossTakes, Role, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

_ROLES: dict[str, Role] = {
    "Linear": "dense",
    "Bilinear": "dense",
    "_ConvNd": "conv",
    "RNNBase": "recurrent",
    "RNNCellBase": "recurrent",
    "MultiheadAttention": "attention",
    "Embedding": "embedding",
    "EmbeddingBag": "embedding",
    "_NormBase": "norm",
    "LayerNorm": "norm",
    "GroupNorm": "norm",
    "RMSNorm": "norm",
    "LocalResponseNorm": "norm",
    "Softmax": "softmax",
    "LogSoftmax": "softmax",
    "Softmax2d": "softmax",
    "_DropoutNd": "dropout",
    "_MaxPoolNd": "pooling",
    "_AvgPoolNd": "pooling",
    "_AdaptiveAvgPoolNd": "pooling",
    "_AdaptiveMaxPoolNd": "pooling",
}
_ACTIVATIONS = "torch.nn.modules.activation"
_KINDS = {
    "LeakyReLU": "leaky_relu",
    "LogSigmoid": "log_sigmoid",
    "LogSoftmax": "log_softmax",
    "Softmax2d": "softmax",
}
# Autograd's names of operations, in lower case without "Backward".
_OPERATIONS = {
    "relu": "relu",
    "leakyrelu": "leaky_relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "elu": "elu",
    "gelu": "gelu",
    "silu": "silu",
    "softplus": "softplus",
    "hardtanh": "hardtanh",
    "hardsigmoid": "hardsigmoid",
    "logsigmoid": "log_sigmoid",
    "softmax": "softmax",
    "logsoftmax": "log_softmax",
}

LINEAR_OPERATIONS = frozenset(
    {"view", "unsafeview", "reshape", "reshapealias", "clone", "contiguous", "alias", "t", "transpose", "permute",
     "select", "slice", "squeeze", "unsqueeze", "expand", "add", "sub", "neg", "mean", "sum", "cat", "stack", "split",
     "unbind", "index", "copy", "tocopy", "mm", "addmm", "bmm", "narrow", "flatten"}
)  # fmt: skip
"""Autograd's operations that keep a map linear, or only move its numbers."""


class Slope(NamedTuple):
    """The slope of an activation as a function of its output y."""

    of_output: Callable[[Tensor], Tensor]
    steepest: float
    saturates: bool = False
    """Whether the slope goes to 0 at both ends of a bounded range."""
    can_die: bool = False
    """Whether the slope is exactly 0 for all inputs on one side."""


SLOPES = {
    "relu": Slope(lambda y: (y > 0).to(y.dtype), 1.0, can_die=True),
    "relu6": Slope(lambda y: ((y > 0) & (y < 6)).to(y.dtype), 1.0, can_die=True),
    "hardtanh": Slope(lambda y: ((y > -1) & (y < 1)).to(y.dtype), 1.0, saturates=True, can_die=True),
    "hardsigmoid": Slope(lambda y: ((y > 0) & (y < 1)).to(y.dtype) / 6, 1 / 6, saturates=True, can_die=True),
    "tanh": Slope(lambda y: 1 - y * y, 1.0, saturates=True),
    "sigmoid": Slope(lambda y: y * (1 - y), 0.25, saturates=True),
    "softmax": Slope(lambda y: y * (1 - y), 0.25, saturates=True),
}
"""The activations whose slope follows from their output, so that those that work in place are seen too."""

RANGES: dict[str, tuple[float, float]] = {
    "relu": (0.0, float("inf")),
    "relu6": (0.0, 6.0),
    "hardtanh": (-1.0, 1.0),
    "tanh": (-1.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "log_softmax": (-float("inf"), 0.0),
    "log_sigmoid": (-float("inf"), 0.0),
    "softplus": (0.0, float("inf")),
    "softsign": (-1.0, 1.0),
    "elu": (-1.0, float("inf")),
}
"""Smallest and largest possible output of activations with a bound."""


def role_of(module: nn.Module) -> Role:
    """What a module does; "other" for a class that is not PyTorch's, and not derived from one."""
    kind: object = type(module)
    if kind not in _KNOWN:
        _KNOWN[kind] = _role_of(type(module))
    return _KNOWN[kind]


_KNOWN: dict[object, Role] = {}


def _role_of(kind: type[nn.Module]) -> Role:
    for base in kind.__mro__:
        if base.__module__.startswith("torch.nn.modules"):
            if base.__name__ in _ROLES:
                return _ROLES[base.__name__]
            if base.__module__ == _ACTIVATIONS:
                return "activation"
    return "other"


def activation_of(module: nn.Module) -> str:
    """The kind of an activation module or a softmax; empty for others."""
    if role_of(module) not in ("activation", "softmax"):
        return ""
    name = next(base.__name__ for base in type(module).__mro__ if base.__module__ == _ACTIVATIONS)
    return _KINDS.get(name, name.lower())


def activation_of_operation(operation: str) -> str:
    """The kind of activation that an autograd operation is; empty for others."""
    return _OPERATIONS.get(operation, "")


class LossMeaning(NamedTuple):
    """What a loss of PyTorch is made for."""

    takes: LossTakes
    task: Task
    elementwise: bool
    """Whether it compares outputs and targets of equal shape, number by number."""


LOSSES = {
    "CrossEntropyLoss": LossMeaning("logits", "classification", False),
    "NLLLoss": LossMeaning("log_probabilities", "classification", False),
    "NLLLoss2d": LossMeaning("log_probabilities", "classification", False),
    "MultiMarginLoss": LossMeaning("values", "classification", False),
    "BCEWithLogitsLoss": LossMeaning("logits", "multilabel", True),
    "BCELoss": LossMeaning("probabilities", "multilabel", True),
    "MultiLabelSoftMarginLoss": LossMeaning("logits", "multilabel", True),
    "KLDivLoss": LossMeaning("log_probabilities", "", True),
    "MSELoss": LossMeaning("values", "regression", True),
    "L1Loss": LossMeaning("values", "regression", True),
    "SmoothL1Loss": LossMeaning("values", "regression", True),
    "HuberLoss": LossMeaning("values", "regression", True),
    "PoissonNLLLoss": LossMeaning("", "regression", True),
    "GaussianNLLLoss": LossMeaning("", "regression", True),
}
"""PyTorch's losses by the names of their classes."""
FUNCTIONS = {
    "cross_entropy": "CrossEntropyLoss",
    "nll_loss": "NLLLoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "binary_cross_entropy": "BCELoss",
    "multi_margin_loss": "MultiMarginLoss",
    "mse_loss": "MSELoss",
    "l1_loss": "L1Loss",
    "smooth_l1_loss": "SmoothL1Loss",
    "huber_loss": "HuberLoss",
    "kl_div": "KLDivLoss",
    "poisson_nll_loss": "PoissonNLLLoss",
    "gaussian_nll_loss": "GaussianNLLLoss",
}
"""The same losses by the names of their functions in `torch.nn.functional`."""


def loss_kind(loss: object) -> str:
    """The class of a loss module of PyTorch, or the class that a function of PyTorch stands for; empty for others.

    >>> loss_kind(print)
    ''
    """
    for base in type(loss).__mro__:
        if base.__name__ in LOSSES and base.__module__.startswith("torch.nn.modules"):
            return base.__name__
    if getattr(loss, "__module__", "") in ("torch.nn.functional", "torch._C._nn"):
        return FUNCTIONS.get(getattr(loss, "__name__", ""), "")
    return ""
