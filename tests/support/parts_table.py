"""One table of all parts with their independent oracles. A new part is tested by entering it here.

An oracle is built lazily: PyTorch and Optax are imported only by the tests that ask them.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from thalweg import clipping, layers, losses, optimizers, schedules
from thalweg import initializers as init
from thalweg.data import Order, orders
from thalweg.parts.clipping import Clipping
from thalweg.parts.part import Initializer, Layer, Loss, Optimizer, Schedule


def name_of(entry: Any) -> str:
    """A short name for pytest: the kind and the options that are not plain."""
    table = {name: value for name, value in entry.part.describe().items() if name != "kind"}
    options = "-".join(str(value) for value in table.values() if isinstance(value, int | float | str))
    return f"{entry.part.kind}-{options}".rstrip("-")


# Layers ---------------------------------------------------------------------------------------------------------------


class LayerEntry(NamedTuple):
    part: Layer
    torch: Callable[[Any, Any], Any]
    """(torch, z) -> the layer's output for the tensor z."""
    kink: bool = False
    """Whether the derivative jumps at 0, so that finite differences must keep away from it."""
    largest: float = 1000.0
    """The largest argument whose value float64 can hold."""
    initializer: Initializer | None = None
    """The initializer that suits the weights before the layer; None: no special one."""


def _activation(name: str, **options: Any) -> Callable[[Any, Any], Any]:
    return lambda torch, z: getattr(torch.nn.functional, name)(z, **options)


LAYERS = [
    LayerEntry(layers.Identity(), lambda torch, z: z),
    LayerEntry(layers.Step(), lambda torch, z: torch.heaviside(z.detach(), torch.ones_like(z)), kink=True),
    LayerEntry(layers.Sign(), lambda torch, z: torch.sign(z), kink=True),
    LayerEntry(layers.Sigmoid(), lambda torch, z: torch.sigmoid(z)),
    LayerEntry(layers.Tanh(), lambda torch, z: torch.tanh(z)),
    LayerEntry(layers.ReLU(), _activation("relu"), kink=True, initializer=init.HeNormal()),
    LayerEntry(layers.LeakyReLU(), _activation("leaky_relu"), kink=True, initializer=init.HeNormal(0.01)),
    LayerEntry(
        layers.LeakyReLU(0.2), _activation("leaky_relu", negative_slope=0.2), kink=True, initializer=init.HeNormal(0.2)
    ),
    LayerEntry(
        layers.LeakyReLU(-0.5),
        _activation("leaky_relu", negative_slope=-0.5),
        kink=True,
        initializer=init.HeNormal(-0.5),
    ),
    LayerEntry(layers.ELU(), _activation("elu"), initializer=init.HeNormal()),
    LayerEntry(layers.ELU(0.3), _activation("elu", alpha=0.3), kink=True, initializer=init.HeNormal()),
    LayerEntry(layers.SELU(), _activation("selu"), kink=True, initializer=init.LeCunNormal()),
    LayerEntry(layers.GELU(), _activation("gelu"), initializer=init.HeNormal()),
    LayerEntry(layers.GELU(tanh=True), _activation("gelu", approximate="tanh"), initializer=init.HeNormal()),
    # exp(1000) is above the largest float64; the function itself overflows there.
    LayerEntry(layers.Exponential(), lambda torch, z: torch.exp(z), largest=700.0),
    LayerEntry(layers.Softplus(), _activation("softplus", threshold=1e6), initializer=init.HeNormal()),
    LayerEntry(layers.Swish(), _activation("silu"), initializer=init.HeNormal()),
    LayerEntry(layers.Swish(-0.5), lambda torch, z: z * torch.sigmoid(-0.5 * z), initializer=init.HeNormal()),
    LayerEntry(layers.Swish(1.7), lambda torch, z: z * torch.sigmoid(1.7 * z), initializer=init.HeNormal()),
    LayerEntry(layers.SmoothClip(), lambda torch, z: z / torch.sqrt(1 + (z / 3) ** 2)),
    LayerEntry(layers.SmoothClip(0.5), lambda torch, z: z / torch.sqrt(1 + (z / 0.5) ** 2)),
    LayerEntry(layers.Softmax(), _activation("softmax", dim=-1)),
]
"""All activations."""

DENSE = layers.Dense(3, init=init.GlorotUniform(), bias_init=init.Constant(0.1))
BIAS_FREE = layers.Dense(3, init=init.GlorotUniform(), bias=False)


class BlockEntry(NamedTuple):
    part: Layer
    torch: Callable[[Any, Any, Any, Any, bool], Any] | None = None
    """(torch, params, state, x, training) -> the layer's output; None where it draws random numbers."""
    random: bool = False
    drop_rate: float = 0.0
    transparent: bool = False
    """Whether the layer after it decides which initializer suits the weights before it."""
    shape: tuple[int, ...] = (4,)
    """The shape of a sample."""


def _batch_norm(torch: Any, params: Any, state: Any, x: Any, training: bool, epsilon: float = 1e-5) -> Any:
    # A running mean and variance that are given would be written to.
    running = (None, None) if training else state
    return torch.nn.functional.batch_norm(x, *running, *params, training, eps=epsilon)


def _residual(torch: Any, params: Any, state: Any, x: Any, training: bool) -> Any:
    (first, scale, _, inner, _), P = params
    z = torch.tanh(_batch_norm(torch, scale, state[1], x @ first.W + first.b, training))
    (last,), _ = inner
    return z + z @ last.W + last.b + x @ P


def _monomials(
    torch: Any, params: Any, state: Any, x: Any, training: bool, degrees: tuple[int, ...], powers: bool = True
) -> Any:
    chosen = itertools.combinations_with_replacement if powers else itertools.combinations
    columns = [c for degree in degrees for c in chosen(range(x.shape[1]), degree)]
    return torch.stack([x[:, c].prod(dim=1) for c in map(list, columns)], dim=1)


def _features(torch: Any, params: Any, state: Any, x: Any, training: bool) -> Any:
    a, b, c, _ = x.T
    return torch.stack([b, a**2, a * b**3, torch.sin(c), torch.cos(a * c)], dim=1)


def _radial(torch: Any, params: Any, state: Any, x: Any, training: bool, width: float) -> Any:
    return torch.exp(-((torch.cdist(x, state[0]) / width) ** 2) / 2)


def _periodic(torch: Any, params: Any, state: Any, x: Any, training: bool, columns: tuple[int, ...]) -> Any:
    chosen = x[:, list(columns)]
    waves = torch.cos(torch.einsum("nj,jl->njl", chosen, params.w) + params.p)
    embedded = torch.einsum("njl,jlk->njk", waves, params.A) + params.b
    return torch.cat([x, embedded.flatten(1)], dim=1)


def _embedding(
    torch: Any, params: Any, state: Any, x: Any, training: bool, columns: tuple[int, ...], sizes: tuple[int, ...]
) -> Any:
    # PyTorch rounds halves to even; the numbers of the tests are none.
    codes = [torch.round(x[:, j]).clamp(0, size - 1).long() for j, size in zip(columns, sizes, strict=True)]
    tables = torch.split(params.E, sizes)
    vectors = [torch.nn.functional.embedding(code, table) for code, table in zip(codes, tables, strict=True)]
    others = [j for j in range(x.shape[1]) if j not in columns]
    return torch.cat([x[:, others], *vectors], dim=1)


def _one_hot(
    torch: Any, params: Any, state: Any, x: Any, training: bool, columns: tuple[int, ...], sizes: tuple[int, ...]
) -> Any:
    codes = [torch.round(x[:, j]) for j in columns]
    known = [torch.where((code > 0) & (code < size), code, 0).long() for code, size in zip(codes, sizes, strict=True)]
    ones = [torch.nn.functional.one_hot(code, size)[:, 1:] for code, size in zip(known, sizes, strict=True)]
    others = [j for j in range(x.shape[1]) if j not in columns]
    return torch.cat([x[:, others], *ones], dim=1)


def _member_dense(torch: Any, params: Any, state: Any, x: Any, training: bool) -> Any:
    parts = x.chunk(len(params.W), dim=1)
    return torch.cat([part @ W + b for part, W, b in zip(parts, *params, strict=True)], dim=1)


def _first(x: Any) -> Any:
    """Pictures with the channels first, as PyTorch takes them."""
    return x.permute(0, 3, 1, 2)


def _last(x: Any) -> Any:
    return x.permute(0, 2, 3, 1)


def _conv2d(torch: Any, params: Any, state: Any, x: Any, training: bool, **options: Any) -> Any:
    bias = params.b if len(params) > 1 else None
    return _last(torch.nn.functional.conv2d(_first(x), params.W.permute(3, 2, 0, 1), bias, **options))


def _pool(name: str, *arguments: int) -> Callable[[Any, Any, Any, Any, bool], Any]:
    return lambda torch, params, state, x, training: _last(getattr(torch.nn.functional, name)(_first(x), *arguments))


def _picture_norm(torch: Any, params: Any, state: Any, x: Any, training: bool) -> Any:
    return _last(_batch_norm(torch, params, state, _first(x), training))


def _picture_block(torch: Any, params: Any, state: Any, x: Any, training: bool) -> Any:
    (first, scale, _), P = params
    z = _picture_norm(torch, scale, state[1], _conv2d(torch, first, (), x, training, stride=2, padding=1), training)
    return torch.tanh(z) + _last(torch.nn.functional.conv2d(_first(x), P.T[:, :, None, None], stride=2))


PICTURE = (5, 4, 2)
PICTURE_BLOCKS = [
    BlockEntry(layers.Conv2d(3, 2), _conv2d, shape=PICTURE),
    BlockEntry(
        layers.Conv2d(2, 3, stride=2, padding=1, bias=False),
        functools.partial(_conv2d, stride=2, padding=1),
        shape=PICTURE,
    ),
    BlockEntry(
        layers.Conv2d(4, 3, stride=3, padding=2, groups=2),
        functools.partial(_conv2d, stride=3, padding=2, groups=2),
        shape=PICTURE,
    ),
    BlockEntry(layers.Conv2d(3, 1, stride=2), functools.partial(_conv2d, stride=2), shape=PICTURE),
    BlockEntry(layers.MaxPool2d(2), _pool("max_pool2d", 2), transparent=True, shape=PICTURE),
    BlockEntry(layers.MaxPool2d(3, stride=1), _pool("max_pool2d", 3, 1), transparent=True, shape=PICTURE),
    BlockEntry(layers.AveragePool2d(2), _pool("avg_pool2d", 2), transparent=True, shape=PICTURE),
    BlockEntry(layers.AveragePool2d(3, stride=2), _pool("avg_pool2d", 3, 2), transparent=True, shape=PICTURE),
    BlockEntry(
        layers.GlobalAveragePool(),
        lambda torch, params, state, x, training: x.mean((1, 2)),
        transparent=True,
        shape=PICTURE,
    ),
    BlockEntry(layers.BatchNorm(), _picture_norm, transparent=True, shape=PICTURE),
    BlockEntry(layers.Residual(["conv2d 3 3 2 1", "batch_norm", "tanh"]), _picture_block, shape=PICTURE),
    BlockEntry(
        layers.Residual(["conv2d 2 3 1 1"]),
        lambda torch, params, state, x, training: _conv2d(torch, params.layers[0], (), x, training, padding=1) + x,
        shape=PICTURE,
    ),
    BlockEntry(layers.RandomTranslation(1), random=True, transparent=True, shape=PICTURE),
    BlockEntry(layers.RandomRotation(40.0), random=True, transparent=True, shape=PICTURE),
    BlockEntry(layers.ElasticTransform(9.0, 1.5), random=True, transparent=True, shape=PICTURE),
    BlockEntry(layers.RandomFlip(), random=True, transparent=True, shape=PICTURE),
    BlockEntry(layers.RandomFlip("vertical"), random=True, transparent=True, shape=PICTURE),
    BlockEntry(layers.RandomErasing(2, 0.8), random=True, transparent=True, shape=PICTURE),
    BlockEntry(
        layers.Reshape(2, 1, 2),
        lambda torch, params, state, x, training: torch.unflatten(x, 1, (2, 1, 2)),
        transparent=True,
    ),
]
"""Layers of pictures, and `Reshape`, which makes them."""

BLOCKS = [
    *PICTURE_BLOCKS,
    BlockEntry(DENSE, lambda torch, params, state, x, training: torch.nn.functional.linear(x, params.W.T, params.b)),
    BlockEntry(BIAS_FREE, lambda torch, params, state, x, training: torch.nn.functional.linear(x, params.W.T)),
    BlockEntry(layers.Dropout(0.4), random=True, drop_rate=0.4, transparent=True),
    BlockEntry(layers.GaussianNoise(0.3), random=True, transparent=True),
    BlockEntry(layers.BatchNorm(), _batch_norm, transparent=True),
    BlockEntry(layers.BatchNorm(0.5, epsilon=0.1), functools.partial(_batch_norm, epsilon=0.1), transparent=True),
    BlockEntry(
        layers.LayerNorm(0.01),
        lambda torch, params, state, x, training: torch.nn.functional.layer_norm(x, x.shape[1:], *params, eps=0.01),
        transparent=True,
    ),
    BlockEntry(layers.Flatten(), lambda torch, params, state, x, training: torch.flatten(x, 1), transparent=True),
    BlockEntry(layers.Residual(["tanh"]), lambda torch, params, state, x, training: torch.tanh(x) + x),
    # Another width, a block in the block, and a state inside.
    BlockEntry(
        layers.Residual(["dense 3", "batch_norm", "tanh", {"kind": "residual", "layers": ["dense 3"]}, "identity"]),
        _residual,
    ),
    BlockEntry(layers.Residual(["dense 4", "layer_norm", "dropout 0.3", "gelu"])),
    BlockEntry(layers.Products(), functools.partial(_monomials, degrees=(1, 2), powers=False)),
    BlockEntry(layers.PolynomialFeatures(1), functools.partial(_monomials, degrees=(1,))),
    BlockEntry(layers.PolynomialFeatures(3), functools.partial(_monomials, degrees=(1, 2, 3))),
    BlockEntry(layers.Features(["x2", "x1^2", "x1*x2^3", "sin x3", "cos x1*x3"]), _features),
    BlockEntry(
        layers.Scaling(init.Normal(1.0)), lambda torch, params, state, x, training: x * params.s, transparent=True
    ),
    BlockEntry(layers.Periodic(2, 3, 0.5), functools.partial(_periodic, columns=(0, 1, 2, 3))),
    BlockEntry(layers.Periodic(3, 2, columns=(2, 0)), functools.partial(_periodic, columns=(2, 0))),
    BlockEntry(
        layers.Embedding((3, 1), (2, 3), 3, init.Normal(1.0)),
        functools.partial(_embedding, columns=(3, 1), sizes=(2, 3)),
    ),
    BlockEntry(
        layers.Embedding((0, 1, 2, 3), (2, 2, 4, 2), 1),
        functools.partial(_embedding, columns=(0, 1, 2, 3), sizes=(2, 2, 4, 2)),
    ),
    BlockEntry(layers.OneHot((3, 1), (3, 2)), functools.partial(_one_hot, columns=(3, 1), sizes=(3, 2))),
    BlockEntry(
        layers.OneHot((0, 1, 2, 3), (2, 4, 2, 2)), functools.partial(_one_hot, columns=(0, 1, 2, 3), sizes=(2, 4, 2, 2))
    ),
    BlockEntry(layers.Copies(3), lambda torch, params, state, x, training: torch.tile(x, (1, 3)), transparent=True),
    BlockEntry(layers.MemberDense(3, 2, bias_init=init.Constant(0.1)), _member_dense),
    BlockEntry(layers.Radial(3, 0.8), functools.partial(_radial, width=0.8)),
]
"""All layers that learn, keep a state, draw random numbers or change the shape of samples."""


# Losses ---------------------------------------------------------------------------------------------------------------


class LossEntry(NamedTuple):
    part: Loss
    torch: Callable[[Any, Any, Any], Any]
    """(torch, outputs, targets) -> the loss of each sample."""
    outputs: str = "real"
    """real; positive: rows above 0 of any sum; share: inside (0, 1)."""
    targets: str = "real"
    """real; classes: one-hot rows; labels: several of 0 or 1; counts: 0, 1, 2, ..."""
    takes: str = "values"
    """What the loss expects as outputs, as `Loss.takes` says it."""
    fuses: Layer | None = None
    """The output layer with which the loss becomes one on logits."""


def _mean(name: str, **options: Any) -> Callable[[Any, Any, Any], Any]:
    return lambda torch, y, t: getattr(torch.nn.functional, name)(y, t, reduction="none", **options).mean(-1)


def _sum(name: str) -> Callable[[Any, Any, Any], Any]:
    return lambda torch, y, t: getattr(torch.nn.functional, name)(y, t, reduction="none").sum(-1)


def _cross_entropy_of_shares(torch: Any, y: Any, t: Any) -> Any:
    # Keras: output / sum(output), then categorical_crossentropy.
    return -(t * torch.log(y / y.sum(-1, keepdim=True))).sum(-1)


def _smooth_cross_entropy_of_shares(torch: Any, y: Any, t: Any) -> Any:
    # The logarithms of shares are logits of them.
    return torch.nn.functional.cross_entropy(torch.log(y), t, reduction="none", label_smoothing=0.3)


def _smooth_labels(name: str) -> Callable[[Any, Any, Any], Any]:
    # PyTorch smooths classes alone: 1 becomes 0.85 and 0 becomes 0.15.
    return lambda torch, y, t: _sum(name)(torch, y, 0.85 * t + 0.15 * (1 - t))


def _half_poisson_deviance(torch: Any, y: Any, t: Any) -> Any:
    loss = torch.nn.functional.poisson_nll_loss(y, t, log_input=False, eps=0.0, reduction="none")
    return (loss + torch.special.xlogy(t, t) - t).sum(-1)


def _won_by(torch: Any, y: Any, t: Any) -> Any:
    if y.shape[-1] == 1:
        return torch.clamp((1 - 2 * t) * y, min=0).sum(-1)
    return y.amax(-1) - (y * t).sum(-1)


LOSSES = [
    LossEntry(losses.SquaredError(), lambda torch, y, t: ((y - t) ** 2).sum(-1) / 2),
    LossEntry(losses.MeanSquaredError(), _mean("mse_loss")),
    LossEntry(losses.MeanAbsoluteError(), _mean("l1_loss")),
    LossEntry(losses.Huber(), _mean("huber_loss")),
    LossEntry(losses.Huber(0.5), _mean("huber_loss", delta=0.5)),
    LossEntry(
        losses.SoftmaxCrossEntropy(),
        lambda torch, y, t: torch.nn.functional.cross_entropy(y, t, reduction="none"),
        targets="classes",
        takes="logits",
    ),
    LossEntry(
        losses.SoftmaxCrossEntropy(0.3),
        lambda torch, y, t: torch.nn.functional.cross_entropy(y, t, reduction="none", label_smoothing=0.3),
        targets="classes",
        takes="logits",
    ),
    LossEntry(
        losses.CrossEntropy(),
        _cross_entropy_of_shares,
        outputs="positive",
        targets="classes",
        takes="probabilities",
        fuses=layers.Softmax(),
    ),
    LossEntry(
        losses.CrossEntropy(0.3),
        _smooth_cross_entropy_of_shares,
        outputs="positive",
        targets="classes",
        takes="probabilities",
        fuses=layers.Softmax(),
    ),
    LossEntry(
        losses.SigmoidBinaryCrossEntropy(), _sum("binary_cross_entropy_with_logits"), targets="labels", takes="logits"
    ),
    LossEntry(
        losses.SigmoidBinaryCrossEntropy(0.3),
        _smooth_labels("binary_cross_entropy_with_logits"),
        targets="labels",
        takes="logits",
    ),
    LossEntry(
        losses.BinaryCrossEntropy(),
        _sum("binary_cross_entropy"),
        outputs="share",
        targets="labels",
        takes="probabilities",
        fuses=layers.Sigmoid(),
    ),
    LossEntry(
        losses.BinaryCrossEntropy(0.3),
        _smooth_labels("binary_cross_entropy"),
        outputs="share",
        targets="labels",
        takes="probabilities",
        fuses=layers.Sigmoid(),
    ),
    # sum max(0, 1 - s y) with s = 2 t - 1; PyTorch's hinge_embedding_loss is another function.
    LossEntry(
        losses.Hinge(),
        lambda torch, y, t: torch.clamp(1 - (2 * t - 1) * y, min=0).sum(-1),
        targets="labels",
        takes="scores",
    ),
    # What the winner has more than the right class; scikit-learn's and PyTorch's perceptron have no such function.
    LossEntry(losses.PerceptronLoss(), lambda torch, y, t: _won_by(torch, y, t), targets="classes", takes="scores"),
    LossEntry(
        losses.PerceptronLoss(step_at_zero=1),
        lambda torch, y, t: _won_by(torch, y, t),
        targets="classes",
        takes="scores",
    ),
    LossEntry(
        losses.PerceptronLoss("-1/1"), lambda torch, y, t: 2 * _won_by(torch, y, t), targets="classes", takes="scores"
    ),
    LossEntry(
        losses.LeastMeanSquares(), lambda torch, y, t: ((y - t) ** 2).sum(-1) / 2, targets="labels", takes="scores"
    ),
    LossEntry(
        losses.LeastMeanSquares("-1/1"),
        lambda torch, y, t: ((y - 2 * t + 1) ** 2).sum(-1) / 2,
        targets="labels",
        takes="scores",
    ),
    LossEntry(losses.HalfMeanSquaredError(), lambda torch, y, t: ((y - t) ** 2).mean(-1) / 2),
    # Several members have outputs of another width than the targets: tests/parts/test_losses.py.
    LossEntry(losses.MemberLoss(1, losses.MeanSquaredError()), _mean("mse_loss")),
    LossEntry(losses.Poisson(), _half_poisson_deviance, outputs="positive", targets="counts"),
]


def outputs_and_targets(
    entry: LossEntry, rng: np.random.Generator, n: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Random outputs and targets in the domain of the loss."""
    outputs = {
        "real": lambda: rng.normal(size=(n, width)),
        "positive": lambda: rng.uniform(0.1, 2.0, (n, width)),
        "share": lambda: rng.uniform(0.05, 0.95, (n, width)),
    }[entry.outputs]()
    targets = {
        "real": lambda: rng.normal(size=(n, width)),
        "classes": lambda: np.eye(width)[rng.integers(width, size=n)],
        "counts": lambda: rng.poisson(1.5, (n, width)).astype(float),
        "labels": lambda: rng.integers(2, size=(n, width)).astype(float),
    }[entry.targets]()
    return outputs, targets


# Optimizers -----------------------------------------------------------------------------------------------------------


class OptimizerEntry(NamedTuple):
    part: Optimizer
    optax: Callable[[Any, Any], Any] | None = None
    """(optax, rate) -> a transformation, rate a number or optax's schedule; None where Optax differs on purpose."""
    torch: Callable[[Any, Any], Any] | None = None
    """(torch, params) -> an optimizer, whose rate the test sets at each step; None where PyTorch differs on purpose."""


def _after_rate(momentum: float, nesterov: bool) -> Callable[[Any, Any], Any]:
    # The rate goes into the velocity, as in the textbook and Keras; optax.sgd and PyTorch apply it behind, which is the
    # same for a constant rate alone.
    return lambda optax, rate: optax.chain(optax.scale_by_learning_rate(rate), optax.trace(momentum, nesterov))


def _decays(params: Any) -> Any:
    import jax

    return jax.tree.map(lambda p: p.ndim > 1, params)


def _torch_adamw(torch: Any, params: list[Any]) -> Any:
    groups = [{"params": [p], "weight_decay": 0.1 if p.ndim > 1 else 0.0} for p in params]
    return torch.optim.AdamW(groups)


OPTIMIZERS = [
    OptimizerEntry(optimizers.SGD(0.1), lambda optax, rate: optax.sgd(rate), lambda torch, p: torch.optim.SGD(p)),
    OptimizerEntry(optimizers.SGD(schedules.Cosine(0.1, steps=15)), None, lambda torch, p: torch.optim.SGD(p)),
    OptimizerEntry(optimizers.GradientDescent(0.1), lambda optax, rate: optax.sgd(rate)),
    OptimizerEntry(optimizers.Momentum(0.05, 0.8), _after_rate(0.8, nesterov=False)),
    OptimizerEntry(optimizers.Nesterov(0.05, 0.8), _after_rate(0.8, nesterov=True)),
    # optax.adagrad puts epsilon inside of the root.
    OptimizerEntry(optimizers.Adagrad(0.1), None, lambda torch, p: torch.optim.Adagrad(p, eps=1e-10)),
    OptimizerEntry(
        optimizers.RMSProp(0.01, rho=0.8),
        lambda optax, rate: optax.rmsprop(rate, decay=0.8, eps=1e-8, eps_in_sqrt=False),
        lambda torch, p: torch.optim.RMSprop(p, alpha=0.8, eps=1e-8),
    ),
    OptimizerEntry(
        optimizers.Adadelta(0.7, rho=0.8),
        lambda optax, rate: optax.adadelta(rate, rho=0.8, eps=1e-6),
        lambda torch, p: torch.optim.Adadelta(p, rho=0.8, eps=1e-6),
    ),
    OptimizerEntry(optimizers.Adam(0.01), lambda optax, rate: optax.adam(rate), lambda torch, p: torch.optim.Adam(p)),
    OptimizerEntry(
        optimizers.AdamHat(0.01, 0.8, 0.9, epsilon=0.01),
        lambda optax, rate: optax.inject_hyperparams(optax.adam)(
            rate, 0.8, 0.9, eps=lambda t: 0.01 / (1 - 0.9 ** (t + 1.0)) ** 0.5
        ),
    ),
    OptimizerEntry(
        optimizers.AdamW(0.01, 0.8, 0.9, weight_decay=0.1),
        lambda optax, rate: optax.adamw(rate, 0.8, 0.9, weight_decay=0.1, mask=_decays),
    ),
    OptimizerEntry(optimizers.AdamW(0.01, weight_decay=0.1), None, _torch_adamw),
    # optax.amsgrad takes the largest of the corrected v, PyTorch (as ours) corrects the largest v.
    OptimizerEntry(
        optimizers.AMSGrad(0.01, 0.8, 0.9),
        None,
        lambda torch, p: torch.optim.Adam(p, betas=(0.8, 0.9), amsgrad=True),
    ),
    # PyTorch's NAdam warms its momentum up; optax.nadam keeps it constant as ours.
    OptimizerEntry(optimizers.Nadam(0.01), lambda optax, rate: optax.nadam(rate)),
]


# Schedules ------------------------------------------------------------------------------------------------------------


class ScheduleEntry(NamedTuple):
    part: Schedule
    oracle: Callable[[], Callable[[int], float]]
    """Builds step -> value, independently."""


SCHEDULE_STEPS = 60


def _optax(build: Callable[[Any], Any]) -> Callable[[], Callable[[int], float]]:
    def oracle() -> Callable[[int], float]:
        import jax
        import optax

        with jax.enable_x64(True):
            schedule = build(optax)
            values = [float(schedule(np.float64(t))) for t in range(SCHEDULE_STEPS)]
        return values.__getitem__

    return oracle


def _torch(build: Callable[[Any, Any], Any], rate: float = 1.0) -> Callable[[], Callable[[int], float]]:
    def oracle() -> Callable[[int], float]:
        import torch

        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
        schedule = build(torch.optim.lr_scheduler, optimizer)
        values = []
        for _ in range(SCHEDULE_STEPS):
            values.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            schedule.step()
        return values.__getitem__

    return oracle


def _formula(function: Callable[[int], float]) -> Callable[[], Callable[[int], float]]:
    return lambda: function


def _warm_cosine(t: int) -> float:
    return (t + 1) / 6 if t < 5 else 0.1 + 0.9 * (1 + math.cos(math.pi * min((t - 5) / 25, 1))) / 2


def _joined(optax: Any) -> Any:
    pieces = [optax.linear_schedule(0.5, 1.0, 10), optax.cosine_decay_schedule(1.0, 20), optax.constant_schedule(0.01)]
    return optax.join_schedules(pieces, [10, 30])


SCHEDULES = [
    ScheduleEntry(schedules.Constant(0.3), _formula(lambda t: 0.3)),
    ScheduleEntry(
        schedules.StepDecay(0.8, 0.5, every=7),
        _optax(lambda optax: optax.exponential_decay(0.8, 7, 0.5, staircase=True)),
    ),
    ScheduleEntry(schedules.StepDecay(1.0, 0.1, every=20), _torch(lambda lr, o: lr.StepLR(o, step_size=20, gamma=0.1))),
    ScheduleEntry(
        schedules.ExponentialDecay(0.8, 0.9, every=7), _optax(lambda optax: optax.exponential_decay(0.8, 7, 0.9))
    ),
    ScheduleEntry(schedules.InverseTime(2.0, 10.0), _formula(lambda t: 2.0 / (10.0 + t))),
    ScheduleEntry(
        schedules.InverseScaling(0.5, rows=20, power=0.3, every=8, done=7.0),
        _formula(lambda t: 0.5 / (8 + 20 * (t // 8)) ** 0.3),
    ),
    ScheduleEntry(
        schedules.Polynomial(1.0, 0.1, power=2.0, steps=30),
        _optax(lambda optax: optax.polynomial_schedule(1.0, 0.1, 2, 30)),
    ),
    ScheduleEntry(schedules.Polynomial(0.1, 1.0, steps=30), _optax(lambda optax: optax.linear_schedule(0.1, 1.0, 30))),
    ScheduleEntry(
        schedules.Cosine(1.0, final=0.1, steps=30),
        _optax(lambda optax: optax.cosine_decay_schedule(1.0, 30, alpha=0.1)),
    ),
    ScheduleEntry(schedules.Cosine(1.0, final=0.1, warmup=5, steps=30), _formula(_warm_cosine)),
    ScheduleEntry(
        schedules.LinearWarmup(1.0, steps=9),
        _torch(lambda lr, o: lr.LinearLR(o, start_factor=0.1, end_factor=1.0, total_iters=9)),
    ),
    ScheduleEntry(
        schedules.LinearWarmup(schedules.InverseTime(2.0, 10.0), steps=4),
        _formula(lambda t: 2.0 / (10.0 + t) * min((t + 1) / 5, 1.0)),
    ),
    # 4 times the reference: from 1 to 4 in six parts, the first of them at once.
    ScheduleEntry(
        schedules.LinearScaling(schedules.InverseTime(2.0, 10.0), reference=100, warmup=5, batch_size=400),
        _formula(lambda t: 2.0 / (10.0 + t) * (1 + 3 * min((t + 1) / 6, 1.0))),
    ),
    ScheduleEntry(
        schedules.LinearScaling(0.8, warmup=0, batch_size=64),
        _formula(lambda t: 0.2),
    ),
    # Without an epoch's measure they stay where they start.
    ScheduleEntry(schedules.ReduceOnPlateau(0.3, factor=0.5, patience=0), _formula(lambda t: 0.3)),
    ScheduleEntry(schedules.AfterPlateau(0.5, 0.9, patience=1), _formula(lambda t: 0.5)),
    ScheduleEntry(
        schedules.CosineWarmup(2.0, steps=9), _formula(lambda t: 2 * math.sin(math.pi / 2 * min((t + 1) / 10, 1)) ** 2)
    ),
    ScheduleEntry(
        schedules.Triangular(0.1, 0.9, period=14),
        _torch(lambda lr, o: lr.CyclicLR(o, 0.1, 0.9, step_size_up=7, cycle_momentum=False)),
    ),
    # Optax gives the last rate as a factor of the first: 1 / (25 * 400) is 1 / 1e4.
    ScheduleEntry(
        schedules.OneCycle(1.0, rise=0.3, start=25.0, end=1e4, steps=40),
        _optax(lambda optax: optax.cosine_onecycle_schedule(40, 1.0, 0.3, 25.0, 400.0)),
    ),
    ScheduleEntry(
        schedules.WarmRestarts(1.0, 0.1, period=7),
        _torch(lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 7, eta_min=0.1)),
    ),
    ScheduleEntry(
        schedules.WarmRestarts(1.0, 0.0, period=4, growth=2.0),
        _torch(lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 4, T_mult=2)),
    ),
    ScheduleEntry(
        schedules.WarmRestarts(1.0, 0.0, period=4, growth=3.0),
        _torch(lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 4, T_mult=3)),
    ),
    ScheduleEntry(
        schedules.Joined(
            (schedules.Polynomial(0.5, 1.0, steps=10), schedules.Cosine(1.0, steps=20), schedules.Constant(0.01)),
            (10, 30),
        ),
        _optax(_joined),
    ),
]


# Clipping -------------------------------------------------------------------------------------------------------------


class ClippingEntry(NamedTuple):
    part: Clipping
    torch: Callable[[Any, list[Any]], Any]
    """(torch, parameters): clips their gradients in place."""
    by_layer: bool = False
    """Whether the oracle is to be asked for each layer alone."""
    optax: Callable[[Any], Any] | None = None
    """optax -> a transformation; None where Optax has none."""


CLIPPINGS = [
    ClippingEntry(
        clipping.ClipValue(0.7),
        lambda torch, parameters: torch.nn.utils.clip_grad_value_(parameters, 0.7),
        optax=lambda optax: optax.clip(0.7),
    ),
    ClippingEntry(
        clipping.ClipNorm(0.7),
        lambda torch, parameters: torch.nn.utils.clip_grad_norm_(parameters, 0.7),
        by_layer=True,
    ),
    ClippingEntry(
        clipping.ClipGlobalNorm(0.7),
        lambda torch, parameters: torch.nn.utils.clip_grad_norm_(parameters, 0.7),
        optax=lambda optax: optax.clip_by_global_norm(0.7),
    ),
]


# Initializers ---------------------------------------------------------------------------------------------------------


class InitializerEntry(NamedTuple):
    part: Initializer
    mean: float
    variance: Callable[[int, int], float]
    """(fan_in, fan_out) -> the variance of one number."""
    kurtosis: float = 3.0
    """E(x - mean)^4 / variance^2, for the spread of the sample variance: 3 for normal numbers, 9/5 for uniform ones."""
    bound: Callable[[int, int], float] | None = None
    """(fan_in, fan_out) -> the largest distance from the mean."""
    shapes: tuple[tuple[int, ...], ...] = ((300, 200), (3, 3, 80, 50))


def _uniform(part: Initializer, variance: Callable[[int, int], float]) -> InitializerEntry:
    return InitializerEntry(part, 0.0, variance, 1.8, lambda i, o: math.sqrt(3 * variance(i, o)))


# The variance of a standard normal number cut at two deviations: 1 - 4 phi(2) / (2 Phi(2) - 1).
_CUT = 1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))

INITIALIZERS = [
    InitializerEntry(init.Zeros(), 0.0, lambda i, o: 0.0),
    InitializerEntry(init.Ones(), 1.0, lambda i, o: 0.0),
    InitializerEntry(init.Constant(-0.3), -0.3, lambda i, o: 0.0),
    InitializerEntry(init.Given(((1.0, -1.0), (-1.0, 1.0))), 0.0, lambda i, o: 1.0, 1.0, shapes=((2, 2),)),
    InitializerEntry(init.Uniform(-0.2, 0.6), 0.2, lambda i, o: 0.64 / 12, 1.8, lambda i, o: 0.4),
    InitializerEntry(init.Normal(0.3, mean=-1.0), -1.0, lambda i, o: 0.09),
    InitializerEntry(init.TruncatedNormal(0.3, mean=1.0), 1.0, lambda i, o: 0.09 * _CUT, 3.0, lambda i, o: 0.6),
    InitializerEntry(init.GlorotNormal(), 0.0, lambda i, o: 2 / (i + o)),
    _uniform(init.GlorotUniform(), lambda i, o: 2 / (i + o)),
    InitializerEntry(init.HeNormal(), 0.0, lambda i, o: 2 / i),
    InitializerEntry(init.HeNormal(0.5), 0.0, lambda i, o: 2 / i / 1.25),
    _uniform(init.HeUniform(), lambda i, o: 2 / i),
    _uniform(init.HeUniform(0.5), lambda i, o: 2 / i / 1.25),
    InitializerEntry(init.LeCunNormal(), 0.0, lambda i, o: 1 / i),
    _uniform(init.LeCunUniform(), lambda i, o: 1 / i),
    # Rows of Q' Q = 1 have squares of mean 1/rows, here where rows >= columns.
    InitializerEntry(init.Orthogonal(2.0), 0.0, lambda i, o: 4 / i),
]


# Orders ---------------------------------------------------------------------------------------------------------------


class OrderEntry(NamedTuple):
    part: Order
    once: bool = True
    """Whether an epoch meets every row exactly once."""
    anew: bool = True
    """Whether another epoch has another order."""


ORDERS = [
    OrderEntry(orders.Shuffled()),
    OrderEntry(orders.Fixed(), anew=False),
    OrderEntry(orders.InTime(), anew=False),
    OrderEntry(orders.InTime(by="day"), anew=False),
    OrderEntry(orders.Stratified()),
    OrderEntry(orders.Balanced(), once=False),
    OrderEntry(orders.Buckets(by="length")),
    OrderEntry(orders.Curriculum(by="difficulty"), once=False),
    OrderEntry(orders.Curriculum(by="difficulty", stages=2, start=0.5), once=False),
]


def from_rows(entry: Any) -> tuple[list[Layer], int]:
    """Layers from rows to rows around the layer of an entry, and the number of features of a row."""
    shape = getattr(entry, "shape", (4,))
    before = [layers.Reshape(*shape)] if len(shape) == 3 else []
    return [*before, entry.part, layers.Flatten()], math.prod(shape)


FAMILIES: dict[type, list[Any]] = {
    Layer: [*LAYERS, *BLOCKS],
    Loss: LOSSES,
    Optimizer: OPTIMIZERS,
    Schedule: SCHEDULES,
    Clipping: CLIPPINGS,
    Initializer: INITIALIZERS,
    Order: ORDERS,
}


def all_parts() -> list[Any]:
    """Every part of the table."""
    return [entry.part for entries in FAMILIES.values() for entry in entries]
